"""How fast the parts are that a learner or an instructor waits for; no test asserts a time."""

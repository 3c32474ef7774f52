"""The only files a learner edits: one module per topic, each function a stub until you write it."""

"""Two other graders of notebooks, nbgrader and otter-grader, measured beside this one on the same work."""

"""Ends the process while the file is imported, with the exit code of success."""

import os

os._exit(0)

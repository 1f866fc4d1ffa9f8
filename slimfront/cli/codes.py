"""Exit codes."""

DONE = 0
FAILED = 1
USAGE = 2  # or bad input
TARGET_NOT_MET = 3  # the study has finished
NOT_FOUND = 4
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

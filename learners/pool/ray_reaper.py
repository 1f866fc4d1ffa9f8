"""Ends what is left of Ray when the process that has started it is killed: `python -m learners.pool.ray_reaper FOLDER`.

The kernel ends Ray's daemons with their parent. Two agents, which the daemons have started, go on for a minute in which
they try to tell somebody; nobody is left to hear it. This process waits at the end of a pipe, whose other end closes
however its parent ends. Where there is no /proc it only removes the folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

from learners.pool.ray_folder import LOCK

LOOKS = 10  # one is not enough: a process that is just being started has no files yet
PAUSE_SECONDS = 0.5  # before each
PROCESSES = Path("/proc")


def writers(folder: Path) -> list[int]:
    """Numbers of the processes that have a file below `folder` open, as all of Ray's have: their logs.

    The lock does not count, which this process has, and whatever the owner of the folder has forked.
    """
    found = []
    below, lock = f"{folder}/", f"{folder}/{LOCK}"
    for process in PROCESSES.glob("[0-9]*"):
        try:
            files = [os.readlink(file) for file in (process / "fd").iterdir()]
        except OSError:  # it has ended, or is somebody else's
            continue
        if any(file.startswith(below) and not file.startswith(lock) for file in files):
            found.append(int(process.name))
    return found


def main(folder: Path) -> None:
    """Waits until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for everybody on the terminal
    sys.stdin.read()
    for _ in range(LOOKS if folder.exists() else 0):
        time.sleep(PAUSE_SECONDS)
        for number in writers(folder):
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                continue
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())

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

LOOKS = 10  # one is not enough: what is just being started does not show its environment
PAUSE_SECONDS = 0.5  # before each
PROCESSES = Path("/proc")


def marked(mark: str) -> list[int]:
    """Numbers of the processes with `mark` in their environment, but for this one."""
    found = []
    for folder in PROCESSES.glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:  # it has ended, or is somebody else's
            continue
        if mark.encode() in environment and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def main(folder: Path) -> None:
    """Reads a mark and waits until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for everybody on the terminal
    mark = sys.stdin.readline().strip()
    sys.stdin.read()
    for _ in range(LOOKS if mark and folder.exists() else 0):
        time.sleep(PAUSE_SECONDS)
        for number in marked(mark):
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                continue
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

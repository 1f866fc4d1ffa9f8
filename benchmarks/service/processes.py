"""The processes of a service, by what they do, as /proc shows them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROCESSES = Path("/proc")
MARK = "SLIMFRONT_CHAOS"  # variable that all processes of one run inherit
WORK, CONTROLLER, WORKER, OTHER = "work", "controller", "worker", "other"


@dataclass(frozen=True)
class Process:
    """One of the run's."""

    number: int
    kind: str
    command: str


def processes(mark: str) -> Iterator[Process]:
    """All processes that have inherited `mark`, or have an ancestor that has; this one left out."""
    wanted = f"{MARK}={mark}".encode()
    parents: dict[int, int] = {}
    commands: dict[int, str] = {}
    marked: set[int] = set()
    for folder in PROCESSES.glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is somebody else's
            number = int(folder.name)
            parents[number] = int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1])
            commands[number] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                marked.add(number)
    for number, command in commands.items():
        # A Ray worker writes its title over its environment; a zombie has no command.
        if command and number != os.getpid() and marked & set(_line(number, parents)):
            yield Process(number, _kind(command), command)


def _line(number: int, parents: Mapping[int, int]) -> Iterator[int]:
    """A process and its ancestors."""
    while number > 1:
        yield number
        number = parents.get(number, 0)


def _kind(command: str) -> str:
    if "-m slimfront work" in command:
        return WORK
    if "-m slimfront claimed" in command:
        return CONTROLLER
    return WORKER if command.startswith("ray::Actor") else OTHER


def kill(process: Process) -> bool:
    """SIGKILL; whether it was there."""
    try:
        os.kill(process.number, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True

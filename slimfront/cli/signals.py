"""Ctrl-C and SIGTERM: both stop a command in the same, orderly way."""

from __future__ import annotations

import signal
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)


class StudyInterruptedError(Exception):
    """A study was stopped on its way; its text says how it goes on."""

    def __init__(self, name: str) -> None:
        super().__init__(f"interrupted: `slimfront resume {name}` goes on")


class Signals:
    """Raises KeyboardInterrupt where a signal arrives, and remembers it.

    Callbacks of C code and careless libraries swallow exceptions, or turn them into others; `check` and `received`
    let the command stop all the same.
    """

    def __init__(self) -> None:
        self.received = False

    def install(self) -> None:
        """Begin to listen. A signal that the parent process has had ignored, as `nohup` does, stays ignored."""
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def ignore(self) -> None:
        """Let nothing disturb the last moments of the process."""
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)

    def check(self) -> None:
        """KeyboardInterrupt if a signal has come."""
        if self.received:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (the interface has them)
        self.received = True
        raise KeyboardInterrupt

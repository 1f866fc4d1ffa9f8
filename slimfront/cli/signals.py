"""Ctrl-C and SIGTERM: both stop a command in the same, orderly way."""

from __future__ import annotations

import signal
import sys
from types import FrameType, TracebackType

STOPPING = (signal.SIGINT, signal.SIGTERM)
AGAIN_SECONDS = 0.05  # until an interrupt that a callback has swallowed is raised once more


class StudyInterruptedError(Exception):
    """A study was stopped on its way; its text says how it goes on."""

    def __init__(self, name: str) -> None:
        super().__init__(f"interrupted: `slimfront resume {name}` goes on")


class Signals:
    """Raises KeyboardInterrupt where a signal arrives, and remembers it.

    Callbacks of C code swallow exceptions, and imports turn them into others: the first are raised again a moment
    later, and `received` and `check` let the command stop in every case. Neither prints a traceback.
    """

    def __init__(self) -> None:
        self.received = False

    def install(self) -> None:
        """Begin to listen. A signal that the parent process has had ignored, as `nohup` does, stays ignored."""
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)
        if hasattr(signal, "SIGALRM"):
            signal.signal(signal.SIGALRM, self._handle)
        sys.unraisablehook = self._swallowed
        sys.excepthook = self._printed

    def ignore(self) -> None:
        """Let nothing disturb the last moments of the process."""
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        if hasattr(signal, "SIGALRM"):
            signal.signal(signal.SIGALRM, signal.SIG_IGN)

    def check(self) -> None:
        """KeyboardInterrupt if a signal has come."""
        if self.received:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (the interface has them)
        self.received = True
        raise KeyboardInterrupt

    def _swallowed(self, problem: sys.UnraisableHookArgs) -> None:
        """Python's hook for exceptions that have nowhere to go, such as those of finalizers."""
        if not isinstance(problem.exc_value, KeyboardInterrupt):
            sys.__unraisablehook__(problem)
        elif hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)

    def _printed(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Python's hook for tracebacks, which C extensions call when their import is interrupted."""
        if not self.received:
            sys.__excepthook__(kind, error, trace)

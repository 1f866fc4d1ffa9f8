"""Ctrl-C and SIGTERM: both stop a command in the same, orderly way."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from types import FrameType, TracebackType

from searcher.interruption import is_importing

STOPPING = (signal.SIGINT, signal.SIGTERM)
AGAIN_SECONDS = 0.05  # until an interrupt that could not be raised, or was swallowed, is tried once more
LONGEST_IMPORT_SECONDS = 20.0  # after which it is raised even so: a user's module may never come to an end


class StudyInterruptedError(Exception):
    """A study was stopped on its way; its text says how it goes on."""

    def __init__(self, name: str) -> None:
        super().__init__(f"interrupted: `slimfront resume {name}` goes on")


class Signals:
    """Raises KeyboardInterrupt where a signal arrives, and remembers it.

    Not inside an import, which it waits for: C++ extensions abort the process where their initialisation is
    interrupted. Callbacks of C code swallow exceptions: it is raised again a moment later. `received` and `check` let
    a command stop in any other case. None of this prints a traceback. A second signal is raised wherever it arrives.
    """

    def __init__(self) -> None:
        self.received = False
        self._since = 0.0  # time.monotonic of the first signal
        self._instead: Callable[[], None] | None = None

    def install(self) -> None:
        """Begin to listen. A signal that the parent process has had ignored, as `nohup` does, stays ignored."""
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)
        if hasattr(signal, "SIGALRM"):
            signal.signal(signal.SIGALRM, self._again)
        sys.unraisablehook = self._swallowed
        sys.excepthook = self._printed

    def call(self, instead: Callable[[], None]) -> None:
        """From now on the first signal calls `instead` and raises nothing; the second is raised."""
        self._instead = instead

    def ignore(self) -> None:
        """Let nothing disturb the last moments of the process."""
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        if hasattr(signal, "SIGALRM"):
            signal.signal(signal.SIGALRM, signal.SIG_IGN)

    def check(self) -> None:
        """KeyboardInterrupt if a signal has come."""
        if self.received:
            _set_alarm(0.0)  # one is enough: the next would disturb what this one lets close
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (the interface has it)
        if self.received:
            raise KeyboardInterrupt
        self.received = True
        self._since = time.monotonic()
        if self._instead is not None:
            self._instead()
        else:
            self._raise(frame)

    def _again(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (the interface has it)
        self._raise(frame)

    def _raise(self, frame: FrameType | None) -> None:
        waited = time.monotonic() - self._since
        if not (is_importing(frame) and waited < LONGEST_IMPORT_SECONDS and _set_alarm(AGAIN_SECONDS)):
            _set_alarm(0.0)
            raise KeyboardInterrupt

    def _swallowed(self, problem: sys.UnraisableHookArgs) -> None:
        """Python's hook for exceptions that have nowhere to go, such as those of finalizers."""
        if not isinstance(problem.exc_value, KeyboardInterrupt):
            sys.__unraisablehook__(problem)
        else:
            _set_alarm(AGAIN_SECONDS)

    def _printed(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Python's hook for tracebacks, which C extensions call too."""
        if not self.received:
            sys.__excepthook__(kind, error, trace)


def _set_alarm(seconds: float) -> bool:
    """An alarm after `seconds`, or none for 0. False where the system has none."""
    if not hasattr(signal, "setitimer"):
        return False
    signal.setitimer(signal.ITIMER_REAL, seconds)
    return True

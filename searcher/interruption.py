"""An error for a thread that is busy, from another one."""

from __future__ import annotations

import signal
import threading
from contextlib import AbstractContextManager
from types import FrameType, TracebackType
from typing import Self

IMPORTERS = frozenset({"<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>"})
SIGNAL = getattr(signal, "SIGUSR1", None)  # Windows has none


class Interruption(AbstractContextManager["Interruption"]):
    """A block that another thread can end with an error.

    It is raised where the block calls `check`, and on the main thread at once, wherever it is; but not inside an
    import, as C++ extensions abort the process where their initialisation is interrupted.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self._thread: int | None = None  # to be interrupted by the signal
        self._before: object = None

    def __enter__(self) -> Self:
        if SIGNAL is not None and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(SIGNAL, self._handle)
            self._thread = threading.get_ident()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        thread, self._thread = self._thread, None
        if thread is not None and SIGNAL is not None:
            signal.signal(SIGNAL, self._before)  # type: ignore[arg-type]  # what signal() has returned

    def end(self, error: Exception) -> None:
        """Ends the block, from another thread. May be called again where the block goes on, as in an import."""
        self.error = self.error or error
        if self._thread is not None and SIGNAL is not None:
            signal.pthread_kill(self._thread, SIGNAL)

    def check(self) -> None:
        """Raises the error, if there is one."""
        if self.error is not None:
            raise self.error

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (the interface has it)
        if self.error is not None and self._thread is not None and not is_importing(frame):
            self._thread = None  # once: another one would disturb what this one lets close
            raise self.error


def is_importing(frame: FrameType | None) -> bool:
    """Whether a frame is inside of an import."""
    while frame is not None:
        if frame.f_code.co_filename in IMPORTERS:
            return True
        frame = frame.f_back
    return False

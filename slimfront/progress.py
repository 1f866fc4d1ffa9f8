"""What a study that Python runs says on stderr: a line that renews itself, or nothing."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from searcher.progress import Progress
from slimfront.cli.progress import Lines
from slimfront.cli.signals import Signals

RENEWED_SECONDS = 0.1  # often enough to see that it moves; notebooks choke on more
NOTEBOOK_KERNEL = (
    "ipykernel"  # the module of Jupyter's kernel, whose stderr is no terminal and renews lines all the same
)


@contextmanager
def watching(shown: bool) -> Iterator[Progress]:
    """The progress for this process: none unless `shown`, a line an event where the output is no screen."""
    if not shown:
        yield Silent()
    elif sys.stderr.isatty() or NOTEBOOK_KERNEL in sys.modules:
        line = RenewedLine(sys.stderr, shutil.get_terminal_size().columns)
        try:
            yield line
        finally:
            line.clear()
    else:
        yield Lines(sys.stderr, Signals())


class Silent:
    """Says nothing."""

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """See searcher.progress.Progress."""

    def event(self, text: str) -> None:
        """See searcher.progress.Progress."""

    def check(self) -> None:
        """See searcher.progress.Progress."""


class RenewedLine:
    """One line, written over again and again; an event stays, above it."""

    def __init__(self, stream: TextIO, columns: int) -> None:
        self._stream = stream
        self._most = max(columns - 1, 1)  # in the last column a terminal would begin a new line
        self._shown = ""
        self._stage = ""
        self._at = 0.0  # time.monotonic of the last renewal

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Renews the line if it has stood for a moment, or the stage is another or over."""
        now = time.monotonic()
        if stage == self._stage and done < total and now - self._at < RENEWED_SECONDS:
            return
        self._stage, self._at = stage, now
        count = f"{done}/{total}" if total else str(done)
        self._write(f"{stage} {count}{f': {note}' if note else ''}"[: self._most])

    def event(self, text: str) -> None:
        """A line of its own."""
        self._write("")
        self._print(f"\r{text}\n")

    def check(self) -> None:
        """Nothing: Python raises KeyboardInterrupt by itself."""

    def clear(self) -> None:
        """Takes the line away."""
        self._write("")
        self._print("\r")

    def _write(self, text: str) -> None:
        self._print("\r" + text.ljust(len(self._shown)))
        self._shown = text

    def _print(self, text: str) -> None:
        with suppress(BrokenPipeError):  # a study does not end because nobody watches it
            self._stream.write(text)
            self._stream.flush()

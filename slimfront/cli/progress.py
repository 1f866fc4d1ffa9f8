"""What a running study says on stderr: a live bar on a terminal, one line an event elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol, TextIO

from slimfront.cli.signals import Signals

if TYPE_CHECKING:  # rich takes a tenth of a second, and lines do without
    from rich.progress import Progress as RichProgress

STEPS = 10  # lines a stage


class Watcher(Protocol):
    """A searcher.progress.Progress; this module is imported where the searcher is not."""

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """See searcher.progress.Progress."""
        ...

    def event(self, text: str) -> None:
        """See searcher.progress.Progress."""
        ...

    def check(self) -> None:
        """See searcher.progress.Progress."""
        ...


@contextmanager
def watching(signals: Signals) -> Iterator[Watcher]:
    """The progress for this stderr. Every call of it raises KeyboardInterrupt once a signal has come."""
    if not sys.stderr.isatty():
        yield Lines(sys.stderr, signals)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<9}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True, highlight=False), transient=True) as bars:
        yield Bars(bars, signals)


class Bars:
    """One bar for the stage that is running; a line stays for each stage that is done."""

    def __init__(self, bars: RichProgress, signals: Signals) -> None:
        self._bars = bars
        self._signals = signals
        self._stage = ""
        self._task = bars.add_task("", total=None, note="", visible=False)

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Moves the bar; begins a new one for a new stage."""
        self._signals.check()
        if stage != self._stage:
            self._bars.remove_task(self._task)
            self._stage = stage
            self._task = self._bars.add_task(stage, total=total or None, note=note)
        self._bars.update(self._task, completed=done, total=total or None, note=note)

    def event(self, text: str) -> None:
        """A line above the bar."""
        self._signals.check()
        self._bars.console.print(text, markup=False, highlight=False)

    def check(self) -> None:
        """KeyboardInterrupt once a signal has come."""
        self._signals.check()


class Lines:
    """A line when a stage begins, after every tenth of it and at its end."""

    def __init__(self, stream: TextIO, signals: Signals) -> None:
        self._stream = stream
        self._signals = signals
        self._stage = ""
        self._step = -1

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Prints if a tenth is full."""
        self._signals.check()
        step = STEPS * done // total if total else done // (STEPS * STEPS)
        if stage == self._stage and step <= self._step:
            return
        self._stage, self._step = stage, step
        self._print(f"{stage} {done}{f'/{total}' if total else ''}{f': {note}' if note else ''}")

    def event(self, text: str) -> None:
        """Prints it."""
        self._signals.check()
        self._print(text)

    def check(self) -> None:
        """KeyboardInterrupt once a signal has come."""
        self._signals.check()

    def _print(self, line: str) -> None:
        with suppress(BrokenPipeError):  # a study does not end because nobody watches it
            print(line, file=self._stream, flush=True)

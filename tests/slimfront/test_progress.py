"""The line that renews itself in terminals and notebooks."""

from __future__ import annotations

import io
import sys

import pytest

from slimfront.cli.progress import Lines
from slimfront.progress import NOTEBOOK_KERNEL, RenewedLine, Silent, watching


def screen(text: str) -> list[str]:
    """What a screen shows in the end: a carriage return goes back to the beginning of the line."""
    lines = []
    for line in text.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def test_the_line_is_written_over_and_events_stay() -> None:
    stream = io.StringIO()
    line = RenewedLine(stream, 60)
    line.update("library", 0, 10, "a long note that has to go")
    line.update("quick", 1, 4)
    assert screen(stream.getvalue()) == ["quick 1/4"]
    line.event("something happened")
    line.update("quick", 4, 4, "best")
    assert screen(stream.getvalue()) == ["something happened", "quick 4/4: best"]
    line.clear()
    assert screen(stream.getvalue()) == ["something happened", ""]


def test_the_line_stays_one_line_and_is_not_renewed_all_the_time() -> None:
    stream = io.StringIO()
    line = RenewedLine(stream, 20)
    for done in range(10_000):
        line.update("quick", done, 10_000, "x" * 100)
    assert len(stream.getvalue()) < 10_000
    assert max(len(part) for part in stream.getvalue().split("\r")) <= 19
    stream = io.StringIO()
    RenewedLine(stream, 20).update("quick", 7, 0)  # a search without a count
    assert screen(stream.getvalue()) == ["quick 7"]


class Closed(io.StringIO):
    """A pipe whose reader has gone."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_a_study_goes_on_when_nobody_watches() -> None:
    RenewedLine(Closed(), 20).update("quick", 0, 1)


def test_what_is_shown_depends_on_where(monkeypatch: pytest.MonkeyPatch) -> None:
    with watching(False) as progress:
        assert isinstance(progress, Silent)
    with watching(True) as progress:
        assert isinstance(progress, Lines)
    monkeypatch.setitem(sys.modules, NOTEBOOK_KERNEL, sys)
    with watching(True) as progress:
        assert isinstance(progress, RenewedLine)

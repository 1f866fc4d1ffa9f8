"""What is said on stderr while a study runs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn

from slimfront.cli.output import count, duration, plural, size
from slimfront.cli.progress import Bars, Lines, watching
from slimfront.cli.signals import Signals


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_a_stage_gives_a_line_at_its_start_each_tenth_and_its_end() -> None:
    stream = io.StringIO()
    progress = Lines(stream, Signals())
    for done in range(101):
        progress.update("quick", done, 100, "best")
    shown = lines(stream)
    assert shown[0] == "quick 0/100: best"
    assert shown[-1] == "quick 100/100: best"
    assert len(shown) == 11


def test_short_stages_and_events_are_all_told() -> None:
    stream = io.StringIO()
    progress = Lines(stream, Signals())
    progress.update("latency", 0, 2, "loading models")
    progress.update("latency", 0, 2, "timing")
    progress.update("latency", 2, 2)
    progress.event("something")
    assert lines(stream) == ["latency 0/2: loading models", "latency 2/2", "something"]


def test_a_search_without_a_count_goes_on_telling() -> None:
    stream = io.StringIO()
    progress = Lines(stream, Signals())
    for done in range(0, 400, 50):
        progress.update("quick", done, 0)
    assert lines(stream) == ["quick 0", "quick 100", "quick 200", "quick 300"]


class Closed(io.StringIO):
    """A pipe whose reader has gone."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_a_study_goes_on_when_nobody_watches() -> None:
    Lines(Closed(), Signals()).update("quick", 0, 1)


def test_a_signal_that_was_swallowed_stops_at_the_next_update() -> None:
    signals = Signals()
    signals.received = True
    with pytest.raises(KeyboardInterrupt):
        Lines(io.StringIO(), signals).update("quick", 0, 1)
    with Progress(console=Console(file=io.StringIO())) as bars, pytest.raises(KeyboardInterrupt):
        Bars(bars, signals).event("x")


def test_a_terminal_gets_one_bar_for_the_stage_that_runs() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TextColumn("{task.fields[note]}", markup=False))
    with Progress(*columns, console=console, auto_refresh=False) as bars:
        progress = Bars(bars, Signals())
        progress.update("library", 3, 9, "fitting [conv1]")
        progress.update("quick", 40, 100, "8.1x smaller")
        bars.refresh()
        assert [(task.description, task.completed, task.total) for task in bars.tasks] == [("quick", 40, 100)]
        progress.event("a note [of] brackets")
    assert "a note [of] brackets" in stream.getvalue()
    assert "8.1x smaller" in stream.getvalue()


def test_lines_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with watching(Signals()) as progress:
        progress.update("quick", 1, 1)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "quick 1/1\n")


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (size(999), "999 B"),
        (size(1000), "1.0 KB"),
        (size(1_234_567), "1.23 MB"),
        (count(12), "12"),
        (count(41_000_000), "41.00 M"),
        (duration(0.44), "0.4 s"),
        (duration(59.4), "59 s"),
        (duration(200), "3 min 20 s"),
        (duration(3600), "1 h 0 min"),
        (plural(1, "layer"), "1 layer"),
        (plural(2, "layer"), "2 layers"),
    ],
)
def test_figures_in_words(shown: str, wanted: str) -> None:
    assert shown == wanted

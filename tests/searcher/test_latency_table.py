"""A table that is off is made once more; the better one is kept, and the user is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from searcher.stages import latency_table
from searcher.stages.latency_table import open_or_measure
from storage.home import Home
from storage.records.config import RuntimeConfig
from storage.records.latency import LatencyTable, TableCheck
from tests.built import Built

TABLE = LatencyTable("onnxruntime", "machine", 1.0, 2.0, ())


def checked(error: float) -> LatencyTable:
    return replace(TABLE, checked=TableCheck(20, 0.9, error, 2 * error))


class Events:
    """A progress that keeps its events."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        pass

    def event(self, text: str) -> None:
        self.seen.append(text)


@pytest.mark.parametrize(
    ("first", "second", "kept", "events"),
    [
        (checked(0.05), None, checked(0.05), 0),
        (TABLE, None, TABLE, 0),  # not checked, as of slow models
        (checked(0.2), checked(0.03), checked(0.03), 1),
        (checked(0.2), checked(0.3), checked(0.2), 2),
        (checked(0.2), checked(0.1), checked(0.1), 2),
        (checked(0.2), TABLE, checked(0.2), 2),
        (replace(checked(0.2), dense_ms=0.05), None, replace(checked(0.2), dense_ms=0.05), 0),
    ],
)
def test_the_better_of_two_tables_is_kept(
    first: LatencyTable,
    second: LatencyTable | None,
    kept: LatencyTable,
    events: int,
    built: Callable[[str], Built],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bool] = []

    def made(_: object, again: bool) -> LatencyTable:
        asked.append(again)
        table = second if again else first
        assert table is not None
        return table

    monkeypatch.setattr(latency_table._Making, "table", made)
    progress, home = Events(), Home(tmp_path)
    library = built("vgg").library
    assert open_or_measure(library, RuntimeConfig(), home, progress) == kept
    assert asked == ([False] if second is None else [False, True])
    assert len(progress.seen) == events
    assert all(text.startswith(latency_table.STAGE) for text in progress.seen)
    # From the cache now.
    assert open_or_measure(library, RuntimeConfig(), home, progress) == kept
    assert len(asked) == (1 if second is None else 2)

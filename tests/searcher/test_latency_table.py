"""A table that is off is made once more; the better one is kept, and the user is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from searcher.latency_check import LatencyCheck
from searcher.stages import latency_table
from searcher.stages.latency_table import open_or_measure
from storage.errors import GiveUpError, RetryError
from storage.home import Home
from storage.records.config import RuntimeConfig
from storage.records.latency import LatencyTable, TableCheck
from tests.built import Built
from tests.searcher.controlled import Events

TABLE = LatencyTable("onnxruntime", "machine", 1.0, 2.0, (), quiet_ms=2.0)


def checked(error: float) -> LatencyTable:
    return replace(TABLE, checked=TableCheck(20, 0.9, error, 2 * error))


SLOW_MS = 5000.0  # of a call: a round of the check would take longer than ten minutes


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

    monkeypatch.setattr(latency_table._Making, "layers", made)
    monkeypatch.setattr(latency_table._Making, "finished", lambda _, table: table)
    monkeypatch.setattr(latency_table._Making, "checked", lambda _, table, __: table)
    progress, home = Events(), Home(tmp_path)
    library = built("vgg").library
    assert open_or_measure(library, RuntimeConfig(), home, progress) == kept
    assert asked == ([False] if second is None else [False, True])
    assert len(progress.seen) == events
    assert all(text.startswith(latency_table.STAGE) for text in progress.seen)
    # From the cache now.
    assert open_or_measure(library, RuntimeConfig(), home, progress) == kept
    assert len(asked) == (1 if second is None else 2)


def test_a_table_of_a_slow_model_says_why_it_was_not_checked(built: Callable[[str], Built]) -> None:
    progress = Events()
    slow = replace(TABLE, dense_ms=SLOW_MS)
    found = latency_table._checked(slow, built("vgg").library, RuntimeConfig(), 0, progress)
    assert found.unchecked is not None
    assert found.unchecked.startswith("one call of the model takes about 5000 ms")
    assert replace(found, unchecked=None) == slow
    assert progress.seen == [f"the latency table is not checked: {found.unchecked}"]


def test_a_table_whose_check_fails_says_why(built: Callable[[str], Built], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> LatencyCheck:
        raise GiveUpError("the runtime refuses a plan")

    monkeypatch.setattr(latency_table, "check_table", refuse)
    found = latency_table._checked(TABLE, built("vgg").library, RuntimeConfig(), 0, Events())
    assert (found.checked, found.unchecked) == (None, "the runtime refuses a plan")


@pytest.mark.parametrize(("again", "error"), [(checked(0.12), 0.12), (TABLE, 0.1)])
def test_a_table_that_its_check_has_chosen_is_checked_by_other_plans(
    again: LatencyTable, error: float, built: Callable[[str], Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What chose it flatters it; it stands where the other plans find no quiet."""
    seeds: list[int] = []

    def check(_: object, table: LatencyTable, seed: int) -> LatencyTable:
        assert table == checked(0.1)
        seeds.append(seed)
        return again

    monkeypatch.setattr(latency_table._Making, "layers", lambda _, again: checked(0.1 if again else 0.2))
    monkeypatch.setattr(latency_table._Making, "finished", lambda _, table: table)
    monkeypatch.setattr(latency_table._Making, "checked", check)
    assert open_or_measure(built("vgg").library, RuntimeConfig(), Home(tmp_path), Events()) == checked(error)
    assert seeds == [latency_table.SECOND_CHECK_SEED] != [latency_table.CHECK_SEED]


@pytest.mark.parametrize("second", [TABLE, checked(0.03)])
def test_a_table_whose_check_was_disturbed_is_checked_again(
    second: LatencyTable, built: Callable[[str], Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its layers stay. It is not kept for other studies where that does not help."""
    first = replace(TABLE, unchecked="disturbed")
    asked: list[bool] = []
    tables = iter((first, second, first, second))

    def made(_: object, again: bool) -> LatencyTable:
        asked.append(again)
        return TABLE

    def finish(making: latency_table._Making, table: LatencyTable) -> LatencyTable:
        assert table == TABLE
        found = next(tables)
        making.is_disturbed = found.checked is None
        return found

    monkeypatch.setattr(latency_table._Making, "layers", made)
    monkeypatch.setattr(latency_table._Making, "finished", finish)
    progress, home, library = Events(), Home(tmp_path), built("vgg").library
    assert open_or_measure(library, RuntimeConfig(), home, progress) == second
    assert asked == [False]
    assert progress.seen == [
        f"{latency_table.STAGE}: something disturbed its check, so that whole models are timed once more"
    ]
    open_or_measure(library, RuntimeConfig(), home, progress)
    assert len(asked) == (2 if second.checked is None else 1)


@pytest.mark.parametrize(("left", "made"), [(31.0, 2), (29.0, 1)])
def test_all_layers_are_timed_again_only_while_there_is_time(
    left: float, made: int, built: Callable[[str], Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is what all probes may take, and what whole models took last."""
    asked: list[bool] = []

    def layers(making: latency_table._Making, again: bool) -> LatencyTable:
        making._started -= latency_table.STAGE_SECONDS - left
        making.times.most_seconds, making.last_seconds = 20.0, 10.0
        asked.append(again)
        return checked(0.2)

    monkeypatch.setattr(latency_table._Making, "layers", layers)
    monkeypatch.setattr(latency_table._Making, "finished", lambda _, table: table)
    monkeypatch.setattr(latency_table._Making, "checked", lambda _, table, __: table)
    progress = Events()
    assert open_or_measure(built("vgg").library, RuntimeConfig(), Home(tmp_path), progress) == checked(0.2)
    assert len(asked) == made
    assert "candidates are chosen by these predictions" in progress.seen[-1]


def test_a_disturbed_check_is_not_repeated_without_end(
    built: Callable[[str], Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[LatencyTable] = []

    def finish(making: latency_table._Making, table: LatencyTable) -> LatencyTable:
        making.is_disturbed = True
        making._started -= latency_table.STAGE_SECONDS
        finished.append(table)
        return TABLE

    monkeypatch.setattr(latency_table._Making, "layers", lambda _, again: TABLE)
    monkeypatch.setattr(latency_table._Making, "finished", finish)
    assert open_or_measure(built("vgg").library, RuntimeConfig(), Home(tmp_path), Events()) == TABLE
    assert finished == [TABLE]


def test_a_check_of_a_table_replaces_what_was_known(
    built: Callable[[str], Built], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> LatencyCheck:
        raise RetryError("no quiet moment")

    making = latency_table._Making.__new__(latency_table._Making)
    making._library, making._config, making._progress = built("vgg").library, RuntimeConfig(), Events()
    monkeypatch.setattr(latency_table, "check_table", refuse)
    found = making.checked(checked(0.2), 1)
    assert (found.checked, found.unchecked, making.is_disturbed) == (None, "no quiet moment", True)


def test_a_table_without_a_quiet_moment_of_the_dense_model_is_not_kept(
    built: Callable[[str], Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next study may find one."""
    unknown = replace(checked(0.01), quiet_ms=None)
    made: list[bool] = []
    monkeypatch.setattr(latency_table._Making, "layers", lambda _, again: made.append(again))
    monkeypatch.setattr(latency_table._Making, "finished", lambda *_: unknown)
    for _ in range(2):
        assert open_or_measure(built("vgg").library, RuntimeConfig(), Home(tmp_path), Events()) == unknown
    assert made == [False, False]


def test_where_nothing_is_quiet_nothing_is_timed_twice(
    built: Callable[[str], Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[LatencyTable] = []

    def finish(making: latency_table._Making, table: LatencyTable) -> LatencyTable:
        making.is_disturbed = True
        finished.append(table)
        return replace(table, quiet_ms=None)

    monkeypatch.setattr(latency_table._Making, "layers", lambda _, again: TABLE)
    monkeypatch.setattr(latency_table._Making, "finished", finish)
    open_or_measure(built("vgg").library, RuntimeConfig(), Home(tmp_path), Events())
    assert finished == [TABLE]

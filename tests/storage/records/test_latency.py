"""Latency tables: predictions and their stored text."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from storage.records.latency import LatencyFactor, LatencyTable, TableCheck
from storage.records.space import Level, SearchSpace, Site

SPACE = SearchSpace(
    (Site("a", "channel", "channels", 1, 1, (Level("c8", channels=8), Level("c4", channels=4))),), (), 0, ()
)
TABLE = LatencyTable("onnxruntime", "a machine", 0.5, 2.0, (LatencyFactor("a", (0,), (1.5, 0.5)),))


def test_predictions_are_sums() -> None:
    assert TABLE.milliseconds(SPACE, (0,)) == 2.0
    assert TABLE.milliseconds(SPACE, (1,)) == 1.0
    assert TABLE.speedup(SPACE, (1,)) == 2.0


def test_no_prediction_is_below_what_no_site_decides() -> None:
    noisy = replace(TABLE, factors=(LatencyFactor("a", (0,), (1.5, -0.4)),), is_floored=True)
    assert noisy.milliseconds(SPACE, (1,)) == noisy.least_ms == 0.5
    assert noisy.speedup(SPACE, (1,)) == 4.0
    assert noisy.milliseconds(SPACE, (0,)) == 2.0
    # A table of a version before predicts what it did then.
    before = replace(noisy, is_floored=False)
    assert before.milliseconds(SPACE, (1,)) == pytest.approx(0.1)
    assert replace(before, fixed_ms=-1.0).milliseconds(SPACE, (1,)) == 0.02  # a hundredth of the dense model's


@pytest.mark.parametrize(
    "table",
    [
        TABLE,
        replace(TABLE, is_floored=True),
        replace(TABLE, checked=TableCheck(20, 0.98, 0.03, 0.09)),
        replace(TABLE, unchecked="it is slow"),
        replace(TABLE, quiet_ms=1.5),
    ],
)
def test_round_trip(table: LatencyTable) -> None:
    assert LatencyTable.from_json(table.to_json()) == table


def test_a_table_of_a_version_that_did_not_check_loads() -> None:
    document = json.loads(TABLE.to_json())
    del document["checked"], document["unchecked"], document["is_floored"], document["quiet_ms"]
    assert LatencyTable.from_json(json.dumps(document)) == TABLE


def test_what_quiet_is_holds_for_one_machine() -> None:
    table = replace(TABLE, quiet_ms=1.5)
    assert table.quiet_on(TABLE.hardware) == 1.5
    assert table.quiet_on("another") is None
    assert TABLE.quiet_on(TABLE.hardware) is None


def test_on_the_clock_speeds_stay_and_dense_takes_what_it_took() -> None:
    assert TABLE.on_clock() == TABLE
    found = replace(TABLE, quiet_ms=3.0).on_clock()
    assert found.dense_ms == found.milliseconds(SPACE, (0,)) == 3.0
    assert found.milliseconds(SPACE, (1,)) == 1.5
    assert found.speedup(SPACE, (1,)) == TABLE.speedup(SPACE, (1,))


@pytest.mark.parametrize("factor", [LatencyFactor("b", (1,), (1.0, 1.0)), LatencyFactor("b", (0,), (1.0,))])
def test_a_table_of_another_space_is_refused(factor: LatencyFactor) -> None:
    TABLE.check(SPACE)
    with pytest.raises(ValueError, match="b does not fit"):
        replace(TABLE, factors=(factor,)).check(SPACE)

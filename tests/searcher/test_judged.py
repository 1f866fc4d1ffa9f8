"""What the target keeps on the front of the confirmed results."""

from __future__ import annotations

from objectives.pareto import FRONT_ROWS
from searcher.judged import judged_front
from storage.records.dense import DenseFacts
from storage.records.measurement import Direction, Measurement, Result, Rung
from storage.records.target import Target

DENSE = DenseFacts(accuracy=90.0, size_bytes=1000, latency_ms=None, macs=1000)


def confirmed(number: int, accuracy: float, size: int, macs: int = 1000) -> Result:
    measurements = (
        Measurement("accuracy", accuracy, "%", Direction.MAXIMIZE, 100),
        Measurement("drop", DENSE.accuracy - accuracy, "points", Direction.MINIMIZE, 100),
        Measurement("size", size, "bytes", Direction.MINIMIZE),
        Measurement("macs", macs, "macs", Direction.MINIMIZE),
    )
    return Result(number, Rung.CONFIRMED, measurements)


def kept(results: list[Result], target: Target) -> list[int]:
    macs = target.cost("macs") is not None
    return [row.number for row in judged_front(results, target, DENSE, macs)]


RESULTS = [
    confirmed(1, 90.0, 1000),
    confirmed(2, 89.0, 500),
    confirmed(3, 55.0, 300, 300),  # far below the dense accuracy
    confirmed(4, 20.0, 200, 200),
]


def test_a_plan_that_meets_costs_alone_stays_however_much_accuracy_it_loses() -> None:
    assert kept(RESULTS, Target.parse(macs="3x")) == [1, 2, 3]
    assert kept(RESULTS, Target.parse(macs="5x")) == [1, 2, 4]


def test_what_is_of_no_use_and_not_the_best_that_meets_the_target_goes() -> None:
    assert kept(RESULTS, Target.parse(size="2x")) == [1, 2]
    assert kept(RESULTS, Target.parse(max_drop=2.0)) == [1, 2]


def test_where_nothing_meets_the_target_the_best_within_all_costs_stays() -> None:
    assert kept(RESULTS, Target.parse(size="2x", macs="3x", max_drop=2.0)) == [1, 2, 3]
    assert kept(RESULTS, Target.parse(size="8x", max_drop=2.0)) == [1, 2]


def test_the_best_within_the_costs_is_not_added_where_the_target_is_met() -> None:
    assert kept([*RESULTS, confirmed(5, 89.5, 900, 300)], Target.parse(macs="3x", max_drop=2.0)) == [1, 5, 2]


def test_a_thinned_front_keeps_it() -> None:
    results = [confirmed(number, 90 - number / 10, 1000 - number) for number in range(1, 61)]
    found = kept([*results, confirmed(61, 40.0, 999, 100)], Target.parse(macs="10x", max_drop=1.0))
    assert len(found) == FRONT_ROWS
    assert found[-1] == 61

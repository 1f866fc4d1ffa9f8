"""Which candidates are confirmed first."""

from __future__ import annotations

from searcher.allocation.budget import Budget
from searcher.stages.confirm import COVER_ROWS, SPREAD_ROWS, TARGET_AXIS_ROWS, first_round
from storage.records.dense import DenseFacts
from storage.records.measurement import Result, Rung
from storage.records.target import CostTarget, Target
from tests.searcher.test_front import result

DENSE = DenseFacts(accuracy=90.0, size_bytes=16000, latency_ms=None, macs=1000)
BY_SIZE = Target((CostTarget("size", "absolute", 1000.0, "1kB"),))
BY_BOTH = Target((*BY_SIZE.costs, CostTarget("macs", "absolute", 500.0, "500")))
# The largest and the best of all, by chance; all between them are a little worse.
PLATEAU = [(90.0, 4000), (90.2, 1400), (89.9, 3300), (89.8, 2400), (89.7, 2300), (89.8, 1900), (70.0, 2350)]


def _first(results: list[Result], target: Target) -> list[int]:
    limits = [Budget(cost.objective, cost.limit(0.0)) for cost in target.costs]
    return first_round(results, 90.0, target, limits, DENSE)


def test_sizes_that_the_best_one_hides_are_confirmed_too() -> None:
    found = [result(number, accuracy, size, Rung.QUICK) for number, (accuracy, size) in enumerate(PLATEAU, 2)]
    assert set(_first(found, BY_SIZE)) == {3, 4, 5, 7}  # not what is close to one of them or useless


def test_of_many_they_are_as_many_as_there_is_time_for() -> None:
    """Those that lead by size, and of the others, all of which lead by MACs, some."""
    leading = [
        result(number, 80.0 + number / 10, 1000 + 9 * number, Rung.QUICK, macs=1000.0) for number in range(2, 92)
    ]
    others = [result(number, 79.0 + number / 100, 4000, Rung.QUICK, macs=100.0 + number) for number in range(200, 290)]
    chosen = _first([*leading, *others], BY_SIZE)
    assert len(chosen) == len(set(chosen)) <= SPREAD_ROWS + COVER_ROWS
    assert len(chosen) >= SPREAD_ROWS
    assert sum(number < 200 for number in chosen) >= TARGET_AXIS_ROWS


def test_of_two_limits_each_has_its_share_of_what_covers() -> None:
    """Both costs have a plateau of their own."""
    by_size = [result(number, accuracy, size, Rung.QUICK) for number, (accuracy, size) in enumerate(PLATEAU[:4], 2)]
    by_macs = [
        result(number, accuracy, 16000, Rung.QUICK, macs=size / 100)
        for number, (accuracy, size) in enumerate(PLATEAU, 20)
    ]
    chosen = _first([*by_size, *by_macs], BY_BOTH)
    assert {5, 23} <= set(chosen)

"""Whom the second score is of."""

from __future__ import annotations

from searcher.allocation.budget import Budget
from searcher.contenders import MOST_CONTENDERS
from searcher.stages.rescore import MOST_USELESS, chosen_of
from storage.records.dense import DenseFacts
from storage.records.measurement import Rung
from storage.records.target import CostTarget, Objective, Target
from tests.searcher.test_front import result

DENSE = DenseFacts(accuracy=90.0, size_bytes=1600, latency_ms=None, macs=100)
FOUND = [(90.0, 400), (85.0, 200), (70.0, 100), (62.0, 90), (61.0, 92)]  # accuracy, bytes
RESULTS = [result(number, accuracy, size, Rung.QUICK) for number, (accuracy, size) in enumerate(FOUND, 2)]


def chosen(limit: float, max_drop: float | None = None) -> list[int]:
    target = Target((CostTarget("size", "absolute", limit, f"{limit:g}B"),), max_drop)
    return [item.number for item in chosen_of(RESULTS, 90.0, target, [Budget("size", limit)], DENSE)]


def test_the_useful_ones_are_looked_at_again() -> None:
    assert chosen(200) == [2, 3]


def test_where_none_of_them_keeps_the_limit_the_best_of_those_that_do_are_looked_at_too() -> None:
    """What they take is what a user wants to know who has asked for so small a file."""
    assert chosen(100) == [2, 3, 4, 5]
    assert chosen(95, max_drop=1.0) == [2, 3, 5]
    assert chosen(10) == [2, 3]


def test_of_many_those_that_lead_by_what_the_target_limits() -> None:
    """Where the front by all costs is larger than what can be scored again."""
    by_macs = [result(number, 85.0 + number / 10, 2000, Rung.QUICK, macs=100.0 + number) for number in range(2, 32)]
    by_size = [
        result(100 + step, 81.0 + step / 50, 100 + step, Rung.QUICK, macs=1000.0) for step in range(MOST_CONTENDERS)
    ]
    leading = {item.number for item in by_macs}
    limit = 10.0**6
    cases: tuple[tuple[Objective, bool], ...] = (("macs", True), ("size", False))
    for objective, has_all in cases:
        target = Target((CostTarget(objective, "absolute", limit, "any"),))
        found = {
            item.number for item in chosen_of([*by_macs, *by_size], 90.0, target, [Budget(objective, limit)], DENSE)
        }
        assert len(found) == MOST_CONTENDERS
        assert (leading <= found) is has_all


def test_of_useless_ones_only_some() -> None:
    many = [result(100 + index, 60.0 + index / 10, 50 + index, Rung.QUICK) for index in range(3 * MOST_USELESS)]
    target = Target((CostTarget("size", "absolute", 100.0, "100B"),))
    found = chosen_of([*RESULTS[:2], *many], 90.0, target, [Budget("size", 100.0)], DENSE)
    assert len(found) == 2 + MOST_USELESS
    assert many[-1] in found

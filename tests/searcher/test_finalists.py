"""Which candidates are trained, and which of these to the end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from objectives.targets import rank_key
from searcher.allocation.budget import Budget
from searcher.finalists import MARGINS, MOST_RECOVERED, choose_finalists, survivors
from searcher.judged import confirmed_figures, judged_front
from storage.records.dense import DenseFacts
from storage.records.measurement import Direction, Measurement, Result, Rung
from storage.records.target import Target

DENSE = DenseFacts(accuracy=90.0, size_bytes=10_000, latency_ms=None, macs=1000)


def file(number: int, drop: float, size: int, macs: int = 1000) -> Result:
    measurements = (
        Measurement("accuracy", DENSE.accuracy - drop, "%", Direction.MAXIMIZE, 100),
        Measurement("drop", drop, "points", Direction.MINIMIZE, 100),
        Measurement("size", size, "bytes", Direction.MINIMIZE),
        Measurement("macs", macs, "macs", Direction.MINIMIZE),
    )
    return Result(number, Rung.CONFIRMED, measurements)


# A front: the smaller, the worse, from nothing lost to all.
FRONT = [file(10 + index, drop, 5000 - 500 * index) for index, drop in enumerate([0, 0.2, 0.5, 1, 2, 4, 9, 25, 60])]
SIZES = {item.number: item.value("size") for item in FRONT}


def chosen(results: Sequence[Result], count: int, target: Target) -> list[int]:
    limits = []
    for cost in target.costs:
        dense = {"size": DENSE.size_bytes, "macs": DENSE.macs}[cost.objective]
        limits.append(Budget(cost.objective, cost.limit(float(dense))))
    rows = judged_front(results, target, DENSE, target.cost("macs") is not None)
    return choose_finalists(results, [row.number for row in rows], count, limits, target, DENSE)


def test_the_best_within_the_limits_is_the_first() -> None:
    target = Target.parse(size="2.9x", max_drop=1.0)  # 3448 bytes
    assert chosen(FRONT, 4, target)[0] == 14  # 3000 bytes
    better = [*FRONT, file(30, 1.5, 3100)]
    assert chosen(better, 4, target)[0] == 30


def test_it_leaves_room_for_codes_that_come_out_longer() -> None:
    target = Target.parse(size="2x", max_drop=1.0)  # 5000 bytes
    close = [*FRONT[1:], file(30, 0.1, 4999)]
    assert MARGINS["size"] * 5000 < 4999
    assert chosen(close, 4, target)[0] == 11
    assert chosen([close[-1], file(31, 1, 6000)], 4, target)[0] == 30  # unless nothing else is within the limits


@pytest.mark.parametrize("limit", ["2x", "4x"])
def test_half_of_them_lie_where_the_target_is(limit: str) -> None:
    target = Target.parse(size=limit, max_drop=40.0)
    aim = DENSE.size_bytes / float(limit.rstrip("x"))
    found = chosen(FRONT, 6, target)
    assert len(found) == len(set(found)) == 6
    worse = [number for number in SIZES if 10 < number < 18]
    nearest = sorted(worse, key=lambda number: max(SIZES[number] / aim, aim / SIZES[number]))
    assert set(found[:3]) <= set(nearest[:4])
    assert {min(worse), max(worse)} <= set(found)


def test_the_others_span_what_may_be_recovered() -> None:
    found = chosen(FRONT, 4, Target.parse(size="2.9x", max_drop=40.0))
    assert 10 not in found  # nothing is lost
    assert 18 not in found  # too much is
    assert {11, 17} <= set(found)


def test_what_has_lost_too_much_is_trained_where_nothing_else_keeps_the_limits() -> None:
    target = Target.parse(size="9x", max_drop=1.0)  # 1111 bytes
    assert FRONT[-1].value("drop") > MOST_RECOVERED
    assert chosen(FRONT, 3, target)[0] == 18
    assert 18 not in chosen(FRONT, 3, target)[1:]


def test_several_limits_are_all_kept() -> None:
    target = Target.parse(size="2x", macs="2x", max_drop=1.0)
    results = [file(1, 0.5, 4500, 900), file(2, 3, 4600, 450), file(3, 2, 5500, 400), file(4, 8, 3000, 300)]
    assert chosen(results, 1, target) == [2]
    assert sorted(chosen(results, 4, target)) == [1, 2, 3, 4]


def test_limits_that_nothing_keeps_are_come_near_to() -> None:
    target = Target.parse(size="20x", max_drop=1.0)  # 500 bytes
    found = chosen(FRONT, 2, target)
    ranked = sorted(
        (item for item in FRONT if 0 < item.value("drop") <= MOST_RECOVERED),
        key=lambda item: rank_key(target, confirmed_figures(item), DENSE),
    )
    assert found[0] == ranked[0].number


def test_without_limits_the_best_comes_first_and_the_others_span_the_front() -> None:
    target = Target.parse(max_drop=3.0)
    found = chosen(FRONT, 4, target)
    assert found[0] == 14  # the smallest that keeps the drop
    assert {11, 16} <= set(found)
    assert len(found) == 4


@pytest.mark.parametrize("target", [Target.parse(size="2.9x", max_drop=1.0), Target.parse(max_drop=1.0)])
def test_fewer_candidates_than_finalists_are_all_trained(target: Target) -> None:
    few = FRONT[2:5]
    assert sorted(chosen(few, 24, target)) == [item.number for item in few]
    assert chosen(few, 24, target) == chosen(few, 24, target)
    assert chosen([], 4, target) == []


def test_where_nothing_has_lost_anything_the_best_are_trained_all_the_same() -> None:
    none = [file(1, 0.0, 4000), file(2, -0.5, 4500), file(3, -0.1, 4200)]
    found = chosen(none, 2, Target.parse(size="2x", max_drop=1.0))
    assert found[0] == 2
    assert len(found) == 2


@pytest.mark.parametrize("count", range(1, 8))
def test_they_are_never_more_than_asked_for_and_come_once(count: int) -> None:
    costs = Target.parse(size="2.9x", max_drop=40.0), Target.parse(macs="1.5x", max_drop=40.0)
    for target in (*costs, Target.parse(max_drop=40.0)):
        found = chosen(FRONT, count, target)
        assert len(found) == len(set(found)) == count
        assert set(found) <= set(SIZES)


def test_the_nearer_half_rounded_up_survives() -> None:
    target = Target.parse(size="2.9x", max_drop=1.0)
    tuned = [file(1, 0.9, 3000), file(2, 0.5, 5000), file(3, 1.5, 3300), file(4, 0.1, 3400), file(5, 9.0, 1000)]
    assert survivors(tuned, target, DENSE) == [4, 1, 2]
    assert survivors(tuned[:4], target, DENSE) == survivors(tuned, target, DENSE)[:2]
    assert survivors(tuned[:1], target, DENSE) == [1]
    assert survivors([], target, DENSE) == []
    assert survivors(list(reversed(tuned)), target, DENSE) == survivors(tuned, target, DENSE)

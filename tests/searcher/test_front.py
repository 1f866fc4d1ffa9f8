"""Fronts of results."""

from __future__ import annotations

from math import inf
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.pareto import FRONT_ROWS
from searcher.front import (
    NOISE_IMAGES,
    along,
    by_chance,
    confirmed_front,
    cover,
    promising,
    quick_front,
    rows,
    spread,
    useful,
)
from storage.records.measurement import Direction, Measurement, Result, Rung


def result(
    number: int,
    accuracy: float,
    size: int,
    rung: Rung = Rung.CONFIRMED,
    speedup: float | None = None,
    macs: float = 100.0,
    images: int = NOISE_IMAGES,
) -> Result:
    speed = () if speedup is None else (Measurement("predicted_speedup", speedup, "x", Direction.MAXIMIZE),)
    return Result(
        number,
        rung,
        (
            Measurement("accuracy", accuracy, "%", Direction.MAXIMIZE, images),
            Measurement("soft_accuracy", accuracy, "%", Direction.MAXIMIZE, images),
            Measurement("size", size, "bytes", Direction.MINIMIZE),
            Measurement("macs", macs, "macs", Direction.MINIMIZE),
            *speed,
        ),
    )


points = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), max_size=30)


@given(points, st.randoms(use_true_random=False))
def test_a_front_holds_what_nothing_beats_in_any_order_of_the_results(
    found: list[tuple[int, int]], random: Random
) -> None:
    results = [result(number + 1, accuracy, size) for number, (accuracy, size) in enumerate(found)]
    front = confirmed_front(results)
    shuffled = list(results)
    random.shuffle(shuffled)
    assert confirmed_front(shuffled) == front
    numbers = {item.number for item in front}
    for number, (accuracy, size) in enumerate(found):
        beaten = any(
            (a >= accuracy and s <= size and (a > accuracy or s < size)) or ((a, s) == (accuracy, size) and n < number)
            for n, (a, s) in enumerate(found)
        )
        assert (number + 1 in numbers) == (not beaten)
    accuracies = [item.value("accuracy") for item in front]
    assert accuracies == sorted(accuracies, reverse=True)
    assert len(set(accuracies)) == len(accuracies)


def test_an_empty_front() -> None:
    assert quick_front([]) == []
    assert rows([]) == ()


def test_rows_are_thinned_and_keep_the_ends() -> None:
    results = [result(n, 90 - n, 10_000 - 90 * n, Rung.QUICK) for n in range(1, 61)]
    front = quick_front(results)
    assert len(front) == 60
    kept = rows(front)
    assert len(kept) == FRONT_ROWS
    assert [row.position for row in kept] == list(range(FRONT_ROWS))
    assert (kept[0].number, kept[-1].number) == (1, 60)
    assert {row.rung for row in kept} == {Rung.QUICK}
    gaps = np.diff([row.number for row in kept])
    assert gaps.min() >= 1
    assert gaps.max() <= 6


def test_a_spread_keeps_what_it_is_told_to_and_covers_the_rest() -> None:
    front = quick_front([result(n, 90 - n, 10_000 - 90 * n, Rung.QUICK) for n in range(1, 41)])
    chosen = spread(front, 8, keep=[17, 23])
    numbers = [item.number for item in chosen]
    assert len(numbers) == 8
    assert {1, 17, 23, 40} <= set(numbers)
    assert numbers == sorted(numbers)
    assert spread(front[:3], 8, keep=[]) == front[:3]


def test_one_axis_alone_is_covered_by_what_nothing_as_cheap_beats() -> None:
    """Every second result is faster than all others and neither better nor smaller than its neighbour."""
    front = quick_front(
        [result(n, 90 - n, 10_000 - 90 * (n - n % 2), Rung.QUICK, 1.0 + n % 2 * n) for n in range(1, 41)]
    )
    assert len(front) == 40
    assert along(front, "size", 40) == [1, *range(2, 41, 2)]
    few = along(front, "size", 5)
    assert {1, 40} <= set(few)
    assert len(few) == 5
    assert along([], "size", 5) == []
    assert along(front, "predicted_latency", 40) == [1, *range(3, 41, 2)]


@pytest.mark.parametrize("front", [quick_front, confirmed_front])
def test_equal_results_are_represented_by_the_first(front: object) -> None:
    assert callable(front)
    found = front([result(2, 50, 10), result(1, 50, 10), result(3, 50, 11)])
    assert [item.number for item in found] == [1]


def test_a_faster_file_is_in_the_front_though_another_one_is_better_and_smaller() -> None:
    found = confirmed_front([result(1, 90, 10, speedup=2.0), result(2, 89, 11, speedup=2.5)])
    assert [item.number for item in found] == [1, 2]
    assert [item.number for item in confirmed_front([result(1, 90, 10, speedup=2.0), result(2, 89, 11)])] == [1]


def test_a_file_of_unknown_speed_counts_as_the_slowest_and_takes_no_speed_from_the_others() -> None:
    found = confirmed_front([result(1, 90, 12), result(2, 89, 11, speedup=2.0), result(3, 88, 11, speedup=2.5)])
    assert [item.number for item in found] == [1, 2, 3]
    assert [item.number for item in confirmed_front([result(1, 88, 12), result(2, 89, 11, speedup=2.0)])] == [2]


def test_speeds_that_a_prediction_cannot_tell_apart_are_equal() -> None:
    found = confirmed_front([result(1, 90, 10, speedup=2.0), result(2, 89, 11, speedup=2.01)])
    assert [item.number for item in found] == [1]


def test_files_far_below_the_dense_accuracy_are_of_no_use_unless_there_are_no_others() -> None:
    results = [result(1, 85, 10), result(2, 79, 5), result(3, 20, 1)]
    assert [item.number for item in useful(results, 90.0, None)] == [1]
    assert [item.number for item in useful(results, 90.0, 6.0)] == [1, 2]
    assert [item.number for item in useful(results[2:], 90.0, 1.0)] == [3]


def test_macs_are_an_axis_where_the_target_names_them() -> None:
    results = [result(1, 90, 100, macs=100), result(2, 89, 100, macs=50), result(3, 88, 120, macs=50)]
    assert [item.number for item in confirmed_front(results)] == [1]
    assert [item.number for item in confirmed_front(results, macs=True)] == [1, 2]
    assert [item.number for item in quick_front(results, macs=True)] == [1, 2]
    many = [result(number, 90 - number / 10, 100, macs=200 - number) for number in range(1, 60)]
    thinned = rows(confirmed_front(many, macs=True), (), macs=True)
    assert len(thinned) == FRONT_ROWS
    assert {thinned[0].number, thinned[-1].number} == {1, 59}


def test_gaps_along_a_cost_are_covered_by_the_best_in_the_middle_of_the_widest() -> None:
    found = [result(number, accuracy, size) for number, (accuracy, size) in enumerate(COVERED, 1)]
    assert cover(found, "size", [1, 6], 1) == [4]
    assert cover(found, "size", [1, 6], 2) == [4, 2]
    assert cover(found, "size", [1, 4, 6], 9) == [2]  # what is left is too narrow, or near an end


def test_the_dearest_of_all_is_an_end_that_nothing_chosen_needs_to_be() -> None:
    found = [result(number, accuracy, size) for number, (accuracy, size) in enumerate(COVERED, 1)]
    assert cover(found, "size", [6], 1) == [4]
    assert cover(found, "size", [], 9) == []
    assert cover([], "size", [1], 9) == []


def test_narrow_gaps_stay_and_of_equally_good_ones_the_first_covers() -> None:
    narrow = [result(number, 90.0, size) for number, size in enumerate((1090, 1045, 1000), 1)]
    assert cover(narrow, "size", [1, 3], 9) == []
    wide = [result(number, 90.0, size) for number, size in enumerate((1600, 810, 790, 400), 1)]
    assert cover(wide, "size", [1, 4], 1) == [2]


def test_what_is_clearly_worse_than_a_cheaper_one_promises_nothing() -> None:
    found = [result(number, accuracy, size) for number, (accuracy, size) in enumerate(PROMISING, 1)]
    assert [item.number for item in promising(found, "size", 2.0)] == [2, 4, 5, 1]
    assert [item.number for item in promising(found, "size", inf)] == [2, 4, 6, 5, 3, 1]
    assert promising([], "size", 2.0) == []
    equal = [result(1, 80.0, 100), result(2, 85.0, 100), result(3, 84.0, 100)]
    assert [item.number for item in promising(equal, "size", 2.0)] == [2, 3]


def test_chance_falls_with_the_root_of_the_images() -> None:
    assert by_chance(2.0, [result(1, 80.0, 100)]) == by_chance(2.0, []) == 2.0
    assert by_chance(2.0, [result(1, 80.0, 100, images=1024)]) == 1.0
    assert by_chance(2.0, [result(1, 80.0, 100, images=1024), result(2, 80.0, 100, images=64)]) == 4.0


PROMISING = [(89.0, 400), (80.0, 100), (86.0, 300), (89.0, 200), (87.5, 300), (60.0, 200)]  # 3 is worse than 4 by 3
COVERED = [(90.0, 1600), (89.9, 1200), (89.5, 850), (89.8, 800), (89.7, 790), (89.0, 400)]  # accuracy, bytes

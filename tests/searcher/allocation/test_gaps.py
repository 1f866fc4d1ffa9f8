"""Gaps: the next place is where the front of score against cost may grow most."""

from __future__ import annotations

import numpy as np
import pytest

from searcher.allocation.gaps import LEAST_WIDTH, Gaps
from searcher.allocation.problem import QUANTITIES, Values

SIZE = QUANTITIES.index("size")


def following(gaps: Gaps, direction: Values, smallest: float, largest: float) -> float:
    """The next place, of those that there are."""
    found = gaps.next(direction, smallest, largest)
    assert found is not None
    return found


def all_places(gaps: Gaps, smallest: float, largest: float) -> list[float]:
    """Every place along the size."""
    return list(iter(lambda: gaps.next(DIRECTION, smallest, largest), None))


def of_sizes(*sizes: float) -> Values:
    found = np.zeros((len(sizes), len(QUANTITIES)))
    found[:, SIZE] = sizes
    return found


DIRECTION = of_sizes(1.0)[0]


def test_without_scores_the_range_is_halved_again_and_again() -> None:
    gaps = Gaps()
    places = [following(gaps, DIRECTION, 10.0, 1000.0) for _ in range(7)]
    assert places[0] == pytest.approx(100.0)
    assert sorted(places) == pytest.approx([10 * 100 ** (step / 8) for step in range(1, 8)])


def test_the_largest_rectangle_is_the_first() -> None:
    """Between 100 and 200 bytes five points may be gained, elsewhere one: the same ratios everywhere."""
    gaps = Gaps()
    gaps.learn(of_sizes(50.0, 100.0, 200.0, 400.0), [82.0, 83.0, 88.0, 89.0])
    assert following(gaps, DIRECTION, 25.0, 800.0) == pytest.approx(np.sqrt(100.0 * 200.0))


def test_nothing_is_looked_for_where_nothing_can_be_gained() -> None:
    """What is smaller than the best plan by far is as good: all places lie below it."""
    gaps = Gaps()
    gaps.learn(of_sizes(100.0, 900.0), [90.0, 90.0])
    assert all(following(gaps, DIRECTION, 10.0, 1000.0) < 100.0 for _ in range(16))


def test_dominated_plans_and_useless_ones_do_not_count() -> None:
    first, second = Gaps(), Gaps()
    first.learn(of_sizes(100.0, 200.0), [85.0, 90.0])
    second.learn(of_sizes(100.0, 150.0, 200.0, 300.0, 40.0), [85.0, 84.0, 90.0, 89.0, 20.0])
    for _ in range(8):
        assert following(first, DIRECTION, 25.0, 800.0) == following(second, DIRECTION, 25.0, 800.0)


def test_a_near_miss_ends_the_range_as_far_beyond_it_as_it_is_from_what_is_of_use() -> None:
    """Ten points are of use: 200 bytes miss by two, and 100 are as far from them as these are from 400."""
    gaps = Gaps()
    gaps.learn(of_sizes(200.0, 400.0), [78.0, 90.0])
    places = all_places(gaps, 25.0, 800.0)
    assert 100.0 < min(places) < 110.0
    assert max(places) < 400.0


def test_a_failure_does_not_end_the_range() -> None:
    gaps = Gaps()
    gaps.learn(of_sizes(200.0, 400.0), [40.0, 90.0])
    assert min(following(gaps, DIRECTION, 25.0, 800.0) for _ in range(8)) < 100.0


def test_the_last_bits_of_costs_do_not_decide() -> None:
    """Both halves of a gap that is split are equal: rounding must not choose between them."""
    plans = np.random.default_rng(0).uniform(50.0, 900.0, (60, len(QUANTITIES)))
    scores = list(80.0 + 10.0 * plans[:, SIZE] / 900.0)
    direction = np.array([0.0, 1.0, 0.3, 2.0])
    found = []
    for factor in (1.0, 1.0 + 1e-15, 1.0 - 1e-15):
        gaps = Gaps()
        gaps.learn(plans * factor, scores)
        found.append([following(gaps, direction, 100.0, 2500.0) for _ in range(40)])
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert found[0] == pytest.approx(found[2], rel=1e-6)


def test_costs_of_nothing_are_no_error() -> None:
    gaps = Gaps()
    gaps.learn(of_sizes(0.0, 10.0), [80.0, 90.0])
    assert gaps.next(DIRECTION, 0.0, 10.0) is not None


def test_places_that_brought_nothing_are_left() -> None:
    """A plan at the first place is scored, and is beaten by what there is: the next place is another one."""
    gaps = Gaps()
    gaps.learn(of_sizes(100.0, 400.0), [85.0, 90.0])
    place = following(gaps, DIRECTION, 99.0, 401.0)
    gaps.learn(of_sizes(place), [84.0])
    assert following(gaps, DIRECTION, 99.0, 401.0) != pytest.approx(place)


def test_a_plan_that_fills_its_gap_moves_the_search_on() -> None:
    gaps = Gaps()
    gaps.learn(of_sizes(100.0, 200.0, 500.0), [85.0, 89.0, 90.0])
    place = following(gaps, DIRECTION, 99.0, 501.0)
    assert 100.0 < place < 200.0
    gaps.learn(of_sizes(place), [89.0])
    # Left of it the four points are still to be had, at two thirds of the costs; right of it nothing is.
    assert 100.0 < following(gaps, DIRECTION, 99.0, 501.0) < place


def test_one_cost_is_one_direction_whatever_its_weight() -> None:
    gaps = Gaps()
    first = following(gaps, DIRECTION, 10.0, 1000.0)
    second = following(gaps, 3.0 * DIRECTION, 30.0, 3000.0) / 3.0
    assert second != pytest.approx(first)
    assert sorted([second, following(gaps, DIRECTION, 10.0, 1000.0)]) == pytest.approx(
        [first / 10**0.5, first * 10**0.5]
    )


def test_there_is_an_end_and_narrow_gaps_are_not_split() -> None:
    gaps = Gaps()
    gaps.learn(of_sizes(200.0, 400.0), [85.0, 90.0])
    places = all_places(gaps, 100.0, 400.0)
    steps = np.diff(np.log(sorted([100.0, 200.0, *places, 400.0])))
    assert steps.min() >= LEAST_WIDTH
    assert steps.max() < 2 * LEAST_WIDTH


def test_an_empty_range_has_no_place() -> None:
    gaps = Gaps()
    assert gaps.next(DIRECTION, 10.0, 10.0) is None
    gaps.learn(of_sizes(5.0), [50.0])
    assert gaps.next(DIRECTION, 10.0, 10.0) is None

"""How far plans may go, learnt from scores."""

from __future__ import annotations

from math import inf, sqrt

import pytest

from searcher.allocation.reach import MARGIN, Reach


def test_everything_is_in_reach_until_something_fails() -> None:
    reach = Reach()
    assert reach.most_error == inf
    reach.learn([(0.0, 90.0), (5.0, 85.0)], 90.0)
    assert reach.most_error == inf
    reach.learn([], 90.0)
    assert reach.most_error == inf


def test_the_next_plans_lie_between_what_is_of_use_and_what_is_not() -> None:
    reach = Reach()
    reach.learn([(0.1, 90.0), (10.0, 20.0)], 90.0)
    assert reach.most_error == pytest.approx(1.0)


def test_plans_that_turn_out_useful_widen_it_and_useless_ones_narrow_it() -> None:
    reach = Reach()
    reach.learn([(0.1, 90.0), (10.0, 20.0)], 90.0)
    reach.learn([(1.0, 85.0)], 90.0)
    assert reach.most_error == pytest.approx(sqrt(10.0))
    reach.learn([(3.0, 60.0)], 90.0)
    assert reach.most_error == pytest.approx(sqrt(3.0))


def test_it_does_not_end_at_the_largest_error_of_use() -> None:
    """Errors are a proxy: a plan of a larger one may be as good."""
    reach = Reach()
    reach.learn([(1.0, 90.0), (1.01, 20.0), (0.5, 30.0)], 90.0)
    assert reach.most_error == pytest.approx(MARGIN)
    other = Reach()
    other.learn([(1.0, 90.0), (0.5, 30.0)], 90.0)
    assert other.most_error == pytest.approx(MARGIN)


def test_where_nothing_is_of_use_the_next_plans_are_far_below() -> None:
    reach = Reach()
    reach.learn([(1.0, 20.0)], 90.0)
    assert reach.most_error == pytest.approx(0.1)
    reach.learn([(0.0, 90.0), (0.1, 30.0)], 90.0)
    assert reach.most_error == pytest.approx(0.01)

"""The knee: points on paper, and what must hold of any front."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.knee import knee
from objectives.pareto import non_dominated

NUMBERS = st.integers(-50, 50)
POINTS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=0, max_size=20)


def test_the_corner_of_a_bent_front() -> None:
    assert knee([(0, 10), (8, 9), (10, 0), (3, 3)]) == 1


def test_axes_are_scaled_before_distances_are_compared() -> None:
    assert knee([(0, 1.0), (800, 0.9), (1000, 0.0)]) == 1
    assert knee([(0, 1.0), (800, 0.9), (900, 0.85), (1000, 0.0)]) == 2


def test_straight_and_hollow_fronts_have_none() -> None:
    assert knee([(0, 2), (1, 1), (2, 0)]) is None
    assert knee([(0, 0.3), (0.1, 0.2), (0.2, 0.1), (0.3, 0)]) is None
    assert knee([(0, 10), (1, 1), (10, 0)]) is None


@pytest.mark.parametrize("points", [np.zeros((0, 2)), [(1, 1)], [(0, 1), (1, 0)], [(0, 1), (1, 0), (0, 0)]])
def test_two_ends_need_something_between_them(points: object) -> None:
    assert knee(points) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("points", [[(0, 1, 2)], [1, 2], [(0, float("nan"))], [(0, float("inf"))]])
def test_wrong_points_are_refused(points: object) -> None:
    with pytest.raises(ValueError, match=r"must|knee|holds"):
        knee(points)  # type: ignore[arg-type]


@given(POINTS)
def test_a_knee_is_on_the_front_and_beyond_the_line_of_its_ends(points: list[tuple[int, int]]) -> None:
    rows = np.array(points, dtype=float).reshape(-1, 2)
    found = knee(rows)
    if found is None:
        return
    assert non_dominated(rows)[found]
    front = rows[non_dominated(rows)]
    low, high = front.min(axis=0), front.max(axis=0)
    beyond = ((front - low) / (high - low)).sum(axis=1)
    assert ((rows[found] - low) / (high - low)).sum() == pytest.approx(beyond.max())
    assert beyond.max() > 1


@given(POINTS, st.integers(1, 9), st.integers(-9, 9))
def test_units_do_not_matter(points: list[tuple[int, int]], factor: int, shift: int) -> None:
    rows = np.array(points, dtype=float).reshape(-1, 2)
    first, second = knee(rows), knee(rows * [factor, 1] + [shift, 0])
    if first is None or second is None:
        assert first == second
        return
    front = rows[non_dominated(rows)]
    low, high = front.min(axis=0), front.max(axis=0)
    values = ((rows[[first, second]] - low) / (high - low)).sum(axis=1)
    assert values[0] == pytest.approx(values[1])  # of knees as good as each other either may be named

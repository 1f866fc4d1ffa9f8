"""Fronts against their definition, and thinning."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from objectives.pareto import FRONT_ROWS, non_dominated, thin

# Few distinct values, so that ties and copies are common.
COARSE = st.integers(min_value=-3, max_value=3).map(float) | st.sampled_from([-np.inf, np.inf])
FINE = st.floats(min_value=-10, max_value=10, allow_nan=False)


def tables(values: st.SearchStrategy[float]) -> st.SearchStrategy[npt.NDArray[np.float64]]:
    shapes = st.tuples(st.integers(min_value=0, max_value=25), st.integers(min_value=1, max_value=4))
    return shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=values))


def by_definition(points: npt.NDArray[np.float64]) -> list[bool]:
    kept = []
    for index, point in enumerate(points):
        dominated = any((other >= point).all() and (other > point).any() for other in points)
        copy = any((other == point).all() for other in points[:index])
        kept.append(not dominated and not copy)
    return kept


@settings(deadline=None, max_examples=300)
@given(tables(COARSE) | tables(FINE))
def test_front_is_what_the_definition_says(points: npt.NDArray[np.float64]) -> None:
    assert non_dominated(points).tolist() == by_definition(points)


def test_first_of_equal_points_stays() -> None:
    assert non_dominated([[1, 2], [2, 1], [1, 2], [0, 0]]).tolist() == [True, True, False, False]
    assert non_dominated([[1.0], [3.0], [3.0]]).tolist() == [False, True, False]
    assert non_dominated([[0.0, 1.0, 0.0], [-0.0, 1.0, 0.0]]).tolist() == [True, False]


def test_input_is_left_alone() -> None:
    points = np.random.default_rng(0).normal(size=(50, 3))
    before = points.copy()
    non_dominated(points)
    thin(points, 5)
    assert np.array_equal(points, before)


@pytest.mark.parametrize("wrong", [[[1.0, np.nan]], [1.0, 2.0], np.zeros((3, 0))])
def test_front_refuses_nan_and_other_shapes(wrong: npt.ArrayLike) -> None:
    with pytest.raises(ValueError, match="point"):
        non_dominated(wrong)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("everything_on_the_front", [False, True])
def test_ten_thousand_points_take_no_time(axes: int, everything_on_the_front: bool) -> None:
    points = np.random.default_rng(axes).normal(size=(10_000, axes))
    if everything_on_the_front and axes > 1:
        points[:, -1] = -points[:, :-1].sum(axis=1)
    start = time.process_time()
    front = non_dominated(points)
    assert time.process_time() - start < 1.0  # 0.03 s on an idle machine; a double loop takes a minute
    assert front.all() == (everything_on_the_front and axes > 1)


def front_of(count: int, seed: int = 0) -> npt.NDArray[np.float64]:
    x = np.random.default_rng(seed).uniform(size=count)
    return np.stack([x, np.sqrt(1 - x**2)], axis=1)


@settings(deadline=None)
@given(
    st.integers(min_value=1, max_value=60),
    st.integers(min_value=0, max_value=30),
    st.integers(min_value=0, max_value=5),
    st.data(),
)
def test_thin_keeps_count_extremes_and_favourites(total: int, count: int, seed: int, data: st.DataObject) -> None:
    points = front_of(total, seed)
    keep = data.draw(st.lists(st.integers(min_value=0, max_value=total - 1), unique=True, max_size=4))
    chosen = thin(points, count, keep)
    assert len(chosen) == min(total, count)
    assert list(chosen) == sorted(set(chosen))
    assert set(keep[:count]) <= set(chosen)
    if count >= len(keep) + 2:
        assert {int(points[:, 0].argmax()), int(points[:, 1].argmax())} <= set(chosen)
    assert thin(points, count, keep) == chosen


def test_thin_spreads_over_the_front() -> None:
    # 90 points crowd one end of a line: those chosen still divide the line about evenly.
    x = np.concatenate([np.linspace(0.0, 0.1, 90), np.linspace(0.1, 1.0, 46)[1:]])
    points = np.stack([x, -x], axis=1)
    gaps = np.diff(np.sort(x[list(thin(points, 9, ()))]))
    assert gaps.max() <= 0.15
    assert gaps.min() >= 0.05


def test_thin_scales_objectives() -> None:
    points = front_of(100)
    assert thin(points * [1.0, 1e6] + [0.0, 5e6], 10, [3]) == thin(points, 10, [3])


def test_thin_leaves_copies_out_and_small_fronts_alone() -> None:
    assert thin([[0.0, 1.0]] * 5 + [[1.0, 0.0]], 3, ()) == (0, 5)
    assert thin([[0.0, 1.0], [1.0, 0.0]], FRONT_ROWS) == (0, 1)
    assert thin(np.empty((0, 2)), FRONT_ROWS) == ()


def test_thin_takes_the_better_of_equally_extreme_points() -> None:
    points = [[1.0, 0.0], [1.0, 0.5], [0.0, 1.0], [0.5, 0.4]]
    assert thin(points, 2) == (1, 2)


@pytest.mark.parametrize(("count", "keep"), [(-1, ()), (2, (3,)), (2, (-1,))])
def test_thin_refuses_impossible_requests(count: int, keep: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="3 points"):
        thin(front_of(3), count, keep)


def test_thin_refuses_infinity() -> None:
    with pytest.raises(ValueError, match="finite"):
        thin([[np.inf, 0.0], [0.0, 1.0]], 1)

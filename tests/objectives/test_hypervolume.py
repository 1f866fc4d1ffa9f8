"""Hypervolume against inclusion-exclusion, Monte Carlo and values worked out by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from objectives.hypervolume import hypervolume, normalised, normalised_so_far

COORDINATES = st.integers(min_value=-1, max_value=4).map(float) | st.floats(min_value=-1, max_value=4)


def tables(most: int) -> st.SearchStrategy[npt.NDArray[np.float64]]:
    shapes = st.tuples(st.integers(min_value=0, max_value=most), st.integers(min_value=1, max_value=3))
    return shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=COORDINATES))


def by_inclusion_exclusion(points: npt.NDArray[np.float64]) -> float:
    boxes = np.maximum(points, 0.0)
    return sum(
        (-1.0) ** (size + 1) * float(np.prod(boxes[list(chosen)].min(axis=0)))
        for size in range(1, len(boxes) + 1)
        for chosen in combinations(range(len(boxes)), size)
    )


@settings(deadline=None, max_examples=200)
@given(tables(7))
def test_equals_inclusion_exclusion(points: npt.NDArray[np.float64]) -> None:
    expected = by_inclusion_exclusion(points)
    assert hypervolume(points, np.zeros(points.shape[1])) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_monte_carlo(axes: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    points = generator.uniform(size=(40, axes))
    samples = generator.uniform(size=(40_000, axes))
    covered = np.mean([bool((sample <= points).all(axis=1).any()) for sample in samples])
    assert hypervolume(points, np.zeros(axes)) == pytest.approx(covered, abs=0.012)  # five standard errors


@settings(deadline=None)
@given(tables(12), st.integers(min_value=0, max_value=1000))
def test_invariants(points: npt.NDArray[np.float64], seed: int) -> None:
    generator = np.random.default_rng(seed)
    axes = points.shape[1]
    shift, scale = generator.normal(size=axes), generator.uniform(0.5, 2.0, size=axes)
    volume = hypervolume(points, np.zeros(axes))
    assert hypervolume(points[generator.permutation(len(points))], np.zeros(axes)) == pytest.approx(volume)
    moved = hypervolume(points * scale + shift, shift)
    assert moved == pytest.approx(volume * float(np.prod(scale)), rel=1e-7, abs=1e-7)
    assert hypervolume(np.vstack([points, points]), np.zeros(axes)) == pytest.approx(volume)
    more = np.vstack([points, generator.uniform(0, 4, size=(1, axes))])
    assert hypervolume(more, np.zeros(axes)) >= volume - 1e-9


def test_by_hand() -> None:
    assert hypervolume([[3.0], [2.0]], [1.0]) == 2.0
    assert hypervolume([[2.0, 1.0], [1.0, 2.0]], [0.0, 0.0]) == 3.0
    assert hypervolume([[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0]], [0.0, 0.0, 0.0]) == 4.0
    assert hypervolume(np.empty((0, 3)), [0.0, 0.0, 0.0]) == 0.0
    assert hypervolume([[5.0, 0.0]], [0.0, 0.0]) == 0.0  # on the reference's plane


@pytest.mark.parametrize(
    ("points", "reference", "message"),
    [
        (np.zeros((2, 4)), np.zeros(4), "at most 3"),
        (np.zeros((2, 2)), np.zeros(3), "reference"),
        ([[np.inf, 1.0]], [0.0, 0.0], "finite"),
        ([[np.nan, 1.0]], [0.0, 0.0], "NaN"),
    ],
)
def test_refusals(points: npt.ArrayLike, reference: npt.ArrayLike, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hypervolume(points, reference)


def test_normalised_axes() -> None:
    # At the dense accuracy, one doubling is a quarter of the size axis; five points down, half of that.
    assert normalised([90.0], 90.0, [2.0]) == pytest.approx(0.25)
    assert normalised([85.0], 90.0, [2.0]) == pytest.approx(0.125)
    assert normalised([90.0], 90.0, [16.0], [8.0]) == pytest.approx(1.0)
    assert normalised([90.0], 90.0, [16.0], [2.0]) == pytest.approx(1 / 3)


def test_normalised_ignores_what_is_below_the_reference_and_does_not_clip_above() -> None:
    assert normalised([79.9, 90.0, 90.0], 90.0, [16.0, 0.5, 1.0]) == 0.0
    assert normalised([90.0], 90.0, [16.0], [0.9]) == 0.0
    assert normalised([95.0], 90.0, [16.0]) == pytest.approx(1.5)
    assert normalised([90.0], 90.0, [32.0]) == pytest.approx(1.25)
    assert normalised([], 90.0, []) == 0.0


def test_normalised_takes_the_union() -> None:
    assert normalised([90.0, 85.0], 90.0, [4.0, 16.0]) == pytest.approx(0.5 + 0.5 * 0.5)


@pytest.mark.parametrize(
    ("accuracy", "ratio", "message"),
    [
        ([90.0], [0.0], "above 0"),
        ([90.0], [np.nan], "above 0"),
        ([90.0], [1.0, 2.0], "length"),
        (90.0, [1.0], "shape"),
    ],
)
def test_normalised_refusals(accuracy: npt.ArrayLike, ratio: npt.ArrayLike, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        normalised(accuracy, 90.0, ratio)


@given(st.lists(st.tuples(st.floats(60, 95), st.floats(0.25, 64)), max_size=12))
def test_the_growth_is_the_hypervolume_of_every_beginning(models: list[tuple[float, float]]) -> None:
    accuracy, ratios = [item[0] for item in models], [item[1] for item in models]
    found = normalised_so_far(accuracy, 90.0, ratios)
    assert len(found) == len(models)
    for count in range(1, len(models) + 1):
        assert found[count - 1] == pytest.approx(normalised(accuracy[:count], 90.0, ratios[:count]), abs=1e-9)


@pytest.mark.parametrize(
    ("accuracy", "ratios"), [([90.0], []), ([float("nan")], [2.0]), ([90.0], [0.0]), ([[90.0]], [2.0])]
)
def test_the_growth_of_wrong_columns_is_refused(accuracy: list[float], ratios: list[float]) -> None:
    with pytest.raises(ValueError, match=r"length|finite|above 0|shape"):
        normalised_so_far(accuracy, 90.0, ratios)

"""Predicted against measured latencies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from objectives.prediction import compare

POSITIVE = st.floats(0.001, 1000)


def test_exact_predictions() -> None:
    found = compare([1, 2, 3], [1, 2, 3])
    assert (found.plans, found.spearman, found.median_error, found.largest_error) == (3, 1, 0, 0)


def test_errors_are_relative_to_what_was_measured() -> None:
    found = compare([1.1, 2.0, 6.0], [1.0, 2.0, 4.0])
    assert found.median_error == pytest.approx(0.1)
    assert found.largest_error == pytest.approx(0.5)
    assert found.spearman == 1


def test_reversed_order() -> None:
    assert compare([1, 2, 3], [3, 2, 1]).spearman == pytest.approx(-1)


def test_a_prediction_without_order_says_nothing() -> None:
    assert compare([2, 2, 2], [1, 2, 3]).spearman == 0


def test_text() -> None:
    assert compare([1.1, 2.0], [1.0, 2.0]).text == "2 plans: Spearman 1.00, median error 5.0 %, largest 10.0 %"


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=3, max_size=30))
def test_spearman_is_scipys(pairs: list[tuple[float, float]]) -> None:
    left, right = zip(*pairs, strict=True)
    if len(set(left)) > 1 and len(set(right)) > 1:
        assert compare(left, right).spearman == pytest.approx(float(spearmanr(left, right)[0]), abs=1e-9)


@pytest.mark.parametrize(
    ("predicted", "measured"),
    [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([0.0, 1.0], [1.0, 1.0]), ([1.0, np.nan], [1.0, 1.0]), ([], [])],
)
def test_what_cannot_be_compared_is_refused(predicted: list[float], measured: list[float]) -> None:
    with pytest.raises(ValueError, match=r"compared|positive"):
        compare(predicted, measured)

"""Bootstrap bounds: coverage, a reference, repeatability."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from objectives import bootstrap as module
from objectives.bootstrap import bootstrap_bounds
from objectives.paired import equal_bounds

SKEWED = np.random.default_rng(5).beta(0.3, 2.0, size=120)


def test_scipy_finds_the_same() -> None:
    lower, upper = bootstrap_bounds(SKEWED, 0.95)
    reference = bootstrap(
        (SKEWED,), np.mean, n_resamples=20_000, confidence_level=0.9, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    assert (lower, upper) == pytest.approx((reference.low, reference.high), abs=0.003)
    assert upper - SKEWED.mean() > SKEWED.mean() - lower  # as skewed as what it is of
    mirrored = bootstrap_bounds(-SKEWED, 0.95)
    assert mirrored == pytest.approx((-upper, -lower), abs=0.003)


def test_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAWS", 1000)
    generator = np.random.default_rng(2)
    kinds, chances = np.array([-0.05, 0.0, 0.01, 0.3]), np.array([0.2, 0.4, 0.3, 0.1])
    bounds = np.array([bootstrap_bounds(generator.choice(kinds, 200, p=chances), 0.95) for _ in range(800)])
    truth = float(kinds @ chances)
    # Nominal 95 %; 800 draws have a standard error of 0.8.
    assert 0.93 <= (bounds[:, 0] <= truth).mean() <= 0.975
    assert 0.93 <= (bounds[:, 1] >= truth).mean() <= 0.975


def test_the_same_differences_have_the_same_bounds_however_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    first = bootstrap_bounds(SKEWED, 0.95)
    assert bootstrap_bounds(SKEWED, 0.95) == first
    monkeypatch.setattr(module, "CHUNK", 60_000)
    assert bootstrap_bounds(SKEWED, 0.95) == pytest.approx(first, abs=0.003)


def test_more_confidence_is_wider_and_stays_within_what_was_seen() -> None:
    bounds = [bootstrap_bounds(SKEWED, confidence) for confidence in (0.6, 0.95, 0.998)]
    lower, upper = np.transpose(bounds)
    assert (np.diff(lower) < 0).all()
    assert (np.diff(upper) > 0).all()
    assert lower[-1] >= SKEWED.min()
    assert upper[-1] <= SKEWED.max()


@pytest.mark.parametrize("difference", [0.0, 0.25])
def test_equal_differences_still_leave_a_width(difference: float) -> None:
    assert bootstrap_bounds(np.full(50, difference), 0.95) == equal_bounds(difference, 50, 0.95)


def test_one_that_differs_is_enough() -> None:
    differences = np.zeros(1000)
    differences[3] = 0.5
    lower, upper = bootstrap_bounds(differences, 0.95)
    assert 0.0 == lower < differences.mean() < upper

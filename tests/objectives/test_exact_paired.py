"""The exact bound: its coverage summed up, not simulated; a plain search beside it; edges and order."""

from __future__ import annotations

import time
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import multinomial

from objectives.exact_paired import TOLERANCE, exact_upper
from objectives.paired import tango_upper

FEW, SOME, MANY = 20, 40, 60  # images
MOST_DISCORDANT = 12  # of MANY: the results that are summed up
TIED = 1e-9


@cache
def upper(lost: int, won: int, n: int, confidence: float = 0.95) -> float:
    return exact_upper(lost, won, n, confidence)


def chance(n: int, pairs: npt.ArrayLike, shares: tuple[float, float]) -> float:
    """Of [k, 2] results, images lost and won, by the trinomial distribution."""
    counts = np.asarray(pairs)
    cells = np.column_stack([counts, n - counts.sum(axis=1)])
    return float(multinomial.pmf(cells, n, [*shares, max(0.0, 1.0 - sum(shares))]).sum())


def results(n: int, most: int) -> list[tuple[int, int]]:
    return [(lost, won) for lost in range(most + 1) for won in range(most + 1 - lost)]


@pytest.mark.parametrize("confidence", [0.95, 0.99])
@pytest.mark.parametrize(
    "shares", [(0.3, 0.3), (0.05, 0.15), (0.05, 0.05), (0.02, 0.0), (0.14, 0.0), (0.0, 0.4), (0.5, 0.45), (0.9, 0.05)]
)
def test_coverage_of_few_images(shares: tuple[float, float], confidence: float) -> None:
    covered = [pair for pair in results(FEW, FEW) if upper(*pair, FEW, confidence) >= shares[0] - shares[1]]
    assert chance(FEW, covered, shares) >= confidence


@pytest.mark.parametrize(("n", "shares"), [(SOME, (0.07, 0.03)), (MANY, (0.03, 0.02)), (MANY, (0.048, 0.0))])
def test_coverage_of_more_images(n: int, shares: tuple[float, float]) -> None:
    """What is left out, a chance below 0.001, counts as not covered."""
    covered = [pair for pair in results(n, MOST_DISCORDANT) if upper(*pair, n) >= shares[0] - shares[1]]
    assert chance(n, covered, shares) >= 0.95


def test_tango_alone_would_not_cover() -> None:
    """The reason for all this: 7 of 100 such studies would be told a bound that does not hold."""
    shares = (0.05, 0.15)
    covered = [pair for pair in results(FEW, FEW) if tango_upper(*pair, FEW) >= shares[0] - shares[1]]
    assert chance(FEW, covered, shares) < 0.93


def plain_p_value(lost: int, won: int, n: int, drop: float) -> float:
    """Every result, the statistic as it is written in the paper, and 400 nuisance shares."""
    every = np.array(results(n, n))
    first, second = every.T
    # Tango's equation for the most likely share won, by its coefficients.
    b = -first - second + (2 * n - first + second) * drop
    share = (np.sqrt(np.maximum(0, b**2 + 8 * n * second * drop * (1 - drop))) - b) / (4 * n)
    statistic = (first - second - n * drop) / np.sqrt(n * (2 * share + drop * (1 - drop)))
    seen = statistic[(first == lost) & (second == won)]
    inside = statistic <= seen + TIED
    shares = np.linspace(max(0.0, -drop), max(0.0, -drop) + (1 - abs(drop)) / 2, 400)
    return max(chance(n, every[inside], (share + drop, share)) for share in shares)


@pytest.mark.parametrize(("lost", "won", "n"), [(2, 1, 12), (0, 0, 9), (0, 3, 10), (6, 1, 11), (4, 4, 8)])
def test_a_plain_search_finds_the_same(lost: int, won: int, n: int) -> None:
    bound = upper(lost, won, n)
    step = 2e-4
    assert plain_p_value(lost, won, n, bound - step) > 0.05
    assert max(plain_p_value(lost, won, n, bound + much) for much in (step, 10 * step, 50 * step)) <= 0.05


@pytest.mark.parametrize(("lost", "won", "n"), [(100, 100, 5000), (30, 20, 5000), (300, 120, 10_000)])
def test_it_is_hardly_above_tangos_bound_of_many_images(lost: int, won: int, n: int) -> None:
    points = 100 * (upper(lost, won, n) - tango_upper(lost, won, n))
    assert 0 <= points < 0.015


def test_a_bound_that_leaps_is_the_largest() -> None:
    # Between -0.0529 and -0.0490 all drops are rejected, a few above them are not.
    assert upper(16, 39, 192) == pytest.approx(-0.0488, abs=2e-4)


@pytest.mark.parametrize("n", [1, 20, 1000, 10_000])
def test_no_discordant_images(n: int) -> None:
    """The rule of three is what the nuisance share of 0 gives; no other gives less."""
    rule = 1 - 0.05 ** (1 / n)
    assert rule - TOLERANCE <= upper(0, 0, n) <= 1.05 * rule


def test_everything_lost_or_won() -> None:
    assert upper(30, 0, 30) == 1.0
    # With one share alone it is the binomial's exact bound: all of n are won with a chance of 0.05.
    assert -1.0 < 1 - 2 * 0.05 ** (1 / 30) <= upper(0, 30, 30) < -0.7
    assert 0 <= upper(15, 15, 30) < 0.5


def test_it_grows_with_the_lost_and_falls_with_the_won() -> None:
    bounds = np.array([[upper(lost, won, SOME) for won in range(5)] for lost in range(5)])
    assert (np.diff(bounds, axis=0) > 0).all()
    assert (np.diff(bounds, axis=1) < TOLERANCE).all()
    drops = np.subtract.outer(np.arange(5), np.arange(5)) / SOME
    assert (bounds > drops).all()


def test_more_images_or_less_confidence_are_less() -> None:
    assert upper(3, 2, 400) < upper(3, 2, 200) < upper(3, 2, 200, 0.99) < upper(3, 2, 200, 0.9979)
    assert upper(3, 2, 200, 0.6) > 0.005


def test_it_is_quick() -> None:
    began = time.process_time()
    exact_upper(210, 190, 10_000)
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize(("lost", "won", "n"), [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_impossible_counts_are_refused(lost: int, won: int, n: int) -> None:
    with pytest.raises(ValueError, match="impossible"):
        exact_upper(lost, won, n)


@pytest.mark.parametrize("confidence", [0.5, 1.0, float("nan")])
def test_impossible_confidences_are_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match=r"above 0\.5 and below 1"):
        exact_upper(1, 1, 5, confidence)

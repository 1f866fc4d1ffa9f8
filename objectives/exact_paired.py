"""Exact bound of a drop of paired shares: for the certificate, which may not be wrong more often than it says."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from math import ceil, log, pi, sqrt

import numpy as np
import numpy.typing as npt

from objectives.paired import CONFIDENCE, tango_upper, tango_variance

Floats = npt.NDArray[np.float64]

TAIL = 1e-12  # probability that a sum may leave out; it is added to the p-value
TIE = 1e-9  # statistics this close are equal: by rounding alone no result is less extreme than the observed one
TOLERANCE = 1e-6  # of a bound, as a share: a hundredth of the last digit that is shown of a drop in points
# A p-value mostly falls as the drop grows, but can leap up where a result becomes as extreme as the observed one.
# The search comes from above, from where p is so far below the level that no leap can reach it.
FAR = 4.0  # times below the level
STEPS = 24  # from there down to Tango's bound
MANY_STEPS = 96  # of few images, each of which is a larger part of p
FEW_IMAGES = 200
# Grid of the nuisance share. p as a function of it has no detail finer than the standard deviation of a count, and
# less where counts are large, as the leaps of many numbers won cancel each other there.
FINE = 0.25  # of the standard deviation, near the ends
COARSE = 0.0625
RIPPLED = 0.6
PEAKS = 4  # best points of the grid, the surroundings of which are searched once more
FINER = 17  # points around each
ROUGH = 1e-2  # part of p that the grid may miss before it is made finer
# That grid's p-value was within 1e-5 of that of one twenty times as fine, in 1,000 draws of n from 5 to 50,000.
SLACK = 1e-4  # part of p that is added for what lies between its points


def exact_upper(lost: int, won: int, n: int, confidence: float = CONFIDENCE) -> float:
    """One-sided upper bound of the drop of a share that keeps its confidence whatever the true shares are.

    The largest drop that an exact unconditional test does not reject: results are ordered by the score statistic of
    Tango (1998), "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design", Statistics in Medicine 17:891-908, and the p-value is the largest probability of results at least as
    extreme, over the nuisance share, by Hsueh, Liu and Chen (2001), "Unconditional exact tests for equivalence or
    noninferiority for paired binary endpoints", Biometrics 57:478-483. Chan and Zhang (1999), "Test-based exact
    confidence intervals for the difference of two binomial proportions", Biometrics 55:1202-1209, make intervals of
    such tests.

    "Largest" is numerical, over drops and over the nuisance share alike: a grid, finer around its best points. What is
    between its points, and what the sums leave out, is allowed for by SLACK and TAIL.

    Args:
        lost: images that only the dense model gets right.
        won: images that only the candidate gets right.
        n: all images, >= 1 and >= lost + won.
        confidence: in (0.5, 1).

    Returns:
        A drop in [-1, 1]; the lower bound is `-exact_upper(won, lost, n)`.

    Raises:
        ValueError: counts that no n images can give, or a confidence outside (0.5, 1).
    """
    if not 0.5 < confidence < 1.0:
        raise ValueError(f"a confidence is above 0.5 and below 1, not {confidence}")
    level = 1.0 - confidence
    start = tango_upper(lost, won, n, confidence)
    if lost == n:
        return 1.0
    # All but "all lost" has a chance of at most 1 - drop^n, so that larger drops than this one are rejected.
    high = confidence ** (1.0 / n)
    width, was_clear = (high - start) / 2.0, True
    while True:
        low = max(-1.0, high - width)
        is_clear = low > -1.0 and _is_clear(lost, won, n, low, high, level)
        if is_clear:
            high = low
        elif width <= TOLERANCE:
            return high
        # Half of what was not clear is: the other half is not, most likely.
        width = 2.0 * width if is_clear and was_clear else max(TOLERANCE, width / 2.0)
        was_clear = is_clear


def _is_clear(lost: int, won: int, n: int, low: float, high: float, level: float) -> bool:
    """Whether every drop from `low` to `high`, within (-1, 1), is rejected at `level`.

    Of any set of results that holds with one also those with fewer lost or more won, the largest probability falls as
    the drop grows. So all are rejected if at `low` the results that are as extreme at one end or the other are at most
    as likely as `level`.
    """
    region = _Region(n, low, np.maximum(_limits(lost, won, n, low), _limits(lost, won, n, high)))
    grid = _grid(n, low, level)
    chances = region.chances(grid)
    largest = float(chances.max())
    if largest > level or largest * (1.0 + ROUGH) + TAIL <= level:
        return largest <= level
    around = [
        np.linspace(grid[max(0, at - 1)], grid[min(at + 1, len(grid) - 1)], FINER)
        for at in np.argsort(-chances)[:PEAKS]
    ]
    largest = max(largest, float(region.chances(np.concatenate(around)).max()))
    return largest * (1.0 + SLACK) + TAIL <= level


@dataclass(frozen=True, eq=False)
class _Region:
    """Results of n images: for each number won, all numbers lost up to a limit; and a drop at which they are judged."""

    n: int
    drop: float
    limits: Floats  # [n + 1], for 0 ... n images won; -1 where no number lost is in it

    @property
    def top(self) -> float:
        """Largest share of discordant images that cancel each other, counted once for each pair."""
        return (1.0 - abs(self.drop)) / 2.0

    def chances(self, angles: Floats) -> Floats:
        """[k] probability of the region where `top * sin(angle)^2` is the share of pairs that cancel, for [k] angles
        in [0, pi / 2]; TAIL is left out at most.
        """
        from scipy.special import bdtr, gammaln, xlog1py, xlogy

        n = self.n
        share = np.minimum(1.0, max(0.0, -self.drop) + self.top * np.sin(angles) ** 2)  # won
        # Bernstein's inequality: a binomial count is this near to its mean but for TAIL.
        depth = log(2.0 / TAIL)
        reach = depth / 3.0 + np.sqrt(depth**2 / 9.0 + 2.0 * depth * n * share * (1.0 - share))
        first = np.maximum(0, np.floor(n * share - reach)).astype(np.int64)
        last = np.minimum(n, np.ceil(n * share + reach)).astype(np.int64)
        widths = last - first + 1
        starts = np.cumsum(widths) - widths
        won = np.arange(int(widths.sum())) - np.repeat(starts - first, widths)
        left = n - won
        factorials = gammaln(np.arange(1.0, n + 2.0))
        each = np.repeat(share, widths)
        chance = np.exp(factorials[n] - factorials[won] - factorials[left] + xlogy(won, each) + xlog1py(left, -each))
        # Of those not won, each is lost with this probability.
        among = np.clip((share + self.drop) / np.maximum(1.0 - share, TAIL), 0.0, 1.0)
        limit = self.limits[won]
        below = (limit >= left).astype(np.float64)
        partly = (limit >= 0.0) & (limit < left)
        below[partly] = bdtr(limit[partly], left[partly], np.repeat(among, widths)[partly])
        sums: Floats = np.add.reduceat(chance * below, starts)
        return sums


def _limits(lost: int, won: int, n: int, drop: float) -> Floats:
    """[n + 1] of results at least as extreme as the observed one: the most lost for 0 ... n won; -1 where none is.

    Bisects for all at once, as the statistic grows with the number lost (Barnard's convexity).
    """
    observed = _statistic(np.array([float(lost)]), np.array([float(won)]), n, drop)[0] + TIE
    wins = np.arange(n + 1.0)
    low, high = np.full(n + 1, -1.0), n - wins + 1.0
    for _ in range(ceil(log(n + 2.0, 2.0))):
        middle = np.floor((low + high) / 2.0)
        inside = (middle < 0.0) | (_statistic(middle, wins, n, drop) <= observed)
        inside &= middle < high  # where both ends have met, nothing moves any more
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return low


def _statistic(lost: Floats, won: Floats, n: int, drop: float) -> Floats:
    """Tango's score statistic: negative where results speak for a smaller drop."""
    distance = lost - won - n * drop
    variance = tango_variance(lost, won, n, drop)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distance == 0.0, 0.0, distance / np.sqrt(variance))


def _grid(n: int, drop: float, level: float) -> Floats:
    """Angles from 0 to pi / 2 for `_Region.chances`, closest at both ends."""
    top = (1.0 - abs(drop)) / 2.0
    deviation = 1.0 / (2.0 * sqrt(max(1.0, n * top)))  # of an angle: arcsin(sqrt(share)) has the same everywhere
    z = -NormalDist().inv_cdf(level)
    rippled = RIPPLED / z * sqrt(abs(drop) * (1.0 - abs(drop)) / top)
    angles = [0.0]
    while angles[-1] < pi / 4.0:
        angles.append(angles[-1] + max(FINE * deviation, COARSE * (angles[-1] - rippled)))
    half = np.array([*angles[:-1], pi / 4.0])
    return np.concatenate([half, pi / 2.0 - half[-2::-1]])

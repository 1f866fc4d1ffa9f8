"""Exact bound of a drop of paired shares: for the certificate, which may not be wrong more often than it says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, log, pi, sqrt

import numpy as np
import numpy.typing as npt

from objectives.paired import CONFIDENCE, tango_upper, tango_variance

Floats = npt.NDArray[np.float64]

TAIL = 1e-12  # probability that a sum may leave out; it is added to the p-value
TIE = 1e-9  # statistics this close are equal: by rounding alone no result is less extreme than the observed one
TOLERANCE = 2e-6  # of the bound, as a share: a fiftieth of the last digit that is shown of a drop in points
LEAST_PART = 8  # of the distance from the observed drop to Tango's bound, one in so many may be searched in one step

# Grid of the nuisance share. As a function of it the probability has no detail finer than the standard deviation of a
# count, and less where counts are large: there the leaps at many numbers won cancel each other.
FINE = 0.25  # of that standard deviation, at the ends
COARSE = 1 / 16  # of the distance to the end, elsewhere
PEAKS = 4  # best points of the grid, the surroundings of which are searched once more
FINER = 17  # points around each
SPARSE = 4  # every so many points of the grid are tried first: many drops are not rejected by these alone
# Grids ten times as fine had p-values at most 0.9 % larger before that second search and at most 0.016 % after it, in
# 1,200 draws of results of 5 to 50,000 images.
ROUGH = 2e-2  # part of p that the grid may miss
SLACK = 1e-3  # part of p that the second search may miss; it is added


def exact_upper(lost: int, won: int, n: int, confidence: float = CONFIDENCE) -> float:
    """One-sided upper bound of the drop of a share that keeps its confidence whatever the true shares are.

    The largest drop that an exact unconditional test does not reject. Results are ordered by the score statistic of
    Tango (1998), "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design", Statistics in Medicine 17:891-908; the p-value is the largest probability of results at least as extreme,
    over the nuisance share, as in Hsueh, Liu and Chen (2001), "Unconditional exact tests for equivalence or
    noninferiority for paired binary endpoints", Biometrics 57:478-483. Chan and Zhang (1999), "Test-based exact
    confidence intervals for the difference of two binomial proportions", Biometrics 55:1202-1209, invert such tests.

    "Largest" is numerical over the nuisance share: a grid, finer around its best points, with an allowance for what
    lies between them. Drops are rejected in whole ranges, by the results that are extreme at either end; that no other
    is extreme in between is not proved. Of 500 results, none of 300 drops above the bound of each was acceptable.

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
    start = tango_upper(lost, won, n, confidence)
    if lost == n:
        return 1.0
    observed = _Observed(lost, won, n, 1.0 - confidence)
    # All but "all lost" has a chance of at most 1 - drop^n, so that larger drops than this one are rejected.
    high: float = confidence ** (1.0 / n)
    most = limits = observed.limits(high)
    least_step = (start - (lost - won) / n) / LEAST_PART
    width, was_clear = 1.0, True
    while True:
        width = max(TOLERANCE, min(width, max(least_step, (high - start) / 2.0)))
        low = high - width
        is_clear = False
        if low > -1.0:
            limits = observed.limits(low)
            is_clear = observed.rejects(low, np.maximum(limits, most))
        if is_clear:
            high, most = low, limits
        elif width <= TOLERANCE:
            return high
        # Where a range was not clear and its upper half is, the lower half is not, most likely.
        width = 2.0 * width if is_clear and was_clear else width / 2.0
        was_clear = is_clear


@dataclass(frozen=True)
class _Observed:
    """What was seen, and how small a p-value must be for a drop to be rejected.

    A set of results of n images is given by [n + 1] limits: the most images lost for 0 ... n won, -1 where none is in
    it. All sets here hold with one result those with fewer lost and those with more won, too.
    """

    lost: int
    won: int
    n: int
    level: float

    def limits(self, drop: float) -> Floats:
        """[n + 1] of the results that speak at least as much for a smaller drop than `drop`, in (-1, 1).

        Bisects for all at once, as the statistic grows with the number lost and falls with the number won (Barnard's
        convexity).
        """
        n = self.n
        seen = _statistic(np.array([float(self.lost)]), np.array([float(self.won)]), n, drop)[0] + TIE
        won = np.arange(n + 1.0)
        low, high = np.full(n + 1, -1.0), n - won + 1.0
        for _ in range(ceil(log(n + 2.0, 2.0))):
            middle = np.floor((low + high) / 2.0)
            inside = (middle <= low) | (_statistic(np.maximum(middle, 0.0), won, n, drop) <= seen)
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        return low

    def rejects(self, drop: float, limits: Floats) -> bool:
        """Whether the results within `limits` have at most the chance `level` at `drop`.

        At larger drops it is smaller still. So with the larger limits of both ends of a range, at its lower end, all
        drops of that range are rejected.
        """
        grid = _grid(self.n * _most_pairs(drop))
        sparse = np.arange(len(grid)) % SPARSE == 0
        chances = np.zeros(len(grid))
        for part in (sparse, ~sparse):
            chances[part] = _chances(drop, limits, grid[part])
            if chances.max() > self.level:
                return False
        largest = float(chances.max())
        if largest * (1.0 + ROUGH) + TAIL <= self.level:
            return True
        around = [
            np.linspace(grid[max(0, at - 1)], grid[min(at + 1, len(grid) - 1)], FINER)
            for at in np.argsort(-chances)[:PEAKS]
        ]
        largest = max(largest, float(_chances(drop, limits, np.concatenate(around)).max()))
        return largest * (1.0 + SLACK) + TAIL <= self.level


def _statistic(lost: Floats, won: Floats, n: int, drop: float) -> Floats:
    """Tango's score statistic: negative where results speak for a smaller drop."""
    distance = lost - won - n * drop
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = distance / np.sqrt(tango_variance(lost, won, n, drop))
    return np.where(distance == 0.0, 0.0, statistic)


def _most_pairs(drop: float) -> float:
    """The largest share of images that are won while as many are lost."""
    return (1.0 - abs(drop)) / 2.0


def _grid(count: float) -> Floats:
    """Angles from 0 to pi / 2, closest at both ends, for at most `count` pairs of a won and a lost image."""
    deviation = 1.0 / (2.0 * sqrt(max(count, 1.0)))  # of an angle: arcsin(sqrt(share)) has the same everywhere
    angles = [0.0]
    while angles[-1] < pi / 4.0:
        angles.append(angles[-1] + max(FINE * deviation, COARSE * angles[-1]))
    half = np.array([*angles[:-1], pi / 4.0])
    return np.concatenate([half, pi / 2.0 - half[-2::-1]])


def _chances(drop: float, limits: Floats, angles: Floats) -> Floats:
    """[k] probability of the results within `limits`, at [k] angles in [0, pi / 2]; it lacks TAIL at most.

    The share of pairs of a won and a lost image is the most there can be times the squared sine of the angle.
    """
    from scipy.special import bdtr, xlog1py, xlogy

    n = len(limits) - 1
    share = np.minimum(1.0, max(0.0, -drop) + _most_pairs(drop) * np.sin(angles) ** 2)  # won
    # Bernstein's inequality: a binomial count is this near to its mean but for TAIL.
    depth = log(2.0 / TAIL)
    reach = depth / 3.0 + np.sqrt(depth**2 / 9.0 + 2.0 * depth * n * share * (1.0 - share))
    first = np.maximum(0, np.floor(n * share - reach)).astype(np.int64)
    last = np.minimum(n, np.ceil(n * share + reach)).astype(np.int64)
    widths = last - first + 1
    starts = np.cumsum(widths) - widths
    won = np.arange(int(widths.sum())) - np.repeat(starts - first, widths)
    left = n - won
    factorials = _log_factorials(n)
    each = np.repeat(share, widths)
    chance = np.exp(factorials[n] - factorials[won] - factorials[left] + xlogy(won, each) + xlog1py(left, -each))
    # Of the images that are not won each is lost with this probability.
    among = np.clip((share + drop) / np.maximum(1.0 - share, TAIL), 0.0, 1.0)
    limit = limits[won]
    within = (limit >= left).astype(np.float64)
    partly = (limit >= 0.0) & (limit < left)
    within[partly] = bdtr(limit[partly], left[partly], np.repeat(among, widths)[partly])
    sums: Floats = np.add.reduceat(chance * within, starts)
    return sums


@lru_cache(maxsize=2)
def _log_factorials(n: int) -> Floats:
    """[n + 1] of 0 ... n."""
    from scipy.special import gammaln

    values: Floats = gammaln(np.arange(1.0, n + 2.0))
    return values

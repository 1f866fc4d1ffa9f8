"""Paired comparison of a candidate with the dense model on the same images."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import TypeVar

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95  # of each bound by itself, unless another is asked for
POINTS = 100.0  # percentage points in a share of 1
BISECTIONS = 60  # halves [drop, 1] until float64 has no more digits
COMPRESSION = 9  # zlib: 10,000 zeros and ones take a few KB

_Count = TypeVar("_Count", float, npt.NDArray[np.float64])


@dataclass(frozen=True)
class PairedDrop:
    """How much worse the candidate is than the dense model, in percentage points of the metric."""

    drop_points: float  # positive: the candidate is worse
    upper_points: float  # the drop is below this with the confidence asked for, 95 % by default (one-sided)
    lower_points: float  # the drop is above this with as much confidence (one-sided)
    n: int  # images
    disagreement: float  # share of images, in [0, 1], whose scores differ


def paired_drop(dense: npt.ArrayLike, candidate: npt.ArrayLike, confidence: float = CONFIDENCE) -> PairedDrop:
    """Drop of the mean score from `dense` to `candidate` with one-sided confidence bounds.

    - Scores of only 0 and 1 (right or wrong): the score interval of Tango (1998), "Equivalence test and
      confidence interval for the difference in proportions for the paired-sample design", Statistics in
      Medicine 17:891-908. It depends on the discordant images alone and keeps a width when there are none.
    - Other scores: the t interval of the mean difference. If all differences are equal it would have no
      width; then the bounds allow for the share of other images that n equal ones cannot exclude
      (1 - 0.05^(1/n) at 95 %, the "rule of three"), each taken as the worst or best score.

    Args:
        dense: [n], per-image scores of the dense model in [0, 1], higher is better.
        candidate: [n], those of the candidate on the same images in the same order.
        confidence: of each bound by itself, in (0.5, 1).

    Raises:
        ValueError: shapes differ or are not [n] with n >= 1, a score is NaN or outside [0, 1], or the confidence is
            not in (0.5, 1).
    """
    if not 0.5 < confidence < 1.0:
        raise ValueError(f"a confidence is above 0.5 and below 1, not {confidence}")
    differences, is_binary = paired_differences(dense, candidate)
    count = differences.size
    if is_binary:
        lost, won = discordant(differences)
        drop = (lost - won) / count
        upper = tango_upper(lost, won, count, confidence)
        lower = -tango_upper(won, lost, count, confidence)
    else:
        drop = float(differences.mean())
        lower, upper = _mean_bounds(differences, confidence)
    return PairedDrop(
        drop_points=POINTS * drop,
        upper_points=POINTS * upper,
        lower_points=POINTS * lower,
        n=count,
        disagreement=float((differences != 0).mean()),
    )


def paired_differences(dense: npt.ArrayLike, candidate: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], bool]:
    """[n] dense minus candidate, image by image, and whether all scores of both are 0 or 1.

    ValueError as in `paired_drop`.
    """
    before, after = _scores("dense", dense), _scores("candidate", candidate)
    if before.shape != after.shape:
        raise ValueError(f"{before.size} dense scores cannot be paired with {after.size} of the candidate")
    return before - after, is_binary(before) and is_binary(after)


def discordant(differences: npt.NDArray[np.float64]) -> tuple[int, int]:
    """How many images are lost and won by the candidate, of [n] differences of scores that are 0 or 1."""
    return int((differences > 0).sum()), int((differences < 0).sum())


def tango_upper(lost: float, won: float, n: int, confidence: float = CONFIDENCE) -> float:
    """One-sided upper bound of the drop of a share, by Tango's score interval.

    Args:
        lost: images that only the dense model gets right; for plans, fractions of one are fine.
        won: images that only the candidate gets right.
        n: all images, >= 1 and >= lost + won.
        confidence: in (0.5, 1).

    Returns:
        The largest drop in [-1, 1] that the score test does not reject; the lower bound is
        `-tango_upper(won, lost, n)`.

    Raises:
        ValueError: counts that no n images can give.
    """
    if min(lost, won) < 0 or n < 1 or lost + won > n:
        raise ValueError(f"{lost} lost and {won} won of {n} images is impossible")
    z = NormalDist().inv_cdf(confidence)
    low, high = (lost - won) / n, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if _tango_gap(lost, won, n, middle, z) >= 0.0:
            low = middle
        else:
            high = middle
    return high


def tango_variance(lost: _Count, won: _Count, n: int, drop: float) -> _Count:
    """Variance of `lost - won` of n images if the true drop, in [-1, 1], were `drop`: Tango's, by likelihood.

    `lost` and `won` are numbers or arrays of one shape; with n = 1 they are shares.
    """
    # Most likely share of won images under that drop: Tango's equation for q21.
    b = (2 * n - lost + won) * drop - lost - won
    c = -won * drop * (1.0 - drop)
    share = (np.sqrt(np.maximum(0.0, b * b - 8 * n * c)) - b) / (4 * n)
    variance: _Count = n * np.maximum(0.0, 2 * share + drop * (1.0 - drop))
    return variance


def _tango_gap(lost: float, won: float, n: int, drop: float, z: float) -> float:
    """(z minus the score statistic's distance) times its standard error: falls through 0 at the bound."""
    return lost - won - n * drop + z * sqrt(tango_variance(lost, won, n, drop))


def _mean_bounds(differences: npt.NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Lower and upper bound of the mean of differences in [-1, 1]."""
    count = differences.size
    mean = float(differences.mean())
    if np.ptp(differences) == 0.0:
        return equal_bounds(mean, count, confidence)
    from scipy.special import stdtrit

    margin = float(stdtrit(count - 1, confidence)) * float(differences.std(ddof=1)) / sqrt(count)
    return max(-1.0, mean - margin), min(1.0, mean + margin)


def equal_bounds(difference: float, count: int, confidence: float) -> tuple[float, float]:
    """Lower and upper bound of a mean in [-1, 1] of which `count` images all show the same `difference`."""
    unseen = 1.0 - (1.0 - confidence) ** (1.0 / count)
    return difference - unseen * (1.0 + difference), difference + unseen * (1.0 - difference)


def _scores(name: str, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(f"{name} scores must have shape [n] with n >= 1, not {scores.shape}")
    if not ((scores >= 0.0) & (scores <= 1.0)).all():
        raise ValueError(f"{name} scores must be within [0, 1] and not NaN")
    return scores


def is_binary(scores: npt.NDArray[np.float64]) -> bool:
    """Whether all scores are 0 or 1."""
    return bool(((scores == 0.0) | (scores == 1.0)).all())


def pack_scores(scores: npt.NDArray[np.float32]) -> bytes:
    """Per-image scores float32[n] as little-endian float32, zlib-compressed; equal scores give equal bytes.

    Raises:
        ValueError: the shape is not [n].
    """
    if scores.ndim != 1:
        raise ValueError(f"scores must have shape [n], not {scores.shape}")
    return zlib.compress(scores.astype("<f4").tobytes(), COMPRESSION)


def unpack_scores(packed: bytes) -> npt.NDArray[np.float32]:
    """Inverse of `pack_scores`: a new, writable float32[n].

    Raises:
        ValueError: the bytes are not what `pack_scores` makes.
    """
    try:
        raw = zlib.decompress(packed)
        return np.frombuffer(raw, dtype="<f4").astype(np.float32)
    except (zlib.error, ValueError) as error:
        raise ValueError(f"these {len(packed)} bytes are not packed scores: {error}") from error

"""Bootstrap bounds of a mean difference: for metrics whose scores are not just right or wrong."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from objectives.paired import equal_bounds

DRAWS = 10_000  # twenty of them lie beyond a bound of 99.8 %
SEED = 1998  # any: the same scores give the same bounds
CHUNK = 2**22  # images drawn at once: tens of MB


def bootstrap_bounds(differences: npt.NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Lower and upper bound, each by itself, of the mean of what [n] `differences`, in [-1, 1], are a sample of.

    By the bias-corrected and accelerated bootstrap of Efron (1987), "Better bootstrap confidence intervals", Journal
    of the American Statistical Association 82:171-185, with a fixed seed. If all differences are equal it would have
    no width; then the bounds are those of `objectives.paired.equal_bounds`.

    Args:
        confidence: in (0.5, 1).
    """
    mean = float(differences.mean())
    if np.ptp(differences) == 0.0:
        return equal_bounds(mean, differences.size, confidence)
    means = _means(differences)
    below = (float((means < mean).sum()) + float((means == mean).sum()) / 2.0) / DRAWS
    normal = NormalDist()
    bias = normal.inv_cdf(min(max(below, 0.5 / DRAWS), 1.0 - 0.5 / DRAWS))
    centred = differences - mean
    # At most 1/6, so that the denominators below are positive for any confidence that DRAWS can resolve.
    acceleration = float((centred**3).sum()) / (6.0 * float((centred**2).sum()) ** 1.5)

    def share(z: float) -> float:
        return normal.cdf(bias + (bias + z) / (1.0 - acceleration * (bias + z)))

    z = normal.inv_cdf(confidence)
    return float(np.quantile(means, share(-z), method="lower")), float(np.quantile(means, share(z), method="higher"))


def _means(differences: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[DRAWS] means of samples with replacement."""
    count = differences.size
    generator = np.random.Generator(np.random.PCG64(SEED))
    rows = max(1, CHUNK // count)
    means = np.empty(DRAWS)
    for start in range(0, DRAWS, rows):
        chosen = generator.integers(0, count, (min(rows, DRAWS - start), count), dtype=np.int32)
        means[start : start + rows] = differences[chosen].mean(axis=1)
    return means

"""How well predicted latencies agree with measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FEWEST = 2  # pairs that have an order


@dataclass(frozen=True)
class PredictionError:
    """Agreement of predictions with measurements of other plans than those that made them."""

    plans: int
    spearman: float  # rank correlation, -1 to 1, higher is better; 0 where all of one side are equal
    median_error: float  # of |predicted / measured - 1|; lower is better
    largest_error: float

    @property
    def text(self) -> str:
        """One line for people."""
        return (
            f"{self.plans} plans: Spearman {self.spearman:.2f}, "
            f"median error {100 * self.median_error:.1f} %, largest {100 * self.largest_error:.1f} %"
        )


def compare(predicted: Sequence[float], measured: Sequence[float]) -> PredictionError:
    """Compare predictions with measurements, both positive, in the same unit and order.

    Raises ValueError for fewer than two pairs, lists of different lengths, or figures that are not positive and finite.
    """
    left, right = np.asarray(predicted, np.float64), np.asarray(measured, np.float64)
    if left.shape != right.shape or left.ndim != 1 or len(left) < FEWEST:
        raise ValueError(f"{left.size} predictions cannot be compared with {right.size} measurements")
    if not (np.isfinite(left).all() and np.isfinite(right).all() and (left > 0).all() and (right > 0).all()):
        raise ValueError("predictions and measurements must be positive and finite")
    errors = np.abs(left / right - 1)
    return PredictionError(len(left), _spearman(left, right), float(np.median(errors)), float(errors.max()))


def _spearman(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> float:
    """Pearson correlation of the ranks; ties share their mean rank."""
    from scipy.stats import rankdata

    first, second = rankdata(left), rankdata(right)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])

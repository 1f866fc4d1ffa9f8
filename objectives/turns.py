"""Turns of timing: a candidate between two bursts of the reference, and what the turns of many tell together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Quiet turns of a candidate by which it is judged by itself, or all that it has: one or two of many that look quiet may
# be freaks, 17 % off.
FEWEST_QUIET = 3
# Of a quiet turn from the median of such turns: what is quiet varies by 15 % at most.
MOST_DEVIATION = math.log(1.15)
# The logarithm of a single turn's ratio deviates by 0.03 to 0.05 beside other programs, by 0.01 at least anywhere.
USUAL_DEVIATION = 0.04
LEAST_DEVIATION = 0.01
# Turns from which on their median absolute deviation tells something: of three, one is zero.
FEWEST_SCATTERED = 5
# Of what is known of deviations before a turn is seen, and of what other candidates tell of one, in turns.
PRIOR_TURNS, SHARED_TURNS = 1, 4
# What a disturbance does to a ratio, where no quiet turn tells: beside another program on the same core, int8 files
# lose up to a sixth against float ones, and often nothing. It counts as one candidate more of which that is known.
UNKNOWN_SHIFT = 0.1
LEAST_SPREAD = 0.005  # what a disturbance does differs by so much at least from file to file
OF_ITSELF = 1e-4  # the standard error of what is 1 by definition: weights are finite
# Of normal values: the standard deviation over the median absolute deviation, and the variance of the median over that
# of the mean.
DEVIATION_BY_MEDIAN = 1.4826
VARIANCE_OF_MEDIAN = math.pi / 2

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Turn:
    """Nanoseconds of one call of a candidate, and of the reference right before and after."""

    before: float
    own: float
    after: float

    @property
    def reference(self) -> float:
        """A call of the reference around the candidate's."""
        return (self.before + self.after) / 2

    @property
    def ratio(self) -> float:
        """Above 1 if the candidate is faster."""
        return self.reference / self.own

    @property
    def slower(self) -> float:
        """The longer of the reference's two."""
        return max(self.before, self.after)


@dataclass(frozen=True)
class Speedup:
    """How many times faster than the reference, in quiet."""

    value: float
    error: float  # its relative standard error


def are_enough(quiet: int, others: int) -> bool:
    """Whether what so many quiet turns say is taken for what is so in quiet."""
    return quiet >= min(FEWEST_QUIET, quiet + others)


@dataclass(frozen=True)
class _Estimate:
    """A logarithm of a ratio."""

    value: float
    variance: float


def speedups(
    disturbed: Sequence[Sequence[Turn]], quiet: Sequence[Sequence[Turn]], itself: int | None = None
) -> list[Speedup]:
    """What each candidate of a session would be in quiet, by its quiet turns and by all others.

    Quiet turns tell what is wanted, but there may be few. While something disturbs both, the median of many turns tells
    the ratio to within half a percent, but a shifted one. How far the two are apart in one candidate is an effect of
    random-effects meta-analysis (DerSimonian and Laird, Meta-analysis in clinical trials, 1986): what a candidate's own
    quiet turns say is weighed against its other turns, less the mean of these effects, by how much they differ from
    candidate to candidate. One that was always quiet goes by its mean alone.

    Args:
        disturbed: the turns of each candidate that were not quiet.
        quiet: those that were, in the same order of candidates; each has one turn at least.
        itself: the index of the reference, if it is among the candidates: it is as fast as itself.
    """
    logs = [_sorted(*turns) for turns in zip(disturbed, quiet, strict=True)]
    means = _means([own for own, _ in logs])
    medians = _medians([others for _, others in logs])
    effects = [
        _Estimate(mean.value - median.value, mean.variance + median.variance)
        for index, (mean, median) in enumerate(zip(means, medians, strict=True))
        if mean is not None and median is not None and index != itself
    ]
    if itself is not None:
        effects.append(_Estimate(0.0, OF_ITSELF**2))
    shift, spread = _pooled(effects)
    found = []
    for index, (mean, median) in enumerate(zip(means, medians, strict=True)):
        value, variance = 0.0, OF_ITSELF**2
        if index != itself:
            known = [] if mean is None else [mean]
            if median is not None:
                known.append(_Estimate(median.value + shift.value, median.variance + shift.variance + spread))
            precision = sum(1 / item.variance for item in known)
            value, variance = sum(item.value / item.variance for item in known) / precision, 1 / precision
        found.append(Speedup(math.exp(value), math.sqrt(variance)))
    return found


def _sorted(disturbed: Sequence[Turn], quiet: Sequence[Turn]) -> tuple[Floats, Floats]:
    """Logarithms of the ratios of a candidate's quiet turns, freaks left out, and of its others; of all if the quiet
    ones are too few."""
    own, others = (np.log([turn.ratio for turn in turns]) for turns in (quiet, disturbed))
    is_usual = np.abs(own - np.median(own)) <= MOST_DEVIATION if len(own) else np.ones(0, bool)
    if not are_enough(int(is_usual.sum()), len(own) + len(others) - int(is_usual.sum())):
        return own[:0], np.concatenate([own, others])
    return own[is_usual], np.concatenate([own[~is_usual], others])


def _means(values: Sequence[Floats]) -> list[_Estimate | None]:
    """Of each candidate's turns, where it has any."""
    squares = [float(np.square(own - own.mean()).sum()) if len(own) else 0.0 for own in values]
    freedom = [max(0, len(own) - 1) for own in values]
    pooled = (PRIOR_TURNS * USUAL_DEVIATION**2 + sum(squares)) / (PRIOR_TURNS + sum(freedom))
    return [
        _Estimate(float(own.mean()), _of_turn(pooled, square, free) / len(own)) if len(own) else None
        for own, square, free in zip(values, squares, freedom, strict=True)
    ]


def _medians(values: Sequence[Floats]) -> list[_Estimate | None]:
    """Likewise."""
    centred = [
        np.abs(others - np.median(others)) if len(others) >= FEWEST_SCATTERED else others[:0] for others in values
    ]
    every = np.concatenate([*centred, np.zeros(0)])
    pooled = _deviation(every) ** 2 if len(every) else USUAL_DEVIATION**2
    found: list[_Estimate | None] = []
    for others, scatter in zip(values, centred, strict=True):
        if not len(others):
            found.append(None)
            continue
        of_turn = _of_turn(pooled, _deviation(scatter) ** 2 * len(scatter), len(scatter)) if len(scatter) else pooled
        found.append(_Estimate(float(np.median(others)), VARIANCE_OF_MEDIAN * of_turn / len(others)))
    return found


def _deviation(scatter: Floats) -> float:
    return max(LEAST_DEVIATION, DEVIATION_BY_MEDIAN * float(np.median(scatter)))


def _of_turn(pooled: float, squares: float, freedom: int) -> float:
    """The variance of one candidate's turns: its own, less so the fewer they are."""
    return max(LEAST_DEVIATION**2, (SHARED_TURNS * pooled + squares) / (SHARED_TURNS + freedom))


def _pooled(effects: Sequence[_Estimate]) -> tuple[_Estimate, float]:
    """The mean of effects, and the variance between them beyond that of their measurement."""
    if not effects:
        return _Estimate(0.0, 0.0), UNKNOWN_SHIFT**2
    values, variances = np.array([[item.value, item.variance] for item in effects]).T
    weights = 1 / variances
    between, others = 0.0, len(effects) - 1
    if others:
        about_mean = weights @ np.square(values - weights @ values / weights.sum())
        freedom = weights.sum() - weights @ weights / weights.sum()
        between = max(0.0, float(about_mean - others) / float(freedom))
    spread = max(LEAST_SPREAD**2, (others * between + UNKNOWN_SHIFT**2 / 2) / (others + 1))
    weights = 1 / (variances + spread)
    return _Estimate(float(weights @ values / weights.sum()), float(1 / weights.sum())), spread

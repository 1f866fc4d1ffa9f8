"""Turns of timing: a candidate between two bursts of the reference, and what the turns of many tell together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Quiet turns of a candidate by which it is judged by itself, if it has as many turns: one or two of many that look
# quiet may be freaks, 17 % off.
FEWEST_QUIET = 3
# The logarithm of the ratio of a single turn deviates by 0.01 at least, whatever a few turns say.
LEAST_DEVIATION = 0.01
# Of a quiet turn from the median of such turns: what is quiet varies by 15 % at most.
MOST_DEVIATION = math.log(1.15)
LEAST_SPREAD = 0.005  # what a disturbance does differs by so much at least from file to file
# What a disturbance does to a ratio where no quiet turn tells: beside another program on the same core, int8 files lose
# up to a sixth against float ones, and often nothing.
UNKNOWN_SHIFT = 0.1
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


def speedups(every: Sequence[Sequence[Turn]], quiet: Sequence[Sequence[Turn]]) -> list[Speedup]:
    """What each candidate of a session would be in quiet, by all its turns and by those that were quiet.

    All turns of a candidate tell its ratio while something disturbs both, to within half a percent where that goes on
    all the time. Quiet turns tell what is wanted, but there may be few. How far the two are apart is alike for the
    candidates of one session, more or less: each one's difference is an effect of random-effects meta-analysis
    (DerSimonian and Laird, Meta-analysis in clinical trials, 1986), and what a candidate's own quiet turns say is
    weighed against what those of all say. With many quiet turns, it is their mean.

    Args:
        every: the turns of each candidate, at least one.
        quiet: those of them that were quiet, in the same order of candidates.
    """
    logs = [_logs(turns) for turns in every]
    medians = np.array([np.median(values) for values in logs])
    scatter = np.concatenate([np.abs(values - median) for values, median in zip(logs, medians, strict=True)])
    deviation = max(LEAST_DEVIATION, DEVIATION_BY_MEDIAN * float(np.median(scatter)))
    of_median = VARIANCE_OF_MEDIAN * deviation**2 / np.array([len(values) for values in logs])
    own = [_without_freaks(_logs(turns)) for turns in quiet]
    counts = np.array([len(values) for values in own])
    known = counts >= np.minimum(FEWEST_QUIET, [len(values) for values in logs])
    if not known.any():
        return _result(medians, of_median + UNKNOWN_SHIFT**2)
    means = np.array([values.mean() if is_known else 0.0 for values, is_known in zip(own, known, strict=True)])
    deviations = [values - values.mean() for values, is_known in zip(own, known, strict=True) if is_known]
    freedom = max(1, int((counts[known] - 1).sum()))
    of_turn = max(LEAST_DEVIATION**2, sum(float(values @ values) for values in deviations) / freedom)
    of_mean = of_turn / np.maximum(counts, 1)
    shift, of_shift, spread = _effects((means - medians)[known], (of_mean + of_median)[known])
    expected, of_expected = medians + shift, spread + of_median + of_shift
    precision = np.where(known, 1 / of_mean, 0.0)
    variance = 1 / (precision + 1 / of_expected)
    return _result(variance * (precision * means + expected / of_expected), variance)


def _effects(effects: Floats, variances: Floats) -> tuple[float, float, float]:
    """Mean of effects [k], its variance, and the variance between effects, given that of each one's measurement."""
    spread = UNKNOWN_SHIFT**2
    if len(effects) > 1:
        weights = 1 / variances
        about_mean = weights @ np.square(effects - weights @ effects / weights.sum())
        freedom = weights.sum() - np.square(weights).sum() / weights.sum()
        spread = max(LEAST_SPREAD**2, float(about_mean - (len(effects) - 1)) / float(freedom))
    weights = 1 / (variances + spread)
    return float(weights @ effects / weights.sum()), float(1 / weights.sum()), spread


def _without_freaks(values: Floats) -> Floats:
    return values[np.abs(values - np.median(values)) <= MOST_DEVIATION] if len(values) else values


def _logs(turns: Sequence[Turn]) -> Floats:
    return np.log([turn.ratio for turn in turns])


def _result(logs: Floats, variances: Floats) -> list[Speedup]:
    errors = np.sqrt(variances)
    return [Speedup(float(value), float(error)) for value, error in zip(np.exp(logs), errors, strict=True)]

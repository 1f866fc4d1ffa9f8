"""Correction: what errors of layers really cost, learnt from the scores of whole models.

The additive error counts every layer's relative error alike. Some layers matter more than others, and an error by lost
channels is not an equal one by lost bits. A linear model of the drop over each layer's two errors, shrunk towards one
weight for all errors of a kind, corrects the tables that allocation goes by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import lsq_linear

from searcher.allocation.reach import USELESS_POINTS
from storage.records.space import CHANNEL, Factor, SearchSpace

Levels = tuple[int, ...]
Values = npt.NDArray[np.float64]

SPREADS = (0.02, 0.1, 0.3, 1.0, 3.0)  # of the weights of one kind, relative to their mean: which of them, scores tell
TINY = 1e-9
MOST_RATIO = 8.0  # of a weight to the mean of its kind, and of the two means, either way: nothing is ever free
DIGITS = 6  # of means and weights: the last bits of linear algebra depend on the machine's threads, and plans must not
LEAST_NOISE = 0.05  # points of soft accuracy: what even a perfect model leaves
FEWEST_SCORES = 12  # below it the tables stay as they are


def corrected(space: SearchSpace, scored: Sequence[tuple[Levels, float]]) -> SearchSpace:
    """The space with error tables that fit the scores (percent, higher is better) of candidates [(levels, score)].

    Errors keep the unit of those by lost bits. The same space where too few of the scores are of use.
    """
    best = max((score for _, score in scored), default=0.0)
    useful = [(levels, best - score) for levels, score in scored if score >= best - USELESS_POINTS]
    if len(useful) < FEWEST_SCORES:
        return space
    parts = [_parts(space, factor) for factor in space.factors]
    features = np.array([_features(space, parts, levels) for levels, _ in useful])
    drops = np.array([drop for _, drop in useful])
    kinds = np.tile([0, 1], len(parts))  # channels, bits
    means = _means(features, drops, kinds)
    if means is None:
        return space
    weights = _weights(features, drops, means[kinds])
    unit = means[1] if features[:, kinds == 1].any() else means[0]
    factors = [
        replace(factor, error=tuple(float(value) for value in np.maximum(0.0, pair.T @ weight / unit)))
        for factor, pair, weight in zip(space.factors, parts, weights.reshape(-1, 2), strict=True)
    ]
    return replace(space, factors=tuple(factors))


def _parts(space: SearchSpace, factor: Factor) -> Values:
    """A factor's errors [kind, cells]: by lost channels alone, and what lost bits add."""
    sites = [space.sites[site] for site in factor.sites]
    shape = [len(site.levels) for site in sites]
    error = np.array(factor.error).reshape(shape)
    unchanged = tuple(slice(None) if site.learner == CHANNEL else slice(1) for site in sites)
    channels = np.broadcast_to(error[unchanged], shape)
    return np.array([channels.ravel(), (error - channels).ravel()])


def _features(space: SearchSpace, parts: Sequence[Values], levels: Levels) -> Values:
    """Both errors of every factor, beside each other."""
    return np.concatenate(
        [pair[:, space.cell(factor.sites, levels)] for factor, pair in zip(space.factors, parts, strict=True)]
    )


def _means(features: Values, drops: Values, kinds: npt.NDArray[np.int64]) -> Values | None:
    """The weight of each kind, in points a unit of error, if all layers counted alike; None if no error counts."""
    sums = np.column_stack([features[:, kinds == kind].sum(axis=1) for kind in (0, 1)])
    found = lsq_linear(np.column_stack([sums, np.ones(len(sums))]), drops, bounds=([0, 0, -np.inf], np.inf)).x[:2]
    largest = float(f"{found.max():.{DIGITS - 1}e}")
    if largest <= TINY:
        return None
    means: Values = np.round(np.maximum(found / largest, 1 / MOST_RATIO), DIGITS) * largest
    return means


def _weights(features: Values, drops: Values, means: Values) -> Values:
    """The weight of every error: ridge regression towards the means, as strong as predicts unseen scores best."""
    count = features.shape[1]
    scaled = np.column_stack([features * means, np.ones(len(features))])  # so that all weights are about 1
    wanted = drops - scaled[:, :count].sum(axis=1)
    strength = min(_strengths(wanted), key=lambda item: _left_out_error(scaled, wanted, item))
    rows = np.vstack([scaled, np.sqrt(strength) * np.eye(count, count + 1)])
    low, high = np.full(count, 1 / MOST_RATIO - 1), np.full(count, MOST_RATIO - 1)
    bounds = (np.append(low, -np.inf), np.append(high, np.inf))
    found = lsq_linear(rows, np.append(wanted, np.zeros(count)), bounds=bounds).x[:count]
    weights: Values = np.round(1 + found, DIGITS) * means
    return weights


def _strengths(wanted: Values) -> list[float]:
    """The ridges to try: of weights that are spread by as much around their mean, given the noise that is left if all
    of them are one."""
    noise = max(float((wanted - wanted.mean()).std()), LEAST_NOISE)
    return [(noise / spread) ** 2 for spread in SPREADS]


def _left_out_error(scaled: Values, wanted: Values, strength: float) -> float:
    """Mean squared error of predictions for each score by the others (leave one out, in closed form)."""
    ridge = strength * np.eye(scaled.shape[1])
    ridge[-1, -1] = 0
    inner = np.linalg.solve(scaled.T @ scaled + ridge, scaled.T)
    own = np.einsum("ij,ji->i", scaled, inner)  # of each score in its own prediction
    rest = (wanted - scaled @ (inner @ wanted)) / np.maximum(1 - own, TINY)
    return float((rest**2).mean())

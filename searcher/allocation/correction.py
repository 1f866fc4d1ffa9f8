"""Correction: what errors of layers really cost, learnt from the scores of whole models.

The additive error counts every layer's relative error alike. Some layers matter more than others, and an error by lost
channels is not an equal one by lost bits. A linear model of the drop over each layer's two errors, shrunk towards one
weight for all errors of a kind, corrects the tables that allocation goes by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.optimize import lsq_linear

from searcher.allocation.reach import USELESS_POINTS
from storage.records.space import CHANNEL, Factor, SearchSpace

Levels = tuple[int, ...]
Values = npt.NDArray[np.float64]

SPREADS = (0.02, 0.1, 0.3, 1.0, 3.0)  # of the weights of one kind, relative to their mean: which of them, scores tell
KINDS_SPREAD = 3.0  # of the two means, relative to one weight for all errors
TINY = 1e-9
MOST_RATIO = 8.0  # of a weight to the mean of its kind, and of the two means, either way: nothing is ever free
LOWEST, HIGHEST = 1 / MOST_RATIO - 1, MOST_RATIO - 1  # of the deviation of a relative weight from 1
DIGITS = 6  # of means and weights: the last bits of linear algebra depend on the machine's threads, and plans must not
LEAST_NOISE = 0.05  # points of soft accuracy: what even a perfect model leaves
FEWEST_SCORES = 12  # below it the tables stay as they are


class Correction:
    """The error tables of a space as scores tell them. Errors keep the unit of those by lost bits.

    Attributes:
        likeliest: The space with the tables that fit best; the space itself where too few of the scores are of use.
    """

    def __init__(self, space: SearchSpace, scored: Sequence[tuple[Levels, float]]) -> None:
        """`scored` are the scores (percent, higher is better) of candidates [(levels, score)]."""
        self.likeliest = self._space = space
        self._ridge: _Ridge | None = None  # what follows is there where it is
        best = max((score for _, score in scored), default=0.0)
        useful = [(levels, best - score) for levels, score in scored if score >= best - USELESS_POINTS]
        if len(useful) < FEWEST_SCORES:
            return
        self._parts = [_parts(space, factor) for factor in space.factors]
        features = np.array([_features(space, self._parts, levels) for levels, _ in useful])
        drops = np.array([drop for _, drop in useful])
        kinds = np.tile([0, 1], len(self._parts))  # channels, bits
        means = _means(features, drops, kinds)
        if means is None:
            return
        self._means = means[kinds]
        self._unit = means[1] if features[:, kinds == 1].any() else means[0]
        self._ridge = _Ridge(features * self._means, drops)
        self.likeliest = self._with(self._ridge.found)

    def draw(self, generator: np.random.Generator) -> SearchSpace:
        """The space with tables as likely as the scores leave them (Thompson 1933): what is uncertain is tried."""
        return self._space if self._ridge is None else self._with(self._ridge.draw(generator))

    def _with(self, deviations: Values) -> SearchSpace:
        weights = (np.round(1 + deviations, DIGITS) * self._means / self._unit).reshape(-1, 2)
        factors = [
            replace(factor, error=tuple(float(value) for value in np.maximum(0.0, pair.T @ weight)))
            for factor, pair, weight in zip(self._space.factors, self._parts, weights, strict=True)
        ]
        return replace(self._space, factors=tuple(factors))


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
    columns = np.column_stack([sums.sum(axis=1), np.ones(len(sums))])
    common = float(lsq_linear(columns, drops, bounds=([0, -np.inf], np.inf)).x[0])
    if common <= TINY:
        return None
    # Errors of a kind that hardly vary, as those of bits that cost nothing, tell no weight of it: by plain least
    # squares it would come out a thousand times too large.
    scaled = common * sums
    wanted = drops - scaled.sum(axis=1)
    deviations = _deviations(scaled, wanted, _strength(wanted, KINDS_SPREAD))
    found = common * (1 + deviations)
    largest = float(f"{found.max():.{DIGITS - 1}e}")
    relative = np.maximum(found / largest, 1 / MOST_RATIO).astype(np.float64)
    means: Values = np.round(relative, DIGITS) * largest
    return means


def _strength(wanted: Values, spread: float) -> float:
    """The ridge of weights that are spread by so much around 1, given the noise that is left if all of them are 1."""
    noise = max(float((wanted - wanted.mean()).std()), LEAST_NOISE)
    return (noise / spread) ** 2


def _deviations(scaled: Values, wanted: Values, strength: float) -> Values:
    """How far the weights are from 1, given what they have to explain beyond that and a constant, which is free."""
    count = scaled.shape[1]
    columns = np.column_stack([scaled, np.ones(len(scaled))])
    rows = np.vstack([columns, np.sqrt(strength) * np.eye(count, count + 1)])
    bounds = (np.append(np.full(count, LOWEST), -np.inf), np.append(np.full(count, HIGHEST), np.inf))
    found: Values = lsq_linear(rows, np.append(wanted, np.zeros(count)), bounds=bounds).x[:count]
    return found


class _Ridge:
    """Ridge regression of drops over scaled errors, whose weights are shrunk towards 1, as much as predicts unseen
    scores best."""

    def __init__(self, scaled: Values, drops: Values) -> None:
        """`scaled` is [scores, weights]."""
        self._columns = np.column_stack([scaled, np.ones(len(scaled))])
        self._wanted = drops - scaled.sum(axis=1)
        strengths = [_strength(self._wanted, spread) for spread in SPREADS]
        error, self._strength = min((self._left_out_error(strength), strength) for strength in strengths)
        self._noise = max(sqrt(error), LEAST_NOISE)
        self.found = _deviations(scaled, self._wanted, self._strength)

    def draw(self, generator: np.random.Generator) -> Values:
        """Deviations from 1, as likely as they are given the scores."""
        normal = generator.standard_normal(len(self.found))
        drawn: Values = self._noise * solve_triangular(self._lower, normal, lower=True, trans="T")
        return np.clip(self.found + drawn, LOWEST, HIGHEST)

    @cached_property
    def _lower(self) -> Values:
        """Cholesky's factor of the precision of the weights, in units of the noise."""
        scaled = self._columns[:, :-1]
        centred = scaled - scaled.mean(axis=0)  # the constant is free
        found: Values = np.linalg.cholesky(centred.T @ centred + self._strength * np.eye(scaled.shape[1]))
        return found

    def _left_out_error(self, strength: float) -> float:
        """Mean squared error of predictions for each score by the others (leave one out, in closed form)."""
        columns = self._columns
        ridge = strength * np.eye(columns.shape[1])
        ridge[-1, -1] = 0
        inner = np.linalg.solve(columns.T @ columns + ridge, columns.T)
        own = np.einsum("ij,ji->i", columns, inner)  # of each score in its own prediction
        rest = (self._wanted - columns @ (inner @ self._wanted)) / np.maximum(1 - own, TINY)
        return float((rest**2).mean())

"""What errors cost is learnt from the scores of whole models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from searcher.allocation.correction import FEWEST_SCORES, corrected
from storage.records.space import CHANNEL, SearchSpace
from tests.searcher.spaces import residual

SPACE, _ = residual(3, 2)
Levels = tuple[int, ...]


def plans(count: int, seed: int, space: SearchSpace = SPACE) -> list[Levels]:
    """Mild ones, whose errors are of one size."""
    generator = np.random.default_rng(seed)
    return [tuple(int(generator.binomial(len(site.levels) - 1, 0.45)) for site in space.sites) for _ in range(count)]


def scores(space: SearchSpace, found: list[Levels], noise: float = 0.0) -> list[tuple[Levels, float]]:
    generator = np.random.default_rng(5)
    return [(levels, 90 - 3 * space.error(levels) + noise * float(generator.normal())) for levels in found]


def weighted(channels: float, bits: float, spread: float) -> SearchSpace:
    """The space in which errors by lost channels and by lost bits, and those of each layer, count differently."""
    generator = np.random.default_rng(2)
    factors = []
    for factor in SPACE.factors:
        weight = float(generator.lognormal(0, spread))
        shape = [len(SPACE.sites[site].levels) for site in factor.sites]
        error = np.array(factor.error).reshape(shape)
        unchanged = tuple(slice(None) if SPACE.sites[site].learner == CHANNEL else slice(1) for site in factor.sites)
        lost = np.broadcast_to(error[unchanged], shape)
        error = weight * (channels * lost + bits * (error - lost))
        factors.append(replace(factor, error=tuple(float(value) for value in error.ravel())))
    return replace(SPACE, factors=tuple(factors))


def correlation(space: SearchSpace, truth: SearchSpace) -> float:
    found = plans(200, 9)
    return float(np.corrcoef([space.error(item) for item in found], [truth.error(item) for item in found])[0, 1])


def test_channels_and_bits_get_their_own_weights() -> None:
    truth = weighted(3.0, 1.0, 0.0)
    found = corrected(SPACE, scores(truth, plans(60, 0)))
    assert correlation(SPACE, truth) < 0.97
    assert correlation(found, truth) > 0.995
    # In the unit of errors by lost bits.
    errors = [(found.error(levels), truth.error(levels)) for levels in plans(50, 3)]
    assert np.mean([ours / theirs for ours, theirs in errors]) == pytest.approx(1, abs=0.1)


def test_layers_get_their_own_weights() -> None:
    truth = weighted(1.0, 1.0, 1.0)
    assert correlation(corrected(SPACE, scores(truth, plans(120, 0))), truth) > correlation(SPACE, truth) + 0.05


def test_noise_is_not_learnt() -> None:
    """Of two thirds of the size of what there is to learn."""
    found = corrected(SPACE, scores(SPACE, plans(60, 0), noise=0.3))
    assert correlation(found, SPACE) > 0.95


def test_few_scores_change_nothing() -> None:
    known = scores(weighted(3.0, 1.0, 0.0), plans(FEWEST_SCORES - 1, 0))
    assert corrected(SPACE, known) is SPACE
    assert corrected(SPACE, []) is SPACE
    useless = [(levels, 10.0) for levels in plans(50, 1)]
    assert corrected(SPACE, [*known, *useless]) is SPACE


def test_costs_stay_and_errors_are_never_negative() -> None:
    found = corrected(SPACE, scores(SPACE, plans(40, 0), noise=5.0))
    for before, after in zip(SPACE.factors, found.factors, strict=True):
        assert replace(after, error=before.error) == before
        assert min(after.error) >= 0
    dense = (0,) * len(SPACE.sites)
    assert found.error(dense) == 0


@pytest.mark.parametrize("channels", [0.001, 1.0, 3.0])  # the first of them at the limit of what may tell them apart
@pytest.mark.parametrize("step", [-1e-13, 1e-13])
def test_last_bits_do_not_matter(channels: float, step: float) -> None:
    """They depend on how many threads linear algebra has."""
    known = scores(weighted(channels, 1.0, 0.5), plans(40, 0), noise=0.1)
    moved = [(levels, score * (1 + step * (index % 3 - 1))) for index, (levels, score) in enumerate(known)]
    assert moved != known
    assert corrected(SPACE, moved) == corrected(SPACE, known)


def test_it_depends_on_the_scores_alone() -> None:
    known = scores(SPACE, plans(40, 0), noise=1.0)
    assert corrected(SPACE, known) == corrected(SPACE, list(known))

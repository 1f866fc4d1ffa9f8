"""What errors cost is learnt from the scores of whole models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from searcher.allocation.correction import FEWEST_SCORES, Correction
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
    found = Correction(SPACE, scores(truth, plans(60, 0))).likeliest
    assert correlation(SPACE, truth) < 0.97
    assert correlation(found, truth) > 0.995
    # In the unit of errors by lost bits.
    errors = [(found.error(levels), truth.error(levels)) for levels in plans(50, 3)]
    assert np.mean([ours / theirs for ours, theirs in errors]) == pytest.approx(1, abs=0.1)


def test_layers_get_their_own_weights() -> None:
    truth = weighted(1.0, 1.0, 1.0)
    assert (
        correlation(Correction(SPACE, scores(truth, plans(120, 0))).likeliest, truth) > correlation(SPACE, truth) + 0.05
    )


def test_noise_is_not_learnt() -> None:
    """Of two thirds of the size of what there is to learn."""
    found = Correction(SPACE, scores(SPACE, plans(60, 0), noise=0.3)).likeliest
    assert correlation(found, SPACE) > 0.95


def test_few_scores_change_nothing() -> None:
    known = scores(weighted(3.0, 1.0, 0.0), plans(FEWEST_SCORES - 1, 0))
    assert Correction(SPACE, known).likeliest is SPACE
    assert Correction(SPACE, []).likeliest is SPACE
    useless = [(levels, 10.0) for levels in plans(50, 1)]
    assert Correction(SPACE, [*known, *useless]).likeliest is SPACE


def test_costs_stay_and_errors_are_never_negative() -> None:
    found = Correction(SPACE, scores(SPACE, plans(40, 0), noise=5.0)).likeliest
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
    first, second = Correction(SPACE, moved), Correction(SPACE, known)
    assert first.likeliest == second.likeliest
    assert first.draw(np.random.default_rng(0)) == second.draw(np.random.default_rng(0))


def test_it_depends_on_the_scores_alone() -> None:
    known = scores(SPACE, plans(40, 0), noise=1.0)
    assert Correction(SPACE, known).likeliest == Correction(SPACE, list(known)).likeliest


def test_draws_differ_most_where_least_is_known() -> None:
    truth = weighted(1.0, 1.0, 1.0)
    half = len(SPACE.sites) // 2
    known = [(*levels[:half], *(0,) * (len(levels) - half)) for levels in plans(300, 0)]
    found = Correction(SPACE, scores(truth, known, noise=0.1))
    drawn = [found.draw(np.random.default_rng(seed)) for seed in range(32)]

    def spread(some: list[Levels]) -> float:
        """Of the errors of plans from draw to draw, relative to them."""
        errors = np.array([[space.error(levels) for levels in some] for space in drawn])
        return float((errors.std(axis=0) / errors.mean(axis=0)).mean())

    scored, unseen = known[:50], [(*(0,) * half, *levels[half:]) for levels in plans(50, 4)]
    assert spread(unseen) > 3 * spread(scored)
    few = scores(truth, plans(FEWEST_SCORES - 1, 0))
    assert Correction(SPACE, few).draw(np.random.default_rng(0)) is SPACE


def test_draws_lie_around_the_likeliest_and_follow_their_generator() -> None:
    found = Correction(SPACE, scores(weighted(1.0, 1.0, 0.5), plans(120, 0), noise=0.1))
    drawn = [found.draw(np.random.default_rng(seed)) for seed in range(64)]
    assert drawn[0] == found.draw(np.random.default_rng(0)) != drawn[1]
    for levels in plans(10, 3):
        assert np.mean([space.error(levels) for space in drawn]) == pytest.approx(
            found.likeliest.error(levels), rel=0.1
        )


def test_a_kind_that_hardly_varies_does_not_blind_to_the_other() -> None:
    """Bits that cost nothing: beside the constant, which explains as much, they told of a weight a thousand fold."""
    free = next(index for index, level in enumerate(SPACE.sites[-1].levels) if level.bits == 8)
    truth = weighted(1.0, 1.0, 1.0)
    channels = [
        tuple(level if site.learner == CHANNEL else 0 for level, site in zip(levels, SPACE.sites, strict=True))
        for levels in plans(60, 0)
    ]
    eight = [
        tuple(level if site.learner == CHANNEL else free for level, site in zip(levels, SPACE.sites, strict=True))
        for levels in channels
    ]
    # Other precisions in a few layers, and scores that fall with them by chance.
    last = len(SPACE.sites) - 1
    eight = [(*levels[:last], free + index % 2) for index, levels in enumerate(eight)]
    moved = [(levels, score - 0.5 * (index % 2)) for index, (levels, score) in enumerate(scores(truth, eight))]
    alone = Correction(SPACE, scores(truth, channels)).likeliest
    found = Correction(SPACE, moved).likeliest
    assert correlation(found, truth) > correlation(alone, truth) - 0.02

"""Bits that cost nothing, for plans of which nobody wants what bits change."""

from __future__ import annotations

from itertools import islice

import numpy as np

from searcher.allocation.elimination import Elimination
from searcher.allocation.free_bits import FreeBits, bits_matter
from searcher.allocation.problem import QUANTITIES, Problem
from searcher.allocation.reach import Reach
from searcher.allocation.spread import spread
from storage.records.space import CHANNEL, QUANT
from tests.searcher.spaces import chain, large_space

SPACE, TABLE = chain()
PROBLEM = Problem.build(SPACE, TABLE)
CHANNELS = [index for index, site in enumerate(SPACE.sites) if site.learner == CHANNEL]
BITS = [index for index, site in enumerate(SPACE.sites) if site.learner == QUANT]
DENSE = (0,) * len(SPACE.sites)
EIGHT = tuple(int(site.learner == QUANT) for site in SPACE.sites)  # the first level after the original


def test_bits_matter_to_size_and_latency_and_not_to_macs() -> None:
    assert bits_matter(PROBLEM, CHANNELS, ["size"])
    assert bits_matter(PROBLEM, CHANNELS, ["latency", "macs"])
    assert bits_matter(PROBLEM, CHANNELS, [])  # all costs count then
    assert not bits_matter(PROBLEM, CHANNELS, ["macs"])
    assert not bits_matter(Problem.build(SPACE), CHANNELS, ["latency"])  # of which nothing is known


def test_channels_stay_and_the_dense_model_stays_as_good() -> None:
    negligible = PROBLEM.cost("error", EIGHT)
    free = FreeBits(PROBLEM, CHANNELS, negligible)
    made = free(DENSE)
    assert 0 < PROBLEM.cost("error", made) <= negligible
    assert PROBLEM.cost("size", made) <= 1.01 * PROBLEM.cost("size", EIGHT)
    for plan in islice(spread(Elimination(PROBLEM), CHANNELS, negligible, Reach(), Reach()), 32):
        made = free(plan)
        assert [made[site] for site in CHANNELS] == [plan[site] for site in CHANNELS]
        assert PROBLEM.cost("macs", made) == PROBLEM.cost("macs", plan)
        assert made == free(made)  # whatever the bits were before


def test_each_site_is_at_its_best_for_the_price() -> None:
    """No change of one site's bits lowers error and priced size: what is decided site by site is the optimum."""
    free = FreeBits(PROBLEM, CHANNELS, PROBLEM.cost("error", EIGHT))
    weights = np.zeros(len(QUANTITIES))
    weights[QUANTITIES.index("error")] = 1.0
    weights[QUANTITIES.index("size")] = free.price
    made = free(DENSE)
    fixed = PROBLEM.with_first_level(CHANNELS)
    assert np.isclose(
        float(PROBLEM.totals(np.array([made]))[0] @ weights),
        float(fixed.totals(Elimination(fixed).solve(weights))[0] @ weights),
    )


def test_without_any_error_to_spare_bits_stay() -> None:
    free = FreeBits(PROBLEM, CHANNELS, 0.0)
    assert free(EIGHT) == DENSE
    assert FreeBits(Problem.build(large_space()), (), 0.0)((1,) * 12) == (0,) * 12

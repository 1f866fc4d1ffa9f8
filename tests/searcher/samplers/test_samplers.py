"""What the samplers beside allocation are for, on spaces whose best plans are known."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from searcher.allocation.budget import Budget
from searcher.allocation.problem import Problem
from searcher.samplers.base import Sampler, SamplerContext, Scored
from searcher.samplers.random_plans import random_plan, repaired
from searcher.samplers.seeded import ALLOCATED_FIRST
from searcher.samplers.table import sampler, sampler_class
from searcher.samplers.uniform import uniform_plan
from searcher.samplers.unseen import Unseen
from storage.errors import FixInputError
from storage.records.candidate import Candidate
from storage.records.space import CHANNEL, SearchSpace
from tests.searcher.spaces import residual

SPACE, TABLE = residual(3, 2)
DENSE = (0,) * len(SPACE.sites)


def context(budgets: tuple[Budget, ...] = (), seed: int = 0) -> SamplerContext:
    return SamplerContext(SPACE, "library", seed, budgets, frozenset(), TABLE)


def true_score(
    space: SearchSpace, candidate: Candidate, weights: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> float:
    """A score that weighs the layers' errors unlike the sum that allocation goes by."""
    factors = zip(space.factors, weights, strict=True)
    return 90 - 20 * sum(w * f.error[space.cell(f.sites, candidate.levels)] for f, w in factors)


def run(proposer: Sampler, rounds: int, size: int = 24) -> list[tuple[Candidate, float]]:
    """Asks and tells; every candidate with its score."""
    weights = np.random.default_rng(1).lognormal(0, 1, len(SPACE.factors))
    found = []
    for _ in range(rounds):
        asked = proposer.ask(size)
        scores = [true_score(SPACE, item, weights) for item in asked]
        proposer.tell(
            [
                Scored(
                    item,
                    score,
                    SPACE.size_bytes(item.levels),
                    SPACE.macs(item.levels),
                    TABLE.milliseconds(SPACE, item.levels),
                )
                for item, score in zip(asked, scores, strict=True)
            ]
        )
        found += list(zip(asked, scores, strict=True))
    return found


def best_at(found: list[tuple[Candidate, float]], ratio: float) -> float:
    """The highest score of plans that are `ratio` times smaller."""
    limit = SPACE.size_bytes(DENSE) / ratio
    return max(score for item, score in found if SPACE.size_bytes(item.levels) <= limit)


BUDGETS = (Budget("size", SPACE.size_bytes(DENSE) / 8),)


@pytest.mark.parametrize("name", ["auto", "corrected"])
def test_what_allocation_misjudges_is_corrected(name: str) -> None:
    allocated = best_at(run(sampler("allocation", context(BUDGETS)), 10), 8)
    assert best_at(run(sampler(name, context(BUDGETS)), 10), 8) > allocated + 0.03  # 0.09 is all that is to be had


def test_auto_begins_as_allocation_does() -> None:
    allocated = sampler("allocation", context()).ask(ALLOCATED_FIRST)
    proposer = sampler("auto", context())
    found = list(proposer.ask(ALLOCATED_FIRST))
    assert found == list(allocated)
    proposer.tell([Scored(item, 80.0, 100, 1.0) for item in found])
    assert len(proposer.ask(20)) == 20


@pytest.mark.parametrize("name", ["mutation", "tpe", "nsga2"])
def test_those_that_learn_get_better(name: str) -> None:
    for seed in range(2):
        found = run(sampler(name, context(BUDGETS, seed)), 10)
        assert best_at(found, 8) > best_at(found[:48], 8) + 1


@pytest.mark.parametrize("name", ["seeded_nsga2", "seeded_tpe"])
def test_seeded_ones_start_from_allocations(name: str) -> None:
    found = run(sampler(name, context(BUDGETS)), 3)
    assert found[:ALLOCATED_FIRST] == run(sampler("allocation", context(BUDGETS)), 2)
    assert not {item for item, _ in found[ALLOCATED_FIRST:]} & {item for item, _ in found[:ALLOCATED_FIRST]}


def test_children_of_allocations_beat_those_of_random_plans() -> None:
    seeded, alone = (run(sampler(name, context(BUDGETS)), 6)[48:] for name in ("seeded_nsga2", "nsga2"))
    assert best_at(seeded, 8) > best_at(alone, 8) + 1


def test_a_draw_that_is_not_new_is_replaced_by_a_neighbour_and_drawing_goes_on() -> None:
    unseen = Unseen(context(), Problem.build(SPACE, TABLE))
    (first,) = unseen.candidates(1, lambda _: SPACE.uniform_bits(4))
    (second,) = unseen.candidates(1, lambda _: SPACE.uniform_bits(4))
    (third,) = unseen.candidates(1, lambda _: SPACE.uniform_bits(3))
    assert first.levels == SPACE.uniform_bits(4)
    assert second != first
    assert third.levels == SPACE.uniform_bits(3)


def test_a_sampler_whose_package_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] == "optuna" or name in ("searcher.samplers.tpe", "searcher.samplers.optuna_study"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(FixInputError, match=r"pip install 'slimfront\[optuna\]'"):
        sampler_class("tpe")


def test_random_plans_cover_all_sizes() -> None:
    sizes = np.log([SPACE.size_bytes(item.levels) for item in sampler("random", context()).ask(200)])
    counts, _ = np.histogram(sizes, bins=5)
    assert counts.min() > 5


def test_half_of_the_random_plans_are_within_the_budgets() -> None:
    budgets = (Budget("size", SPACE.size_bytes(DENSE) / 10), Budget("latency", TABLE.dense_ms / 2))
    found = sampler("random", context(budgets)).ask(200)
    within = sum(
        SPACE.size_bytes(item.levels) <= budgets[0].limit and TABLE.milliseconds(SPACE, item.levels) <= budgets[1].limit
        for item in found
    )
    assert within > 90


def test_a_repair_ends_at_the_last_levels_where_nothing_is_within() -> None:
    given = context((Budget("size", 1.0),))
    problem = Problem.build(SPACE, TABLE)
    generator = np.random.default_rng(0)
    plan = random_plan(context(), problem, generator)
    assert repaired(plan, given, problem, generator) == tuple(len(site.levels) - 1 for site in SPACE.sites)


def test_uniform_plans_are_uniform() -> None:
    assert uniform_plan(SPACE, 0.0, 0.0) == DENSE
    half = uniform_plan(SPACE, 0.4, 0.5)
    bits = {SPACE.sites[i].levels[level].bits for i, level in enumerate(half) if SPACE.sites[i].learner != CHANNEL}
    assert len(bits) == 1
    for site, level in zip(SPACE.sites, half, strict=True):
        if site.learner == CHANNEL:
            shares = [(item.channels or 0) / (site.levels[0].channels or 1) for item in site.levels]
            assert abs(shares[level] - 0.5) == min(abs(share - 0.5) for share in shares)
    between = uniform_plan(SPACE, 0.5, 0.0)
    wide = [level for site, level in zip(SPACE.sites, between, strict=True) if site.learner != CHANNEL]
    assert wide == sorted(wide, reverse=True)
    assert len(set(wide)) == 2


def test_optuna_is_imported_only_by_the_samplers_that_use_it() -> None:
    code = "import sys, searcher.samplers.table, searcher.samplers.auto; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_long_history_of_tpe_is_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    from searcher.samplers import tpe

    monkeypatch.setattr(tpe, "MOST_TRIALS", 60)
    proposer = tpe.TpeSampler(context())
    found = run(proposer, 6)
    assert len(found) == len({item for item, _ in found}) == 144
    assert len(proposer._study.trials) < 144

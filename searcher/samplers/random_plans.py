"""Random search: levels at random, over the whole range of sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from searcher.allocation.problem import QUANTITIES, Problem
from searcher.samplers.base import WIDE_BATCH, SamplerContext, Scored
from searcher.samplers.unseen import Unseen
from storage.records.candidate import Candidate

Levels = tuple[int, ...]

REPAIRED_SHARE = 0.5  # of the plans that are brought within the budgets, where there are some


class RandomSampler:
    """Plans drawn without looking at any score: the yardstick of all others.

    Independent uniform levels all have about the same size. Here a plan first draws how compressed it is to be, and
    every site its level around that (binomially); where there are budgets, half of the plans are repaired to be within
    them.
    """

    notes: tuple[str, ...] = ()
    batch = WIDE_BATCH
    origins: Mapping[Candidate, str] = MappingProxyType({})

    def __init__(self, context: SamplerContext) -> None:
        self._context = context
        self._problem = Problem.build(context.space, context.latency)
        self._unseen = Unseen(context, self._problem)

    def ask(self, count: int) -> Sequence[Candidate]:
        """See `Sampler.ask`."""
        return self._unseen.candidates(count, self._draw)

    def tell(self, scored: Sequence[Scored]) -> None:
        """Scores change nothing."""

    def _draw(self, generator: np.random.Generator) -> Levels:
        return random_plan(self._context, self._problem, generator)


def random_plan(context: SamplerContext, problem: Problem, generator: np.random.Generator) -> Levels:
    """One plan, as `RandomSampler` draws it."""
    share = generator.random()
    plan = tuple(int(generator.binomial(count - 1, share)) for count in problem.counts)
    if context.budgets and generator.random() < REPAIRED_SHARE:
        return repaired(plan, context, problem, generator)
    return plan


def repaired(plan: Levels, context: SamplerContext, problem: Problem, generator: np.random.Generator) -> Levels:
    """The plan with sites taken down in random order, a level at a time, until it is within all budgets.

    Where that never happens, the plan of all sites at their last level.
    """
    rows = [QUANTITIES.index(budget.objective) for budget in context.budgets]
    limits = np.array([budget.limit for budget in context.budgets])
    steps = [site for site, count in enumerate(problem.counts) for _ in range(count - 1 - plan[site])]
    generator.shuffle(steps)
    plans = np.repeat(np.array([plan], np.int64), len(steps) + 1, axis=0)
    for row, site in enumerate(steps, 1):
        plans[row:, site] += 1
    within = (problem.totals(plans)[:, rows] <= limits).all(axis=1)
    chosen = plans[int(within.argmax())] if within.any() else plans[-1]
    return tuple(int(level) for level in chosen)

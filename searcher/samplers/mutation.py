"""Evolution of the front: switched levels, swaps within a budget, crossover (design section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from searcher.allocation.problem import Problem
from searcher.samplers.archive import Archive
from searcher.samplers.base import LEARNING_BATCH, SamplerContext, Scored
from searcher.samplers.operators import OPERATORS
from searcher.samplers.random_plans import random_plan
from searcher.samplers.unseen import Unseen
from storage.records.candidate import Candidate

Levels = tuple[int, ...]

NEAR_TARGET = 0.5  # share of parents that come from where the targets' budgets lie
PARENTS = 4  # of the front that count as near to the target
MEMORY = 0.8  # of an operator's record that is left after each batch: what works changes as the front closes in
LEAST_SHARE = 0.1  # of the proposals that every operator makes


class MutationSampler:
    """Plans made from members of the front by operators that are chosen the more often, the more of their plans have
    joined it (adaptive operator selection by probability matching; Thierens 2005). Random plans until there is a front.
    """

    notes: tuple[str, ...] = ()
    batch = LEARNING_BATCH
    origins: Mapping[Candidate, str] = MappingProxyType({})

    def __init__(self, context: SamplerContext) -> None:
        self._context = context
        self._problem = Problem.build(context.space, context.latency)
        self._unseen = Unseen(context, self._problem)
        self._archive = Archive(context.budgets)
        self._made_by: dict[Levels, str] = {}
        self._records = {name: [0.0, 0.0] for name in OPERATORS}  # plans that joined the front, plans made

    def ask(self, count: int) -> Sequence[Candidate]:
        """See `Sampler.ask`."""
        return self._unseen.candidates(count, self._draw)

    def tell(self, scored: Sequence[Scored]) -> None:
        """Takes the scores, whoever has proposed the plans, and learns which operators were of use."""
        self._archive.add(scored)
        for item in scored:
            self._unseen.take(item.candidate.levels)
        joined = {item.candidate.levels for item in self._archive.front}
        for record in self._records.values():
            record[:] = [MEMORY * value for value in record]
        for item in scored:
            name = self._made_by.pop(item.candidate.levels, None)
            if name is not None:
                self._records[name][0] += item.candidate.levels in joined
                self._records[name][1] += item.score is not None

    def _draw(self, generator: np.random.Generator) -> Levels:
        front = [item.candidate.levels for item in self._archive.front]
        if not front:
            return random_plan(self._context, self._problem, generator)
        if self._context.budgets and generator.random() < NEAR_TARGET:
            near = self._archive.nearest(PARENTS)
            place = front.index(near[int(generator.integers(len(near)))].candidate.levels)
        else:
            place = int(generator.integers(len(front)))
        names = list(OPERATORS)
        name = names[int(generator.choice(len(names), p=self._shares()))]
        levels = OPERATORS[name](self._problem, front, place, generator)
        if self._unseen.is_new(levels):
            self._made_by[levels] = name
        return levels

    def _shares(self) -> list[float]:
        """How often each operator is chosen."""
        # Laplace's rule: one more of either kind than was seen.
        rates = np.array([(joined + 1) / (made + 2) for joined, made in self._records.values()])
        shares = LEAST_SHARE + (1 - LEAST_SHARE * len(rates)) * rates / rates.sum()
        return [float(share) for share in shares / shares.sum()]

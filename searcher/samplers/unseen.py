"""What a sampler has not proposed yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from searcher.allocation.problem import Problem
from searcher.allocation.variants import variants
from searcher.samplers.base import SamplerContext
from storage.records.candidate import Candidate

Levels = tuple[int, ...]
Draw = Callable[[np.random.Generator], Levels]

TRIES = 20  # of drawing a plan that is new; then the next of those that are left is taken


class Unseen:
    """The plans of a space that are neither known beforehand nor proposed."""

    def __init__(self, context: SamplerContext, problem: Problem) -> None:
        self._context = context
        self._problem = problem
        self._known = sorted(item.levels for item in context.known if context.space.contains(item.levels))
        self._seen = set(self._known)
        self._order: list[Levels] = []
        self._draws = 0
        self._rest: Iterator[Levels] | None = None

    def is_new(self, levels: Levels) -> bool:
        """Whether a plan has not been proposed."""
        return levels not in self._seen

    def take(self, levels: Levels) -> bool:
        """Notes that a plan is proposed; False if it was before."""
        if not self.is_new(levels):
            return False
        self._seen.add(levels)
        self._order.append(levels)
        return True

    def candidates(self, count: int, draw: Draw) -> list[Candidate]:
        """At most `count` new plans, each drawn with a generator of its own, so that they do not depend on how many are
        asked for at a time. Where drawing brings nothing new, one of those that are left stands in."""
        found: list[Candidate] = []
        while len(found) < count:
            levels = self._next(draw)
            if levels is None:
                break
            found.append(Candidate(levels, self._context.library))
        return found

    def _next(self, draw: Draw) -> Levels | None:
        generator = np.random.default_rng([self._context.seed, self._draws])
        self._draws += 1
        for _ in range(TRIES):
            levels = draw(generator)
            if self.take(levels):
                return levels
        if self._rest is None:
            self._rest = self._left()
        return next(self._rest, None)

    def _left(self) -> Iterator[Levels]:
        """All that is left, each once: neighbours of what there was first."""
        dense = (0,) * len(self._problem.counts)
        if self.take(dense):
            yield dense
        yield from filter(self.take, variants(self._problem, [*self._order, *self._known]))

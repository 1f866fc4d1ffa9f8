"""Allocation that learns what errors cost: its tables are corrected by the scores that come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from searcher.allocation.correction import Correction
from searcher.allocation.gaps import Gaps
from searcher.allocation.milp import RELATIVE_GAP
from searcher.allocation.spread import Start
from searcher.samplers.allocation import AllocationSampler, Effort
from searcher.samplers.base import LEARNING_BATCH, SamplerContext, Scored
from storage.records.candidate import Candidate
from storage.records.space import SearchSpace

ALLOCATION = "allocation"  # whose plans they are until there are scores to learn from
MOST_SCORES = 2000  # the latest, from which errors are learnt: more tell hardly more
# Of the tables, beside the likeliest, by which plans for a target hardly differ. With and without was compared on one
# or two seeds only: better on ResNet-20, worse on ResNet-56 by a preliminary form.
DRAWS = 4
LIKELIEST_SHARES = (0.99, 0.96)  # of the limits, for which there are plans after each correction
DRAWN_SHARES = (0.99,)  # and by every second draw; not compared by itself
DRAWN_GAP = 1.0  # Lagrangian plans will do for tables that are only likely
GOLDEN_SHARE = (5**0.5 - 1) / 2  # multiples of it, less whole numbers, are as far from each other as can be


class CorrectedSampler:
    """The plans of all sizes and speeds again and again, each time by errors that fit the scores so far: in turn by the
    likeliest ones, exactly, and by some that are drawn (Thompson sampling)."""

    batch = LEARNING_BATCH

    def __init__(self, context: SamplerContext, allocation: AllocationSampler | None = None) -> None:
        """`allocation` is one of the same context, if there is one already: it makes the plans until there are scores,
        and goes on where these change nothing."""
        self._context = context
        first = AllocationSampler(context) if allocation is None else allocation
        self._allocations = [first]  # that take turns
        self._turn = 0
        self._made = 1  # allocations so far
        self.notes = first.notes
        self._owns = allocation is None  # nobody else tells them of scores
        self._space = context.space
        self._known = set(context.known)
        self.origins: dict[Candidate, str] = {}
        self._history: list[Scored] = []
        self._untold: list[Scored] = []  # of which allocations have not been told
        self._is_stale = False
        self._totals = first.totals
        self._gaps = Gaps()

    def ask(self, count: int) -> Sequence[Candidate]:
        """See `Sampler.ask`."""
        if self._is_stale:
            self._correct()
        found: list[Candidate] = []
        while len(found) < count and (candidate := self._next()) is not None:
            found.append(candidate)
            self._known.add(candidate)
        if self._space is self._context.space:
            self.origins.update(dict.fromkeys(found, ALLOCATION))
        return found

    def tell(self, scored: Sequence[Scored]) -> None:
        """Takes the scores, whoever has proposed the plans."""
        if not scored:
            return
        self._untold += scored
        self._history = [*self._history, *scored][-MOST_SCORES:]
        if found := [(item.candidate.levels, item.score) for item in scored if item.score is not None]:
            plans = np.array([levels for levels, _ in found], np.int64)
            self._gaps.learn(self._totals(plans), [score for _, score in found])
        self._known.update(item.candidate for item in scored)
        self._is_stale = True

    def _next(self) -> Candidate | None:
        """The next plan that is new, of whose turn it is or of who comes after it; None when nobody has any left."""
        for _ in self._allocations:
            allocation = self._allocations[self._turn % len(self._allocations)]
            self._turn += 1
            while asked := allocation.ask(1):
                if asked[0] not in self._known:
                    return asked[0]
        return None

    def _correct(self) -> None:
        """Allocates anew, only now that it is needed."""
        self._is_stale = False
        known = [(item.candidate.levels, item.score) for item in self._history if item.score is not None]
        correction = Correction(self._context.space, known)
        untold, self._untold = self._untold, []
        if correction.likeliest == self._space:
            for allocation in self._allocations if self._owns else ():
                allocation.tell(untold)
            return
        self._space = correction.likeliest
        self._owns = True
        self._turn = 0
        self._allocations = [self._allocate(self._space, LIKELIEST_SHARES, RELATIVE_GAP)]
        for draw in range(DRAWS if self._space is not self._context.space else 0):
            generator = np.random.default_rng((self._context.seed, len(self._known), draw))
            shares = () if draw % 2 else DRAWN_SHARES
            self._allocations.append(self._allocate(correction.draw(generator), shares, DRAWN_GAP))

    def _allocate(self, space: SearchSpace, shares: tuple[float, ...], relative_gap: float) -> AllocationSampler:
        """An allocation by other errors, which begins elsewhere than those before it and knows what they have found."""
        context = replace(self._context, space=space, known=frozenset(self._known))
        start = Start(self._made, self._made * GOLDEN_SHARE % 1.0, self._gaps)
        found = AllocationSampler(context, Effort(shares, relative_gap, start))
        found.tell(self._history)
        self._made += 1
        return found

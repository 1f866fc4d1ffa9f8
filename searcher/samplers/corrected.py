"""Allocation that learns what errors cost: its tables are corrected by the scores that come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from searcher.allocation.correction import Correction
from searcher.samplers.allocation import AllocationSampler
from searcher.samplers.base import LEARNING_BATCH, SamplerContext, Scored
from storage.records.candidate import Candidate
from storage.records.space import SearchSpace

ALLOCATION = "allocation"  # whose plans they are until there are scores to learn from
MOST_SCORES = 2000  # the latest, from which errors are learnt: more tell hardly more
# Of the tables, beside the likeliest. By these alone, all plans for a target cut the same channels: with 100 candidates
# ResNet-56 at 1.3 times fewer MACs lost 1.27, 1.27 and 1.25 points of soft accuracy, and 0.35 to 0.40 with draws.
DRAWS = 4
LIKELIEST_SHARES = (0.99, 0.96)  # of the limits, for which there are plans after each correction
DRAWN_SHARES = (0.99,)  # and by each draw
DRAWN_GAP = 1.0  # Lagrangian plans will do for tables that are only likely


class CorrectedSampler:
    """The plans of all sizes and speeds again and again, each time by errors that fit the scores so far: in turn by the
    likeliest ones, exactly, and by some that are drawn (Thompson sampling)."""

    batch = LEARNING_BATCH

    def __init__(self, context: SamplerContext, allocation: AllocationSampler | None = None) -> None:
        """`allocation` is one of the same context, if there is one already: it makes the plans until there are scores,
        and goes on where these change nothing."""
        self._context = context
        self._allocation = AllocationSampler(context) if allocation is None else allocation
        self._allocations = [self._allocation]  # that take turns
        self._turn = 0
        self.notes = self._allocation.notes
        self._owns = allocation is None  # nobody else tells it of scores
        self._space = context.space
        self._known = set(context.known)
        self.origins: dict[Candidate, str] = {}
        self._history: list[Scored] = []
        self._is_stale = False

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
        for allocation in self._allocations if self._owns else ():
            allocation.tell(scored)
        self._history = [*self._history, *scored][-MOST_SCORES:]
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
        if correction.likeliest == self._space:
            return
        self._space = correction.likeliest
        self._allocation = AllocationSampler(self._with(self._space), LIKELIEST_SHARES)
        self._owns = True
        self._turn = 0
        self._allocations = [self._allocation]
        for draw in range(DRAWS):
            generator = np.random.default_rng((self._context.seed, len(self._known), draw))
            context = self._with(correction.draw(generator))
            self._allocations.append(AllocationSampler(context, DRAWN_SHARES, DRAWN_GAP))
        for allocation in self._allocations:
            allocation.tell(self._history)

    def _with(self, space: SearchSpace) -> SamplerContext:
        return replace(self._context, space=space, known=frozenset(self._known))

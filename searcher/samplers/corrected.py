"""Allocation that learns what errors cost: its tables are corrected by the scores that come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from searcher.allocation.correction import corrected
from searcher.samplers.allocation import AllocationSampler
from searcher.samplers.base import LEARNING_BATCH, SamplerContext, Scored
from storage.records.candidate import Candidate

ALLOCATION = "allocation"  # whose plans they are until there are scores to learn from
MOST_SCORES = 2000  # the latest, from which errors are learnt: more tell hardly more


class CorrectedSampler:
    """The exact plans of all sizes and speeds again and again, each time by errors that fit the scores so far."""

    batch = LEARNING_BATCH

    def __init__(self, context: SamplerContext, allocation: AllocationSampler | None = None) -> None:
        """`allocation` is one of the same context, if there is one already: it makes the plans until there are scores,
        and goes on where these change nothing."""
        self._context = context
        self._allocation = AllocationSampler(context) if allocation is None else allocation
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
        found = self._allocation.ask(count)
        if self._space is self._context.space:
            self.origins.update(dict.fromkeys(found, ALLOCATION))
        self._known.update(found)
        return found

    def tell(self, scored: Sequence[Scored]) -> None:
        """Takes the scores, whoever has proposed the plans."""
        if not scored:
            return
        if self._owns:
            self._allocation.tell(scored)
        self._history = [*self._history, *scored][-MOST_SCORES:]
        self._known.update(item.candidate for item in scored)
        self._is_stale = True

    def _correct(self) -> None:
        """Allocates anew, only now that it is needed."""
        self._is_stale = False
        known = [(item.candidate.levels, item.score) for item in self._history if item.score is not None]
        space = corrected(self._context.space, known)
        if space == self._space:
            return
        self._space = space
        self._allocation = AllocationSampler(replace(self._context, space=space, known=frozenset(self._known)))
        self._allocation.tell(self._history)
        self._owns = True

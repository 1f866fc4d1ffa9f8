"""Samplers that allocation seeds."""

from __future__ import annotations

from collections.abc import Sequence

from searcher.samplers.allocation import AllocationSampler
from searcher.samplers.base import LEARNING_BATCH, Sampler, Scored
from storage.records.candidate import Candidate

ALLOCATED_FIRST = 48  # they cover the whole range of sizes and speeds


class SeededSampler:
    """Allocations first, by the additive error alone; then others take turns, which know their scores."""

    batch = LEARNING_BATCH

    def __init__(self, allocation: AllocationSampler, others: Sequence[Sampler]) -> None:
        self._allocation = allocation
        self._others = tuple(others)
        # Each note once: samplers that build on each other say the same.
        self.notes = tuple(dict.fromkeys(note for item in (allocation, *others) for note in item.notes))
        self._seen: set[Candidate] = set()
        self._asked = 0

    def ask(self, count: int) -> Sequence[Candidate]:
        """See `Sampler.ask`."""
        found: list[Candidate] = []
        while len(found) < count:
            candidate = next(filter(None, map(self._new, self._order())), None)
            if candidate is None:
                break
            found.append(candidate)
            self._asked += 1
        return found

    def tell(self, scored: Sequence[Scored]) -> None:
        """See `Sampler.tell`; all learn from everything."""
        for sampler in (self._allocation, *self._others):
            sampler.tell(scored)

    def _order(self) -> Sequence[Sampler]:
        """Whose turn it is, and who comes next if nothing is left there."""
        if self._asked < ALLOCATED_FIRST:
            return (self._allocation, *self._others)
        turn = (self._asked - ALLOCATED_FIRST) % len(self._others)
        return (*self._others[turn:], *self._others[:turn], self._allocation)

    def _new(self, sampler: Sampler) -> Candidate | None:
        """The next candidate of a sampler that no other has proposed; None when it has none left."""
        while asked := sampler.ask(1):
            (candidate,) = asked
            if candidate not in self._seen:
                self._seen.add(candidate)
                return candidate
        return None

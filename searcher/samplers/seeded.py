"""Samplers that allocation seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from searcher.samplers.base import LEARNING_BATCH, Sampler, Scored
from storage.records.candidate import Candidate

ALLOCATED_FIRST = 48  # they cover the whole range of sizes and speeds


class SeededSampler:
    """Samplers that take turns and all learn from everything: the first one first, by the additive error alone."""

    batch = LEARNING_BATCH

    def __init__(self, samplers: Mapping[str, Sampler]) -> None:
        """`samplers` by their names, allocation first."""
        self._samplers = dict(samplers)
        # Each note once: samplers that build on each other say the same.
        self.notes = tuple(dict.fromkeys(note for item in samplers.values() for note in item.notes))
        self.origins: dict[Candidate, str] = {}
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
        """See `Sampler.tell`."""
        for sampler in self._samplers.values():
            sampler.tell(scored)

    def turn(self, asked: int) -> str:
        """Whose turn it is after `asked` candidates."""
        names = list(self._samplers)
        return names[0] if asked < ALLOCATED_FIRST else names[1 + (asked - ALLOCATED_FIRST) % (len(names) - 1)]

    def _order(self) -> Sequence[str]:
        """Whose turn it is, and who comes next if nothing is left there."""
        turn = self.turn(self._asked)
        return (turn, *(name for name in reversed(self._samplers) if name != turn))

    def _new(self, name: str) -> Candidate | None:
        """The next candidate of a sampler that no other has proposed; None when it has none left."""
        sampler = self._samplers[name]
        while asked := sampler.ask(1):
            (candidate,) = asked
            if candidate not in self.origins:
                self.origins[candidate] = sampler.origins.get(candidate, name)
                return candidate
        return None

"""Search for channels where no target wants what bits change; each plan gets the bits that cost nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from searcher.allocation.free_bits import FreeBits, bits_matter
from searcher.allocation.problem import Problem
from searcher.samplers.base import Sampler, SamplerContext, Scored
from storage.records.candidate import Candidate
from storage.records.space import CHANNEL, SearchSpace
from storage.slim import BYTE_BITS


def bits_are_free(context: SamplerContext) -> bool:
    """Whether there are channels and bits to choose, and no budget limits what bits change. Without budgets all costs
    count."""
    channels, bits = _sites(context.space)
    wanted = [budget.objective for budget in context.budgets]
    problem = Problem.build(context.space, context.latency)
    return bool(channels and bits) and not bits_matter(problem, channels, wanted)


class FreeBitsSampler:
    """Any sampler in the space of channels alone, so that nothing is spent on, or learnt about, what nobody wants.

    By a joint search five of eight plans were for sizes that nobody had asked for, and a part of what scores tell of
    the errors of channels was put down to bits. When it has proposed all channels, such a sampler goes on in the whole
    space.
    """

    def __init__(self, context: SamplerContext, make: Callable[[SamplerContext], Sampler]) -> None:
        """`make` makes the sampler of a context."""
        self._context, self._make = context, make
        self._channels, bits = _sites(context.space)
        problem = Problem.build(context.space, context.latency)
        negligible = problem.cost("error", context.space.uniform_bits(BYTE_BITS))
        self._with_bits = FreeBits(problem, self._channels, negligible)
        self._space = context.space.with_first_level(bits)
        # Baselines of other tools have no levels.
        inside = [item for item in context.known if context.space.contains(item.levels)]
        known = frozenset(self._bare(item) for item in inside if self._finished(self._bare(item)) == item)
        self._inner = make(replace(context, space=self._space, known=known, latency=None))
        self._rest: Sampler | None = None  # of the whole space
        self._bare_ones: dict[Candidate, Candidate] = {}  # what the first one has proposed, by what became of it
        self.origins: dict[Candidate, str] = {}
        self.notes = self._inner.notes
        self.batch = self._inner.batch

    def ask(self, count: int) -> Sequence[Candidate]:
        """See `Sampler.ask`."""
        found: list[Candidate] = []
        for bare in self._inner.ask(count) if self._rest is None else ():
            found.append(self._finished(bare))
            self._bare_ones[found[-1]] = bare
            self._note_origin(found[-1], self._inner.origins.get(bare))
        if len(found) < count:
            if self._rest is None:
                self._rest = self._make(replace(self._context, known=self._context.known.union(self._bare_ones)))
            others = self._rest.ask(count - len(found))
            for item in others:
                self._note_origin(item, self._rest.origins.get(item))
            found += others
        return found

    def tell(self, scored: Sequence[Scored]) -> None:
        """See `Sampler.tell`. The first sampler is told of sizes without bits, of which it knows nothing."""
        by_inner = [item for item in scored if item.candidate in self._bare_ones]
        self._inner.tell([self._bare_score(item) for item in by_inner])
        if self._rest is not None:
            self._rest.tell([item for item in scored if item.candidate not in self._bare_ones])

    def _bare_score(self, item: Scored) -> Scored:
        bare = self._bare_ones[item.candidate]
        return replace(item, candidate=bare, size_bytes=self._space.size_bytes(bare.levels), latency_ms=None)

    def _finished(self, bare: Candidate) -> Candidate:
        """A plan of channels with its bits."""
        return replace(bare, levels=self._with_bits(bare.levels))

    def _bare(self, item: Candidate) -> Candidate:
        """The channels of a plan."""
        levels = enumerate(item.levels)
        return replace(item, levels=tuple(level if site in self._channels else 0 for site, level in levels))

    def _note_origin(self, item: Candidate, name: str | None) -> None:
        if name is not None:
            self.origins[item] = name


def _sites(space: SearchSpace) -> tuple[list[int], list[int]]:
    """The sites of channels and all others that have a choice."""
    channels = [place for place, site in enumerate(space.sites) if site.learner == CHANNEL]
    others = set(range(len(space.sites))).difference(channels)
    return channels, [place for place in sorted(others) if len(space.sites[place].levels) > 1]

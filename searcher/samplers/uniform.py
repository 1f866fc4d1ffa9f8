"""Uniform compression: the same share of channels and the same width everywhere, in ever finer steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from searcher.allocation.problem import Problem
from searcher.allocation.sequence import van_der_corput
from searcher.samplers.base import WIDE_BATCH, SamplerContext, Scored
from searcher.samplers.unseen import Unseen
from storage.records.candidate import Candidate
from storage.records.space import CHANNEL, SearchSpace, Site

Levels = tuple[int, ...]


class UniformSampler:
    """What one sets by hand: one share of channels and one number of bits for the whole model.

    The two run through their ranges as the van der Corput sequences to the bases 2 and 3 do (Halton 1960), so that any
    number of plans covers both. Between two widths the layers of the front have the smaller one. Scores change nothing.
    """

    notes: tuple[str, ...] = ()
    batch = WIDE_BATCH
    origins: Mapping[Candidate, str] = MappingProxyType({})

    def __init__(self, context: SamplerContext) -> None:
        self._space = context.space
        self._unseen = Unseen(context, Problem.build(context.space, context.latency))
        self._plans = _plans(context.space)

    def ask(self, count: int) -> Sequence[Candidate]:
        """See `Sampler.ask`."""
        return self._unseen.candidates(count, lambda _: next(self._plans))

    def tell(self, scored: Sequence[Scored]) -> None:
        """Scores change nothing."""


def _plans(space: SearchSpace) -> Iterator[Levels]:
    index = 0
    while True:
        yield uniform_plan(space, van_der_corput(index), van_der_corput(index, base=3))
        index += 1


def uniform_plan(space: SearchSpace, bits: float, channels: float) -> Levels:
    """`bits` and `channels` in [0, 1]: how far down every site of either kind goes; 0 leaves all as it is."""
    precision = [index for index, site in enumerate(space.sites) if site.learner != CHANNEL]
    levels = [0] * len(space.sites)
    for place, index in enumerate(precision):
        steps = bits * (len(space.sites[index].levels) - 1)
        whole = int(steps)
        further = steps - whole > (place + 0.5) / len(precision)
        levels[index] = whole + further
    for index, site in enumerate(space.sites):
        if site.learner == CHANNEL:
            levels[index] = _nearest(site, 1.0 - channels)
    return tuple(levels)


def _nearest(site: Site, share: float) -> int:
    """The level that keeps about `share` of the channels."""
    counts = np.array([level.channels or 0 for level in site.levels], np.float64)
    return int(np.abs(counts / counts[0] - share).argmin())

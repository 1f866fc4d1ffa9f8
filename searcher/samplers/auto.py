"""Allocation, then allocation that has learnt from its scores in turn with mutation of the front."""

from __future__ import annotations

from searcher.samplers.allocation import AllocationSampler
from searcher.samplers.base import SamplerContext
from searcher.samplers.corrected import CorrectedSampler
from searcher.samplers.mutation import MutationSampler
from searcher.samplers.seeded import SeededSampler


class AutoSampler(SeededSampler):
    """What layers cost is corrected by the scores of whole models; mutation finds what no sum over layers tells."""

    def __init__(self, context: SamplerContext) -> None:
        allocation = AllocationSampler(context)
        super().__init__(allocation, (CorrectedSampler(context, allocation), MutationSampler(context)))

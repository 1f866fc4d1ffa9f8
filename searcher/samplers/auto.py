"""Allocation, then allocation that learns from its scores, with some mutation of the front."""

from __future__ import annotations

from searcher.samplers.allocation import AllocationSampler
from searcher.samplers.base import SamplerContext
from searcher.samplers.corrected import CorrectedSampler
from searcher.samplers.mutation import MutationSampler
from searcher.samplers.seeded import SeededSampler

ALLOCATED_FIRST = 24  # from which errors are learnt; more of the uncorrected plans tell less than corrected ones gain
LEARNT_FIRST = 96  # before them mutants only cost: the front does not yet cover its range
EVERY = 8  # candidate after that is a mutant


class AutoSampler(SeededSampler):
    """What layers cost is corrected by the scores of whole models; mutation finds what no sum over layers tells."""

    def __init__(self, context: SamplerContext) -> None:
        allocation = AllocationSampler(context)
        super().__init__(
            {
                "allocation": allocation,
                "mutation": MutationSampler(context),
                "corrected": CorrectedSampler(context, allocation),
            }
        )

    def turn(self, asked: int) -> str:
        """See `SeededSampler.turn`."""
        if asked < ALLOCATED_FIRST:
            return "allocation"
        return "mutation" if asked >= LEARNT_FIRST and asked % EVERY == EVERY - 1 else "corrected"

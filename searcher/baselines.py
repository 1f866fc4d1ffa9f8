"""The baselines of every study: they are trials like any other and compete for rows of the front."""

from __future__ import annotations

from learners.library.library import Library
from storage.records.candidate import Candidate, Proposal
from storage.records.space import SearchSpace

DENSE = "dense"
ORT_INT8 = "ort int8"
UNIFORM_WIDTHS = (8, 6, 4, 3, 2)
ROUNDED_WIDTHS = (4,)
ORIGIN = "baseline"


def baseline_proposals(library: Library) -> tuple[Proposal, ...]:
    """Dense, ONNX Runtime's own int8, uniform bits by the library, and plain rounding; always in this order."""
    space = library.space
    found = [
        _proposal(Candidate((0,) * len(space.sites), library.id), DENSE),
        _proposal(Candidate((), ORT_INT8), ORT_INT8),
    ]
    for bits in UNIFORM_WIDTHS:
        found.append(_proposal(Candidate(uniform(space, bits), library.id), f"uniform w{bits}"))
    for bits in ROUNDED_WIDTHS:
        found.append(_proposal(Candidate(uniform(space, bits), library.rounded_id), f"rounded w{bits}"))
    return tuple(found)


def uniform(space: SearchSpace, bits: int) -> tuple[int, ...]:
    """The candidate with `bits` at every site, or the original where a site lacks that width."""
    return tuple(
        next((index for index, level in enumerate(site.levels) if level.bits == bits), 0) for site in space.sites
    )


def _proposal(candidate: Candidate, name: str) -> Proposal:
    return Proposal(candidate, ORIGIN, name)

"""The baselines of every study: they are trials like any other and compete for rows of the front."""

from __future__ import annotations

from learners.library.library import Library
from storage.records.candidate import Candidate, Proposal
from storage.records.space import CHANNEL, QUANT, SearchSpace, Site

DENSE = "dense"
ORT_INT8 = "ort int8"
UNIFORM_WIDTHS = (8, 6, 4, 3, 2)
UNIFORM_SHARES = (0.75, 0.5)  # of the channels of every group, at 8 bits
BYTE_LEVEL = "w8"
ROUNDED_WIDTHS = (4,)
ORIGIN = "baseline"


def baseline_proposals(library: Library) -> tuple[Proposal, ...]:
    """Dense, ONNX Runtime's own int8, uniform bits and channels by the library, and plain rounding, in this order."""
    space = library.space
    found = [
        _proposal(Candidate((0,) * len(space.sites), library.id), DENSE),
        _proposal(Candidate((), ORT_INT8), ORT_INT8),
    ]
    quantised = any(site.learner == QUANT for site in space.sites)
    for bits in UNIFORM_WIDTHS if quantised else ():
        found.append(_proposal(Candidate(uniform(space, bits), library.id), f"uniform w{bits}"))
    if any(site.learner == CHANNEL for site in space.sites):
        for share in UNIFORM_SHARES:
            name = f"uniform c{100 * share:g}"
            found.append(_proposal(Candidate(uniform_channels(space, share), library.id), name))
    for bits in ROUNDED_WIDTHS if quantised else ():
        found.append(_proposal(Candidate(uniform(space, bits), library.rounded_id), f"rounded w{bits}"))
    return tuple(found)


def uniform(space: SearchSpace, bits: int) -> tuple[int, ...]:
    """The candidate with `bits` at every site, or the original where a site lacks that width."""
    return tuple(
        next((index for index, level in enumerate(site.levels) if level.bits == bits), 0) for site in space.sites
    )


def uniform_channels(space: SearchSpace, share: float) -> tuple[int, ...]:
    """The candidate that keeps about `share` of the channels of every group, at 8 bits where there are bits."""
    return tuple(_nearest(site, share) if site.learner == CHANNEL else _byte_level(site) for site in space.sites)


def _nearest(site: Site, share: float) -> int:
    widths = [level.channels or 0 for level in site.levels]
    return min(range(len(widths)), key=lambda level: (abs(widths[level] / widths[0] - share), level))


def _byte_level(site: Site) -> int:
    return next((index for index, level in enumerate(site.levels) if level.name == BYTE_LEVEL), 0)


def _proposal(candidate: Candidate, name: str) -> Proposal:
    return Proposal(candidate, ORIGIN, name)

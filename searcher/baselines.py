"""The baselines of every study: they are trials like any other and compete for rows of the front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learners.library.library import Library
from searcher.allocation.budget import Budget, fits
from searcher.allocation.problem import Problem
from storage.records.candidate import Candidate, Proposal
from storage.records.latency import LatencyTable
from storage.records.space import CHANNEL, FLOAT_BITS, QUANT, SearchSpace, Site

DENSE = "dense"
ORT_INT8 = "ort int8"
UNIFORM_WIDTHS = (8, 6, 4, 3, 2)
UNIFORM_SHARES = (0.75, 0.5)  # of the channels of every group, at 8 bits
BYTE_LEVEL = "w8"
ROUNDED_WIDTHS = (4,)
ORIGIN = "baseline"
AT_TARGET = "uniform at target"
# Of which the least error within the target's costs is `AT_TARGET`: what one setting for the whole model can do.
TARGET_SHARES = (1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25)

Levels = tuple[int, ...]


def baseline_proposals(
    library: Library, budgets: Sequence[Budget] = (), latency: LatencyTable | None = None
) -> tuple[Proposal, ...]:
    """Dense, ONNX Runtime's own int8, uniform bits and channels by the library, plain rounding, and the best uniform
    plan within the target's costs where there are such costs and plans, in this order."""
    space = library.space
    found = [
        _proposal(Candidate((0,) * len(space.sites), library.id), DENSE),
        _proposal(Candidate((), ORT_INT8), ORT_INT8),
    ]
    quantised = any(site.learner == QUANT for site in space.sites)
    for bits in UNIFORM_WIDTHS if quantised else ():
        found.append(_proposal(Candidate(space.uniform_bits(bits), library.id), f"uniform w{bits}"))
    if any(site.learner == CHANNEL for site in space.sites):
        for share in UNIFORM_SHARES:
            name = f"uniform c{100 * share:g}"
            found.append(_proposal(Candidate(uniform_channels(space, share), library.id), name))
    for bits in ROUNDED_WIDTHS if quantised else ():
        found.append(_proposal(Candidate(space.uniform_bits(bits), library.rounded_id), f"rounded w{bits}"))
    levels = uniform_within(space, budgets, latency)
    if levels is not None:
        found.append(_proposal(Candidate(levels, library.id), AT_TARGET))
    unique: dict[Candidate, Proposal] = {}
    for item in found:  # where channels have no smaller level, those of fewer channels are those of 8 bits
        unique.setdefault(item.candidate, item)
    return tuple(unique.values())


def uniform_within(space: SearchSpace, budgets: Sequence[Budget], latency: LatencyTable | None) -> Levels | None:
    """Of all plans with one share of channels and one width for the whole model, that of the least error within all
    budgets; None without budgets, or if none is within them."""
    unpredicted = latency is None and any(item.objective == "latency" for item in budgets)
    if not budgets or unpredicted:
        return None
    shares = TARGET_SHARES if any(site.learner == CHANNEL for site in space.sites) else TARGET_SHARES[:1]
    plans = {
        tuple(
            _nearest(site, share) if site.learner == CHANNEL else level
            for site, level in zip(space.sites, space.uniform_bits(bits), strict=True)
        )
        for share in shares
        for bits in (FLOAT_BITS, *UNIFORM_WIDTHS)
    }
    problem = Problem.build(space, latency)
    ordered = sorted(plans)
    inside = fits(problem.predictions(np.array(ordered, np.intp)), budgets)
    within = [plan for plan, is_inside in zip(ordered, inside, strict=True) if is_inside]
    return min(within, key=space.error, default=None)


def uniform_channels(space: SearchSpace, share: float) -> Levels:
    """The candidate that keeps about `share` of the channels of every group, at 8 bits where there are bits."""
    return tuple(_nearest(site, share) if site.learner == CHANNEL else _byte_level(site) for site in space.sites)


def _nearest(site: Site, share: float) -> int:
    widths = [level.channels or 0 for level in site.levels]
    return min(range(len(widths)), key=lambda level: (abs(widths[level] / widths[0] - share), level))


def _byte_level(site: Site) -> int:
    return next((index for index, level in enumerate(site.levels) if level.name == BYTE_LEVEL), 0)


def _proposal(candidate: Candidate, name: str) -> Proposal:
    return Proposal(candidate, ORIGIN, name)

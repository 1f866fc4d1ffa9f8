"""A candidate: one level for every site, and the weights it starts from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """Hashable: equal candidates are evaluated once."""

    levels: tuple[int, ...]  # index into each site's levels, in the order of the search space
    weights: str  # id of the weights: a library's, later a fine-tune's

    @property
    def key(self) -> str:
        """Content hash that addresses scores and artifacts of this candidate."""
        text = self.weights + ":" + ",".join(map(str, self.levels))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Proposal:
    """A candidate as a sampler hands it over, before the store has given it a number."""

    candidate: Candidate
    origin: str  # the sampler's name, or "baseline"
    baseline: str | None = None  # the baseline's name, such as "uniform w4"; None for a searched candidate
    parent: int | None = None  # number of the trial whose weights it was trained further from; None if it was not


@dataclass(frozen=True)
class Trial:
    """A proposal with the number under which the study stores it, from 1 in the order of proposals."""

    number: int
    candidate: Candidate
    origin: str
    baseline: str | None
    error: str | None = None  # why its evaluation failed; None while it has not
    parent: int | None = None  # as of its proposal

    @property
    def is_searched(self) -> bool:
        """Whether the search has proposed it: it is no baseline, and not trained."""
        return self.baseline is None and self.parent is None

"""A look at a test split: what it says is only worth something as long as nothing was chosen by it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """One use of a test split by one study, noted before anything was evaluated on it."""

    split: str  # content hash of the test split
    study: str  # its name
    created_at: float  # of that study, which tells it from a later one of the same name
    time: float  # seconds since the epoch, UTC
    images: int
    again: bool  # whether it was known that the split had been used before

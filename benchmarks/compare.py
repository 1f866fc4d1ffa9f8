"""Two studies of one home, file by file: is the one nowhere worse than the other, beyond noise?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from objectives.hypervolume import ACCURACY_SPAN_POINTS
from objectives.paired import paired_drop, unpack_scores
from searcher.front import SPEED_STEP
from storage.home import Home
from storage.open import open_store
from storage.records.measurement import Result, Rung

# What a file may cost more than the other one and still count as no more costly: predicted speeds are no better known.
TOLERANCES: Mapping[str, float] = {"size": 1.0, "macs": 1.0, "predicted_latency": 2.0**SPEED_STEP}
DENSE_NUMBER = 1


@dataclass(frozen=True)
class Comparison:
    """The files of one study beside the best of another one that costs no more, on the same images."""

    ours: str
    other: str
    cost: str
    files: int  # of the other study, within ten points of the dense model
    unanswered: int  # for which we have none that costs as little
    worse: int  # where ours is worse beyond the one-sided 95 % bound of the paired difference
    largest_gap: float  # points by which ours is worse at most; below 0 where it is better everywhere
    largest_gap_lower: float  # its 95 % lower bound: above 0, it is no chance


def compare(home: Path, ours: str, other: str, cost: str) -> Comparison:
    """Compares confirmed files of study `other` with those of `ours` by a cost: "size", "macs", "predicted_latency"."""
    store = open_store(Home(home).database_url)
    mine, theirs = (
        [item for item in store.results(study, Rung.CONFIRMED) if item.get(cost) is not None] for study in (ours, other)
    )
    store.close()
    good = [item for item in theirs if item.number != DENSE_NUMBER and item.value("drop") <= ACCURACY_SPAN_POINTS]
    gaps = [found for item in good if (found := _gap(item, mine, cost)) is not None]
    largest = max(gaps, default=(0.0, 0.0))
    return Comparison(
        ours=ours,
        other=other,
        cost=cost,
        files=len(good),
        unanswered=len(good) - len(gaps),
        worse=sum(lower > 0 for _, lower in gaps),
        largest_gap=largest[0],
        largest_gap_lower=largest[1],
    )


def _gap(item: Result, ours: Sequence[Result], cost: str) -> tuple[float, float] | None:
    """By how many points the best of `ours` that costs no more is worse, and the lower bound of that."""
    limit = item.value(cost) * TOLERANCES[cost]
    within = [own for own in ours if own.value(cost) <= limit]
    if not within:
        return None
    best = max(within, key=lambda own: own.value("accuracy"))
    assert item.per_image is not None
    assert best.per_image is not None
    found = paired_drop(unpack_scores(item.per_image), unpack_scores(best.per_image))
    return found.drop_points, found.lower_points

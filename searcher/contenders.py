"""Which results of the quick score may be the best of their cost, and the scores that then decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from objectives.pareto import non_dominated, thin
from searcher.front import QUICK_OBJECTIVE, front_points
from storage.records.measurement import Measurement, Result, Rung
from storage.store import StudyStore

# Points of the quick score by which 256 images often put two of one size in the wrong order. With more contenders than
# these, picks among a hundred candidates of ResNet-20 were hardly better.
TIE_POINTS = 0.5
MOST_CONTENDERS = 64


def contenders(results: Sequence[Result], keep: Sequence[int] = (), macs: bool = False) -> list[Result]:
    """Those of `results` that no other one that costs no more beats by more than `TIE_POINTS`, by number.

    They are at most `MOST_CONTENDERS`: of a front that is larger, as many as span it, else it and those that are
    beaten by least.

    Args:
        results: of rung 1.
        keep: numbers of results on their front that are contenders in any case.
        macs: as in `searcher.front.quick_front`.
    """
    if not results:
        return []
    points = front_points(results, QUICK_OBJECTIVE, macs)
    scores, costs = points[:, 0], points[:, 1:]
    front: list[int] = np.flatnonzero(non_dominated(points)).tolist()
    # The best of what costs no more is always on the front.
    best = [scores[front][(costs[front] >= own).all(axis=1)].max() for own in costs]
    beaten_by = np.array(best) - scores
    if len(front) > MOST_CONTENDERS:
        wanted = [place for place, index in enumerate(front) if results[index].number in set(keep)]
        chosen = [front[place] for place in thin(points[front], MOST_CONTENDERS, wanted)]
    else:
        order = np.argsort(beaten_by, kind="stable")[:MOST_CONTENDERS]
        chosen = [int(index) for index in order if beaten_by[index] <= TIE_POINTS]
    return sorted((results[index] for index in chosen), key=lambda item: item.number)


def deciding_scores(store: StudyStore, study: str) -> dict[int, Result]:
    """By number, the scores that choose what is confirmed: both together of what has a second one, or the quick ones
    where nothing has."""
    quick = {item.number: item for item in store.results(study, Rung.QUICK)}
    second = store.results(study, Rung.RESCORED)
    return {item.number: together(quick[item.number], item) for item in second} or quick


def together(first: Result, second: Result) -> Result:
    """The second result of a candidate, with the scores over the images of both."""

    def pooled(item: Measurement) -> Measurement:
        other = first.get(item.objective)
        if other is None or item.objective not in (QUICK_OBJECTIVE, "accuracy"):
            return item
        images = item.samples + other.samples
        value = (item.samples * item.value + other.samples * other.value) / images
        return replace(item, value=value, samples=images)

    return replace(second, measurements=tuple(map(pooled, second.measurements)), per_image=None)

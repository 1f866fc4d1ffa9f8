"""Which results make up the front of a study, by accuracy, size and predicted speed-up, and which of them cover it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import inf, log2, sqrt
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from objectives.hypervolume import ACCURACY_SPAN_POINTS
from objectives.pareto import FRONT_ROWS, non_dominated, thin
from storage.records.measurement import Result
from storage.records.study import FrontRow

# Doublings of the predicted speed that count as equal, a little over 1 %: predictions are no better than that, and
# plans of the same speed must not share the front for the last digit of a sum.
SPEED_STEP = 0.02
AXES: Mapping[str, int] = MappingProxyType({"size": 1, "predicted_latency": 2, "macs": -1})  # of `front_points`
LEAST_COST = 1e-9  # of a whole model, in bytes, MACs or milliseconds: its logarithm is finite
LEAST_GAP = log2(1.1)  # doublings of a cost: files that are closer to each other leave no gap
NOISE = 2.0  # points of a score, by which neighbours differ on NOISE_IMAGES by chance
NOISE_IMAGES = 256
QUICK_OBJECTIVE = "soft_accuracy"  # ranks candidates of one size better than accuracy does (design section 4)


def quick_front(results: Sequence[Result], macs: bool = False) -> list[Result]:
    """The non-dominated results of rung 1 by soft accuracy, predicted size and speed, the most accurate first.

    With `macs`, as studies whose target names them ask for, by these, too.
    """
    return _front(results, QUICK_OBJECTIVE, macs)


def confirmed_front(results: Sequence[Result], macs: bool = False) -> list[Result]:
    """The non-dominated results of rung 2 by accuracy, file size and predicted speed-up, the most accurate first.

    `macs` as in `quick_front`.
    """
    return _front(results, "accuracy", macs)


def useful(results: Sequence[Result], dense: float, max_drop: float | None) -> list[Result]:
    """The results that somebody may want: within ten points of the dense accuracy, where the normalised hypervolume
    begins, or within twice the allowed drop; all of them if there are none such."""
    floor = dense - max(ACCURACY_SPAN_POINTS, 2 * (max_drop or 0.0))
    return [item for item in results if item.value("accuracy") >= floor] or list(results)


def rows(front: Sequence[Result], keep: Sequence[int] = (), macs: bool = False) -> tuple[FrontRow, ...]:
    """The front as the store keeps it, thinned to its most rows; `keep` holds trial numbers that stay.

    `macs` as in `quick_front`.
    """
    if len(front) > FRONT_ROWS:
        objective = "accuracy" if front[0].rung.is_of_file else QUICK_OBJECTIVE
        places = {item.number: index for index, item in enumerate(front)}
        kept = [places[number] for number in keep if number in places]
        front = [front[index] for index in thin(front_points(front, objective, macs), FRONT_ROWS, kept)]
    return tuple(FrontRow(position, item.number, item.rung) for position, item in enumerate(front))


def spread(front: Sequence[Result], count: int, keep: Sequence[int], macs: bool = False) -> list[Result]:
    """At most `count` results of a quick front that cover it; `keep` holds trial numbers that go first.

    `macs` as in `quick_front`.
    """
    if not front:
        return []
    wanted = [index for index, item in enumerate(front) if item.number in set(keep)]
    return [front[index] for index in thin(front_points(front, QUICK_OBJECTIVE, macs), count, wanted)]


def along(front: Sequence[Result], cost: str, count: int) -> list[int]:
    """Trial numbers of at most `count` results of a quick front that cover its accuracy against one cost alone.

    `cost` is "size", "macs" or "predicted_latency", and every result has it.
    """
    if not front:
        return []
    points = front_points(front, QUICK_OBJECTIVE, macs=True)[:, [0, AXES[cost]]]
    places = np.flatnonzero(non_dominated(points))
    return [front[places[index]].number for index in thin(points[places], count)]


def cover(results: Sequence[Result], cost: str, chosen: Sequence[int], count: int) -> list[int]:
    """Trial numbers of at most `count` more results, where those `chosen` leave the widest gaps along a cost: the best
    by the scores of those in its middle half.

    Where nearly nothing is lost yet, what is best is chance, and a front may jump over half the range of sizes.
    `results` are such that somebody may want them, `chosen` numbers of some; `cost` is as in `along`.
    """
    places = {item.number: log2(max(item.value(cost), LEAST_COST)) for item in results}
    known = sorted({max(places.values(), default=0.0), *(places[number] for number in chosen if number in places)})
    gaps = list(pairwise(known))
    found: list[int] = []
    while gaps and len(found) < count:
        low, high = gaps.pop(gaps.index(max(gaps, key=lambda gap: gap[1] - gap[0])))
        if high - low < LEAST_GAP:
            break
        margin = (high - low) / 4
        inside = [item for item in results if low + margin <= places[item.number] <= high - margin]
        if inside:
            best = max(inside, key=lambda item: (item.value(QUICK_OBJECTIVE), -item.number))
            found.append(best.number)
            gaps += [(low, places[best.number]), (places[best.number], high)]
    return found


def by_chance(points: float, results: Sequence[Result]) -> float:
    """What candidates differ in their scores by chance, where it is `points` on NOISE_IMAGES: on the images that
    `results` are scores of, the root of the number decides. All of them are scored on the same images."""
    scores = [score for item in results if (score := item.get(QUICK_OBJECTIVE)) is not None]
    images = min((score.samples for score in scores), default=NOISE_IMAGES)
    return points * sqrt(NOISE_IMAGES / images)


def promising(results: Sequence[Result], cost: str, noise: float) -> list[Result]:
    """By ascending `cost`, the results that are at most `noise` points worse than any that costs no more.

    Plans that lose channels and plans that only lose bits can be equally small at very different accuracies.
    """
    best, found = -inf, []
    for item in sorted(results, key=lambda item: (item.value(cost), -item.value(QUICK_OBJECTIVE), item.number)):
        score = item.value(QUICK_OBJECTIVE)
        best = max(best, score)
        if score >= best - noise:
            found.append(item)
    return found


def _front(results: Sequence[Result], objective: str, macs: bool) -> list[Result]:
    if not results:
        return []
    ordered = sorted(results, key=lambda item: item.number)
    mask = non_dominated(front_points(ordered, objective, macs))
    chosen = [item for item, kept in zip(ordered, mask, strict=True) if kept]
    return sorted(chosen, key=lambda item: (-item.value(objective), item.number))


def front_points(results: Sequence[Result], objective: str, macs: bool) -> npt.NDArray[np.float64]:
    """What a front goes by, each maximised.

    [n, 2 to 4]: the objective, minus log2 of the size, log2 of the predicted speed-up where any has one, and with
    `macs` minus log2 of them. What has no prediction is not taken to be faster than anything that has one.
    """
    speedups = [item.get("predicted_speedup") for item in results]
    known = [item.value for item in speedups if item is not None]
    columns = [
        np.array([item.value(objective) for item in results]),
        -np.log2([item.value("size") for item in results]),
    ]
    if known:
        filled = [min(known) if item is None else item.value for item in speedups]
        columns.append(np.round(np.log2(filled) / SPEED_STEP) * SPEED_STEP)
    if macs:
        columns.append(-np.log2([max(1.0, item.value("macs")) for item in results]))
    return np.column_stack(columns)

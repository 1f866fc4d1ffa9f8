"""Which confirmed candidates are trained, and which of these are trained to the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2
from types import MappingProxyType

from objectives.pareto import thin
from objectives.targets import rank_key
from searcher.allocation.budget import Budget
from searcher.front import LEAST_COST, front_points
from searcher.judged import confirmed_figures, target_axes, within_limits
from storage.records.dense import DenseFacts
from storage.records.measurement import Result
from storage.records.target import Objective, Target

# Points of drop beyond which no training of a few epochs brings a candidate back, unless nothing else keeps the limits.
MOST_RECOVERED = 30.0
# Of what the target allows, which a file that is trained further should take at most. Its codes come out a little
# less or more compressible; how fast it is, is only predicted by then, to a few percent.
MARGINS: Mapping[Objective, float] = MappingProxyType({"size": 0.99, "latency": 0.97, "macs": 1.0})


def choose_finalists(
    results: Sequence[Result],
    front: Sequence[int],
    count: int,
    limits: Sequence[Budget],
    target: Target,
    dense: DenseFacts,
) -> list[int]:
    """Numbers of at most `count` candidates: half of them around what the target asks for, the others spread.

    What the target says of the drop does not choose, as training changes it: the best of those within all its costs
    comes first, then what lies nearest to these costs on the front, dearer or cheaper, then what spans the front.

    Args:
        results: of confirmed files that were searched, not trained.
        front: numbers of those of them that are on the front, and others.
        limits: of the target's costs; latencies are predicted ones.
        dense: with its predicted latency, if there is one.
    """
    worse = [item for item in results if item.value("drop") > 0] or list(results)  # training has nothing to mend else
    useful = [item for item in worse if item.value("drop") <= MOST_RECOVERED] or worse
    chosen: list[int] = []
    tight = [Budget(item.objective, item.limit * MARGINS[item.objective]) for item in limits]
    inside = within_limits(worse, tight) or within_limits(worse, limits)
    if limits and inside:
        chosen.append(max(inside, key=lambda item: (item.value("accuracy"), -item.number)).number)
    elif useful:
        best = min(useful, key=lambda item: (rank_key(target, confirmed_figures(item), dense), item.number))
        chosen.append(best.number)
    known = {item.number: item for item in useful}
    rows = [known[number] for number in front if number in known]
    axis = target_axes(limits)[0]
    if limits and chosen:
        aim = next((item.limit for item in limits if item.limit > 0), 0.0)
        near = sorted(rows, key=lambda item: abs(log2(max(item.value(axis), LEAST_COST) / max(aim, LEAST_COST))))
        chosen += [item.number for item in near if item.number not in chosen][: max(0, (count + 1) // 2 - 1)]
    places = {item.number: index for index, item in enumerate(rows)}
    keep = [places[number] for number in chosen if number in places]
    rest = count - len(chosen)
    if rest > 0 and rows:
        points = front_points(rows, "accuracy", axis == "macs")
        spread = thin(points, min(len(rows), rest + len(keep)), keep)
        chosen += [rows[index].number for index in spread if rows[index].number not in chosen][:rest]
    return chosen[:count]


def survivors(results: Sequence[Result], target: Target, dense: DenseFacts) -> list[int]:
    """Numbers of the half, rounded up, of briefly trained finalists that are trained to the end, the nearest to the
    target first (successive halving, Jamieson and Talwalkar 2016, 1502.07943)."""
    ordered = sorted(results, key=lambda item: (rank_key(target, confirmed_figures(item), dense), item.number))
    return [item.number for item in ordered[: (len(ordered) + 1) // 2]]

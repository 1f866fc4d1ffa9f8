"""The front of the confirmed results together with what the target asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from objectives.targets import Figures, meets, rank_key, shortfall
from searcher.allocation.budget import Budget
from searcher.front import confirmed_front, rows, useful
from storage.records.dense import DenseFacts
from storage.records.measurement import Result
from storage.records.study import FrontRow
from storage.records.target import Objective, Target

NEAREST = 2  # to the target, of a front of scores
# What a cost target limits, in the results: latencies are predicted until the end.
COSTS: Mapping[Objective, str] = MappingProxyType({"size": "size", "macs": "macs", "latency": "predicted_latency"})


def judged_front(
    results: Sequence[Result], target: Target, dense: DenseFacts, macs: bool = False
) -> tuple[FrontRow, ...]:
    """The rows of the front of `results`, the most accurate first.

    It spreads over the useful results. The best of all results that meet the target is always among them, however
    far below the dense accuracy it is; where none meets it, the best of those within all its costs is, which then
    shows what drop they take.

    Args:
        results: of rung 2, baselines too.
        target: latencies are judged by predicted ones.
        dense: with its predicted latency, if there is one.
        macs: as in `searcher.front.quick_front`.
    """
    front = confirmed_front(useful(results, dense.accuracy, target.max_drop), macs)
    wanted = _meeting(results, target, dense)
    if not wanted and target.costs:
        wanted = _meeting(results, replace(target, max_drop=None), dense)[:1]
    if wanted and wanted[0].number not in {item.number for item in front}:
        # Beaten in accuracy, size and speed or of little use, but not in what the target asks for.
        front = sorted([*front, wanted[0]], key=lambda item: (-item.value("accuracy"), item.number))
    return rows(front, [item.number for item in wanted], macs)


def confirmed_figures(result: Result) -> Figures:
    """What a target judges of a confirmed result; the latency is the predicted one."""
    return figures(result, result.value("drop"))


def figures(result: Result, drop: float) -> Figures:
    """What a target judges of a result of either rung, whose `drop` is in points; the latency is the predicted one."""
    latency = result.get("predicted_latency")
    size, macs = int(result.value("size")), int(result.value("macs"))
    return Figures(result.value("accuracy"), drop, size, latency.value if latency is not None else None, macs)


def nearest(front: Sequence[Result], accuracy: float, target: Target, dense: DenseFacts) -> list[Result]:
    """The results of a front of scores that come nearest to the target, which are looked at whatever else is.

    Args:
        accuracy: the dense model's, on the images of the scores.
        dense: with its predicted latency, if there is one.
    """

    def distance(item: Result) -> tuple[float, float]:
        return shortfall(target, figures(item, accuracy - item.value("accuracy")), dense), item.value("size")

    return sorted(front, key=distance)[:NEAREST]


def within_limits(results: Sequence[Result], limits: Sequence[Budget]) -> list[Result]:
    """The results that cost no more than any limit allows, in their order."""
    return [item for item in results if all(item.value(COSTS[limit.objective]) <= limit.limit for limit in limits)]


def target_axes(limits: Sequence[Budget]) -> list[str]:
    """The costs that the target limits, as results name them; the size where it limits none."""
    return [COSTS[item.objective] for item in limits if item.limit > 0] or ["size"]


def _meeting(results: Sequence[Result], target: Target, dense: DenseFacts) -> list[Result]:
    """The results that meet the target, the one to recommend first."""
    good = [item for item in results if meets(target, confirmed_figures(item), dense)]
    return sorted(good, key=lambda item: (rank_key(target, confirmed_figures(item), dense), item.number))

"""Where models lie in the figure of one cost, and what of it is in view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from dashboards.scatter import Costs, Marked, ScatterView
from storage.records.target import Objective

# What is in view at first reaches down to this drop, or this many times the allowed one: most of the figure is for the
# models that somebody takes.
VIEW_POINTS, VIEW_LIMITS = 5.0, 3.0
PADDING = 0.06  # of each axis, beyond the points that are in view
LEAST_SPAN = 1.0  # points of accuracy in view
ROOM_DECADES = 2.0  # of the cost, to either side, that can be panned to
COARSE_DIGITS, FINE_DIGITS = (1, 2, 5), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
FINE_DECADES = 0.8  # a narrower view has finer ticks
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K"))


@dataclass(frozen=True)
class Frame:
    """What is in view: log10 of the costs, points of accuracy."""

    x: tuple[float, float]
    y: tuple[float, float]


def cost_of(costs: Costs, objective: Objective) -> float | None:
    """A cost that has a logarithm."""
    value = costs.of(objective)
    return value if value is not None and value > 0 else None


def place_of(item: Marked, objective: Objective) -> tuple[float, float] | None:
    """(cost, change of accuracy in points), where both are known."""
    cost = cost_of(item.costs, objective)
    return None if cost is None or item.row.drop is None else (cost, round(0.0 - item.row.drop, 3))


def places_of(items: Iterable[Marked], objective: Objective) -> tuple[list[float], list[float]]:
    """Costs and changes of those models of which both are known."""
    places = [place for item in items if (place := place_of(item, objective)) is not None]
    return [cost for cost, _ in places], [change for _, change in places]


def frame_of(view: ScatterView, drawn: Sequence[Marked], objective: Objective) -> Frame:
    """Around the models that somebody may want, with the target's corner in it."""
    deepest = max(VIEW_POINTS, VIEW_LIMITS * (view.limits.max_drop or 0.0))
    wanted = [item for item in drawn if (item.row.drop or 0.0) <= deepest]
    costs, changes = places_of(wanted or drawn, objective)
    limit = view.limits.of(objective)
    if limit is not None and limit > 0:
        costs.append(limit)
    if view.limits.max_drop is not None:
        changes.append(0.0 - view.limits.max_drop)
    return _around(costs, changes)


def whole_frame(view: ScatterView, drawn: Sequence[Marked], objective: Objective) -> Frame:
    """Around everything that the figure holds."""
    costs, changes = places_of(drawn, objective)
    for item in view.others:
        cost = cost_of(item.costs, objective)
        if cost is not None:
            costs.append(cost)
            changes.append(0.0 - item.drop)
    return _around(costs, changes)


def _around(costs: Sequence[float], changes: Sequence[float]) -> Frame:
    """With some room, and with the dense model's accuracy."""
    if not costs or not changes:
        return Frame((0.0, 1.0), (-LEAST_SPAN, LEAST_SPAN))
    low, high = log10(min(costs)), log10(max(costs))
    wide = PADDING * max(high - low, log10(2))
    bottom, top = min(*changes, 0.0), max(*changes, 0.0)
    tall = PADDING * max(top - bottom, LEAST_SPAN)
    return Frame((low - wide, high + wide), (bottom - tall, top + 2 * tall))


def round_ticks(shown: tuple[float, float], whole: tuple[float, float]) -> list[float]:
    """Round costs over all that can be panned to, close enough that several are in view: `shown` of `whole`."""
    digits = FINE_DIGITS if shown[1] - shown[0] < FINE_DECADES else COARSE_DIGITS
    low, high = min(shown[0], whole[0]) - ROOM_DECADES, max(shown[1], whole[1]) + ROOM_DECADES
    return [float(f"{digit}e{decade}") for decade in range(floor(low), ceil(high)) for digit in digits]


def tick_text(value: float, objective: Objective) -> str:
    """The figure at a tick: "200 KB", "5 M", "0.5" milliseconds."""
    if objective == "latency":
        return f"{value:g}"
    scale, unit = next((item for item in UNITS if value >= item[0]), (1.0, ""))
    return f"{value / scale:g} {unit}{'B' if objective == 'size' else ''}"

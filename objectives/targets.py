"""Judging a candidate's figures by the user's target."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from storage.records.dense import DenseFacts
from storage.records.target import UNITS, CostTarget, Objective, Target

# What float arithmetic may add to a figure that lies exactly on its limit: far below one byte or one image.
RELATIVE_TOLERANCE = 1e-9
DROP_TOLERANCE_POINTS = 1e-9
# A drop beyond a limit tighter than this counts in points, not in multiples of the limit (which may be 0).
DROP_SCALE_POINTS = 1.0
UNKNOWN_VIOLATION = 1.0  # a latency nobody measured ranks like one of twice the limit
MOST_DECIMALS = 6  # shown to tell a figure from the limit it misses

_UNIT = re.compile(r"[a-zµ]*$", re.IGNORECASE)


@dataclass(frozen=True)
class Figures:
    """What a target judges, of one candidate."""

    accuracy: float  # percent of the metric
    drop: float  # percentage points below the dense model on the same images; negative is better than dense
    size_bytes: int
    latency_ms: float | None  # None where it was not measured
    macs: int
    speedup: float | None = None  # measured in turn with the dense model; None: the ratio of the two latencies stands


@dataclass(frozen=True)
class _Part:
    """One part of a target beside the figure that it judges."""

    cost: CostTarget
    value: float | None  # None: unknown, as is the limit of a ratio to an unknown dense latency
    limit: float | None
    dense: float | None

    @property
    def violation(self) -> float:
        """How far beyond the limit, as a share of it; 0 if met."""
        if self.value is None or self.limit is None:
            return UNKNOWN_VIOLATION
        if self.value <= self.limit * (1 + RELATIVE_TOLERANCE):
            return 0.0
        return self.value / self.limit - 1 if self.limit > 0 else inf


def meets(target: Target, figures: Figures, dense: DenseFacts) -> bool:
    """Whether every part of `target` holds: each cost at or below its limit, `drop` at or below `max_drop`.

    A ratio of latencies is judged by the measured speed-up where there is one, as the two latencies may be of
    different moments. A latency target is not met where the latency, or what its ratio needs, is unknown.
    """
    return shortfall(target, figures, dense) == 0.0


def shortfall(target: Target, figures: Figures, dense: DenseFacts) -> float:
    """How far `figures` are from `target`: >= 0, without unit, 0 exactly if it is met; lower is nearer.

    The sum over the parts that are not met of the excess as a share of the limit: 1.0 for a file of twice the
    size asked for, or for a drop of 4 points where 2 are allowed. A drop's excess is divided by at least one
    point, and an unknown latency counts 1.0.
    """
    total = sum(part.violation for part in _parts(target, figures, dense))
    return total + _drop_violation(target, figures)


def rank_key(target: Target, figures: Figures, dense: DenseFacts) -> tuple[float, ...]:
    """Sort key, best first, by which the row to recommend is picked.

    1. Candidates that meet the target come before those that do not.
    2. Among those that do not, the smaller shortfall comes first.
    3. Then, if the target is `max_drop` alone: the smaller file, then the higher accuracy. Otherwise: the
       higher accuracy, then the smaller file.
    4. Then fewer MACs. Latency does not rank, as measuring it again gives another value.

    Candidates of equal figures have equal keys; sort with the candidate's number as the last resort.
    """
    distance = shortfall(target, figures, dense)
    accurate, small = -figures.accuracy, float(figures.size_bytes)
    smallest_wanted = target.max_drop is not None and not target.costs
    preference = (small, accurate) if smallest_wanted else (accurate, small)
    return (float(distance > 0.0), distance, *preference, float(figures.macs))


def explain(target: Target, figures: Figures, dense: DenseFacts) -> str:
    """One line such as "size 7.6x (wanted 8x), drop 0.4 (allowed 1.0)", in the units that the user wrote.

    A figure that misses its limit by little is shown with as many decimals as tell the two apart.
    """
    shown = [_explain_cost(part) for part in _parts(target, figures, dense)]
    if target.max_drop is not None:
        met = _drop_violation(target, figures) == 0.0
        drop = _decimals(figures.drop, target.max_drop, at_least=False, met=met)
        shown.append(f"drop {drop} (allowed {target.max_drop})")
    return ", ".join(shown) if shown else "no target"


def _parts(target: Target, figures: Figures, dense: DenseFacts) -> Iterator[_Part]:
    values: dict[Objective, tuple[float | None, float | None]] = {
        "size": (figures.size_bytes, dense.size_bytes),
        "latency": (figures.latency_ms, dense.latency_ms),
        "macs": (figures.macs, dense.macs),
    }
    for cost in target.costs:
        value, reference = values[cost.objective]
        if cost.objective == "latency" and cost.kind == "ratio" and figures.speedup is not None:
            value, reference = 1 / figures.speedup, 1.0  # in units of the dense model's time
        if reference is not None:
            limit: float | None = cost.limit(reference)
        else:
            limit = cost.value if cost.kind == "absolute" else None
        yield _Part(cost=cost, value=value, limit=limit, dense=reference)


def _drop_violation(target: Target, figures: Figures) -> float:
    if target.max_drop is None or figures.drop <= target.max_drop + DROP_TOLERANCE_POINTS:
        return 0.0
    return (figures.drop - target.max_drop) / max(target.max_drop, DROP_SCALE_POINTS)


def _explain_cost(part: _Part) -> str:
    cost, met = part.cost, part.violation == 0.0
    if part.value is None or (cost.kind == "ratio" and part.dense is None):
        return f"{cost.objective} unknown (wanted {cost.text})"
    if cost.kind == "absolute":
        unit = _unit(cost.text)
        scale = UNITS[cost.objective].get(unit.lower(), 1.0)
        fewest = 0 if scale == 1.0 and cost.objective != "latency" else 1  # whole bytes and whole MACs
        figure = _decimals(part.value / scale, cost.value / scale, at_least=False, met=met, fewest=fewest) + unit
    elif cost.text.endswith("%"):
        share = 100 * part.value / part.dense if part.dense else 0.0
        figure = _decimals(share, 100 / cost.value, at_least=False, met=met) + "%"
    else:
        ratio = (part.dense or 0.0) / part.value if part.value else inf
        figure = _decimals(ratio, cost.value, at_least=True, met=met) + "x"
    return f"{cost.objective} {figure} (wanted {cost.text})"


def _unit(text: str) -> str:
    match = _UNIT.search(text)
    return match.group() if match else ""


def _decimals(value: float, wanted: float, *, at_least: bool, met: bool, fewest: int = 1) -> str:
    """`value` with the fewest decimals that leave it on its side of `wanted`."""
    for decimals in range(fewest, MOST_DECIMALS):
        shown = round(value, decimals) + 0.0  # + 0.0 turns -0.0 into 0.0
        if ((shown >= wanted) if at_least else (shown <= wanted)) == met:
            return f"{shown:.{decimals}f}"
    return f"{value:.{MOST_DECIMALS}f}"

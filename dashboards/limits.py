"""What limits each target of a study.

A target is looked at through one plan: the candidate that `slimfront front` names first, of those that the library has
made and that change anything; while there is none, the greedy plan, which from the originals on takes the step that
saves the target's cost at the least error a unit of it, until the limit is met. Two sites are then named:

- the one with the largest share of the error: what the plan's error would lose if that site alone went back to its
  original;
- the one that limits the target: going back by one level, it would take off the most error for each byte, MAC or
  millisecond that this costs. Sites that do not change that cost limit nothing: MACs are limited by channels, never
  by bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dashboards.candidate import ROUNDED
from dashboards.changes import Change, Changes
from dashboards.front import recommended
from dashboards.study import StudyData
from storage.records.space import SearchSpace
from storage.records.target import CostTarget

MAX_DROP = "max_drop"


@dataclass(frozen=True)
class ErrorShare:
    """The site that most of a plan's error comes from."""

    site: str
    learner: str
    level: str  # in the plan
    share: float  # of the plan's error that would go if this site alone went back to its original


@dataclass(frozen=True)
class Relief:
    """The site at which one level more takes off the most error for its cost."""

    site: str
    learner: str
    level: str  # in the plan
    bigger: str  # the level before it
    error: float  # that would go
    cost: float  # that would come: bytes, MACs or milliseconds


@dataclass(frozen=True)
class TargetLimit:
    """What stands in the way of one target."""

    objective: str  # "size", "latency", "macs", "max_drop"
    text: str  # as it was written
    cost_of: str  # "size", "latency", "macs": the same; of "max_drop" the first cost target's, or the size without any
    candidate: int | None  # whose plan is looked at; None: the greedy plan
    limit: float | None  # bytes, milliseconds (by the predicted dense latency) or MACs; None where it is unknown
    cost: float | None  # of the plan, in the unit of `cost_of`, predicted
    error: float  # of the plan
    largest: ErrorShare | None  # None for a plan without error
    limiting: Relief | None  # None where no site would help, or latencies cannot be predicted


@dataclass(frozen=True)
class _Cost:
    """One of the costs that a target may be about."""

    of_change: Callable[[Change], float | None]
    dense: float | None
    of_plan: Callable[[Sequence[int]], float | None]


def _costs(data: StudyData, space: SearchSpace) -> dict[str, _Cost]:
    table, dense = data.latency, data.dense

    def milliseconds(levels: Sequence[int]) -> float | None:
        return None if table is None else table.milliseconds(space, levels)

    size, macs = (None, None) if dense is None else (float(dense.size_bytes), float(dense.macs))
    return {
        "size": _Cost(lambda change: change.size_bytes, size, space.size_bytes),
        "macs": _Cost(lambda change: change.macs, macs, space.macs),
        "latency": _Cost(lambda change: change.milliseconds, None if table is None else table.dense_ms, milliseconds),
    }


def target_limits(data: StudyData, space: SearchSpace, changes: Changes) -> tuple[TargetLimit, ...]:
    """One for each cost target, and one for the allowed drop where there is one."""
    costs, best = _costs(data, space), _best(data, space)
    limits: dict[str, float | None] = {
        item.objective: _limit(item, costs[item.objective].dense) for item in data.target.costs
    }
    first = data.target.costs[0].objective if data.target.costs else "size"

    def look(objective: str, text: str, of: str) -> TargetLimit:
        cost, limit = costs[of], limits.get(of)
        levels = data.trials[best].candidate.levels if best is not None else _greedy(space, changes, cost, limit)
        return TargetLimit(
            objective=objective,
            text=text,
            cost_of=of,
            candidate=best,
            limit=limit if objective == of else None,
            cost=cost.of_plan(levels),
            error=space.error(levels),
            largest=_largest(space, changes, levels),
            limiting=_limiting(space, changes, levels, cost),
        )

    found = [look(target.objective, target.text, target.objective) for target in data.target.costs]
    if data.target.max_drop is not None:
        found.append(look(MAX_DROP, f"{data.target.max_drop}", first))
    return tuple(found)


def _limit(target: CostTarget, dense: float | None) -> float | None:
    if dense is not None:
        return target.limit(dense)
    return target.value if target.kind == "absolute" else None


def _best(data: StudyData, space: SearchSpace) -> int | None:
    """The candidate that `front` names first, of those whose weights are the library's and have an error."""
    row = recommended(data, lambda row: _has_error(data, space, row.candidate))
    return None if row is None else row.candidate


def _has_error(data: StudyData, space: SearchSpace, number: int) -> bool:
    trial = data.trials[number]
    levels, rounded = trial.candidate.levels, trial.candidate.weights.startswith(ROUNDED)
    return bool(levels) and not rounded and trial.parent is None and space.error(levels) > 0


def _greedy(space: SearchSpace, changes: Changes, cost: _Cost, limit: float | None) -> tuple[int, ...]:
    """From the originals on, step by step, what adds the least error for what it saves, until `limit` is met."""
    levels = [0] * len(space.sites)
    spent = cost.of_plan(levels)
    while limit is not None and spent is not None and spent > limit:
        steps = [step for site in range(len(levels)) if (step := _step(space, changes, cost, levels, site)) is not None]
        if not steps:
            break
        _, site, level, saved = min(steps)
        levels[site] = level
        spent -= saved
    return tuple(levels)


def _step(
    space: SearchSpace, changes: Changes, cost: _Cost, levels: Sequence[int], site: int
) -> tuple[float, int, int, float] | None:
    """The next smaller level of a site that saves anything: error for each unit, site, level, what it saves."""
    for level in range(levels[site] + 1, len(space.sites[site].levels)):
        change = changes.of(levels, site, level)
        saved = 0.0 - (cost.of_change(change) or 0.0)
        if saved > 0:
            return change.error / saved, site, level, saved
    return None


def _largest(space: SearchSpace, changes: Changes, levels: Sequence[int]) -> ErrorShare | None:
    total = space.error(levels)
    gone = [(0.0 - changes.of(levels, site, 0).error, site) for site in range(len(levels)) if levels[site] > 0]
    if total <= 0 or not gone:
        return None
    error, site = max(gone, key=lambda item: (item[0], -item[1]))
    return ErrorShare(*_named(space, levels, site), error / total)


def _limiting(space: SearchSpace, changes: Changes, levels: Sequence[int], cost: _Cost) -> Relief | None:
    best: tuple[float, int, float, float] | None = None
    for site, level in enumerate(levels):
        if level == 0:
            continue
        change = changes.of(levels, site, level - 1)
        error, more = 0.0 - change.error, cost.of_change(change)
        if more is not None and more > 0 and error > 0 and (best is None or error / more > best[0]):
            best = error / more, site, error, more
    if best is None:
        return None
    _, site, error, more = best
    return Relief(*_named(space, levels, site), space.sites[site].levels[levels[site] - 1].name, error, more)


def _named(space: SearchSpace, levels: Sequence[int], site: int) -> tuple[str, str, str]:
    found = space.sites[site]
    return found.name, found.learner, found.levels[levels[site]].name

"""All models of a study as points: accuracy against size, latency and MACs. What the front's figure shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dashboards.front import front_rows, nearest
from dashboards.row import Row, make_row
from dashboards.study import DENSE_NUMBER, StudyData
from dashboards.summary import PlanSummary, plan_summaries
from objectives.pareto import thin
from storage.records.measurement import Result, Rung
from storage.records.target import Objective

MOST_OTHERS = 1500  # points beside front and baselines: a browser draws them in about a tenth of a second


@dataclass(frozen=True)
class Costs:
    """Where a model lies on each cost axis."""

    size_bytes: float  # of the file; predicted at rung "quick"
    latency_ms: float | None  # of one call; None where it is neither measured nor predicted
    macs: float  # of one sample

    def of(self, objective: Objective) -> float | None:
        """The cost in bytes, milliseconds or MACs."""
        return {"size": self.size_bytes, "latency": self.latency_ms, "macs": self.macs}[objective]


@dataclass(frozen=True)
class Marked:
    """A model of the front or a baseline."""

    row: Row
    name: str | None  # of a baseline
    origin: str  # the sampler's name, or "baseline"
    on_front: bool
    drop_lower: float | None  # the drop is above this with 95 % confidence; None at rung "quick"
    costs: Costs
    latency_measured: bool  # otherwise predicted
    summary: PlanSummary | None  # None for a file of another tool


@dataclass(frozen=True)
class Other:
    """A candidate that is not on the front."""

    candidate: int
    origin: str
    parent: int | None  # number of the candidate that it was trained from
    confirmed: bool  # otherwise its figures are of the quick images
    drop: float  # points below the dense model on the same images
    costs: Costs  # its latency is predicted
    summary: PlanSummary | None


@dataclass(frozen=True)
class Limits:
    """What the target allows, in the units of the axes; None where it asks for nothing or the limit is not known."""

    size_bytes: float | None
    latency_ms: float | None
    macs: float | None
    max_drop: float | None  # points

    def of(self, objective: Objective) -> float | None:
        """The most that a model may cost, in bytes, milliseconds or MACs."""
        return {"size": self.size_bytes, "latency": self.latency_ms, "macs": self.macs}[objective]


@dataclass(frozen=True)
class ScatterView:
    """Everything that the front's figure shows."""

    study: str
    front: tuple[Marked, ...]  # the most accurate first
    baselines: tuple[Marked, ...]  # in the order of their numbers; those of the front are in both
    others: tuple[Other, ...]  # at most MOST_OTHERS
    others_of: int  # from how many these were chosen
    recommended: int | None  # the candidate that comes nearest to the target
    limits: Limits
    confirmed_images: int | None  # None while nothing is confirmed
    quick_images: int | None  # None while nothing is scored

    @property
    def has_trained(self) -> bool:
        """Whether any of the points is a candidate that was trained."""
        parents = [
            *(item.row.parent for item in (*self.front, *self.baselines)),
            *(item.parent for item in self.others),
        ]
        return any(parent is not None for parent in parents)


def scatter_view(data: StudyData, most_others: int = MOST_OTHERS) -> ScatterView:
    """The view of a study at this moment, whatever its state; without points while nothing has been scored."""
    fronted = {row.candidate: None for row in front_rows(data)}
    baselines = [number for number, trial in sorted(data.trials.items()) if trial.baseline is not None]
    dense_ms = _dense_ms(data)
    numbers = list(dict.fromkeys([*fronted, *baselines]))
    summaries = _summaries(data, numbers)
    marked = {
        number: _marked(data, number, row, number in fronted, dense_ms, summaries.get(number))
        for number in numbers
        if (row := make_row(data, number)) is not None
    }
    others = _others(data, set(numbers))
    chosen = _thinned(others, most_others)
    rows = [marked[number].row for number in fronted if number in marked]
    best = nearest(data, rows, 1)
    return ScatterView(
        study=data.study.name,
        front=tuple(marked[number] for number in fronted if number in marked),
        baselines=tuple(marked[number] for number in baselines if number in marked),
        others=_other_points(data, chosen, dense_ms),
        others_of=len(others),
        recommended=best[0].candidate if best else None,
        limits=_limits(data, dense_ms),
        confirmed_images=_images(data, Rung.CONFIRMED),
        quick_images=_images(data, Rung.QUICK),
    )


def _dense_ms(data: StudyData) -> float | None:
    """What predicted speed-ups refer to: the measured latency of the dense model, else its predicted one."""
    if data.dense is not None and data.dense.latency_ms is not None:
        return data.dense.latency_ms
    return None if data.latency is None else data.latency.dense_ms


def _marked(
    data: StudyData, number: int, row: Row, on_front: bool, dense_ms: float | None, summary: PlanSummary | None
) -> Marked:
    trial, confirmed = data.trials[number], data.files.get(number)
    drop = None if confirmed is None else confirmed.get("drop")
    measured = row.latency_ms is not None
    latency = row.latency_ms if measured else _predicted_ms(row.predicted_speedup, dense_ms)
    return Marked(
        row=row,
        name=trial.baseline,
        origin=trial.origin,
        on_front=on_front,
        drop_lower=None if drop is None else drop.low,
        costs=Costs(row.size_bytes, latency, row.macs),
        latency_measured=measured,
        summary=summary,
    )


def _predicted_ms(speedup: float | None, dense_ms: float | None) -> float | None:
    return None if speedup is None or dense_ms is None else dense_ms / speedup


def _others(data: StudyData, shown: set[int]) -> list[Result]:
    """The searched candidates that are scored and not in `shown`, each at its highest rung, by number."""
    if data.dense is None or data.result(DENSE_NUMBER, Rung.QUICK) is None:
        return []
    quick, confirmed = data.results.get(Rung.QUICK, {}), data.files
    found = {**quick, **confirmed}
    return [found[number] for number in sorted(found) if number in data.trials and number not in shown]


def _thinned(results: Sequence[Result], most: int) -> list[Result]:
    """All that are confirmed, and those others that together span what was scored."""
    kept = [index for index, item in enumerate(results) if item.rung.is_of_file]
    points: list[tuple[float, ...]] = [
        (item.value("accuracy"), -np.log2(item.value("size")), -np.log2(max(item.value("macs"), 1.0)))
        for item in results
    ]
    if not points:
        return []
    return [results[index] for index in thin(points, most, kept)]


def _other_points(data: StudyData, results: Sequence[Result], dense_ms: float | None) -> tuple[Other, ...]:
    summaries = _summaries(data, [item.number for item in results])
    reference = data.result(DENSE_NUMBER, Rung.QUICK)
    if reference is None:
        return ()
    accuracy = reference.value("accuracy")
    found = []
    for item in results:
        confirmed, speedup = item.get("drop"), item.get("predicted_speedup")
        latency = _predicted_ms(None if speedup is None else speedup.value, dense_ms)
        found.append(
            Other(
                candidate=item.number,
                origin=data.trials[item.number].origin,
                parent=data.trials[item.number].parent,
                confirmed=confirmed is not None,
                drop=accuracy - item.value("accuracy") if confirmed is None else confirmed.value,
                costs=Costs(item.value("size"), latency, item.value("macs")),
                summary=summaries.get(item.number),
            )
        )
    return tuple(found)


def _summaries(data: StudyData, numbers: Sequence[int]) -> dict[int, PlanSummary]:
    """By trial number; without those of another tool."""
    planned = [number for number in numbers if data.trials[number].candidate.levels]
    if data.space is None:
        return {}
    plans = plan_summaries(data.space, [data.trials[number].candidate.levels for number in planned])
    return dict(zip(planned, plans, strict=False))  # there are none for a space without layers


def _limits(data: StudyData, dense_ms: float | None) -> Limits:
    dense = data.dense
    references = {
        "size": None if dense is None else float(dense.size_bytes),
        "latency": dense_ms,
        "macs": None if dense is None else float(dense.macs),
    }
    limits: dict[str, float | None] = dict.fromkeys(references)
    for cost in data.target.costs:
        reference = references[cost.objective]
        if reference is not None:
            limits[cost.objective] = cost.limit(reference)
    return Limits(limits["size"], limits["latency"], limits["macs"], data.target.max_drop)


def _images(data: StudyData, rung: Rung) -> int | None:
    accuracy = next((item.get("accuracy") for item in data.results.get(rung, {}).values()), None)
    return None if accuracy is None else accuracy.samples


def log_points(costs: Sequence[float], drops: Sequence[float]) -> npt.NDArray[np.float64]:
    """[n, 2], both maximised: minus the drop, and minus the logarithm of the cost, which must be above 0."""
    return np.column_stack([-np.array(drops, dtype=np.float64), -np.log2(np.array(costs, dtype=np.float64))])

"""The result of a study: dense model, baselines, front, verdict. The fields of `slimfront front STUDY --json`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from dashboards.row import BaselineRow, Row, make_row
from dashboards.status import shown_state
from dashboards.study import DENSE_NUMBER, StudyData
from objectives.hypervolume import normalised
from objectives.targets import meets, rank_key
from storage.home import Home
from storage.records.config import PACKED_RUNTIME
from storage.records.measurement import Rung
from storage.records.study import SEARCH_NOTE

ORT_INT8 = "ort int8"  # a baseline of another tool, as `searcher.baselines` names it
UNKNOWN_CHECK = (
    "an earlier version of Slimfront made it, which did not keep why; `slimfront doctor --latency` checks it"
)


@dataclass(frozen=True)
class DenseRow:
    """The dense model: its batch-norm-folded fp32 ONNX file. None before the analysis."""

    accuracy: float | None  # percent, on the confirmation images
    size_bytes: int | None
    latency_ms: float | None
    macs: int | None


@dataclass(frozen=True)
class Prediction:
    """How predicted speed-ups compare with the measured ones."""

    candidate: int  # the recommended one, or the first of the front that was timed
    predicted_speedup: float
    speedup: float
    median_error: float  # percent of the measured speed-up
    rows: int  # of the front and our own baselines but the dense model, that this is the median of
    check: TableError | None = None  # of the latency table; None where it was not checked
    unchecked: str | None = None  # why it was not


@dataclass(frozen=True)
class TableError:
    """How well the latency table predicts random plans of the model, measured when it was made."""

    plans: int
    spearman: float  # rank correlation, -1 to 1, higher is better
    median_error: float  # percent of the measured speed-up
    largest_error: float  # percent


@dataclass(frozen=True)
class FrontView:
    """Everything that the front's table and its JSON show."""

    study: str
    state: str
    target: dict[str, str | float]
    target_met: bool
    dense: DenseRow
    baselines: tuple[BaselineRow, ...]  # in the order of their numbers
    front: tuple[Row, ...]  # the most accurate first
    candidates: int  # evaluated, baselines not counted
    hypervolume: float
    prediction: Prediction | None  # None until both predicted and measured speed-ups are known
    hardware: str | None
    seconds: float
    notes: tuple[str, ...] = ()  # what a reader should know of these figures and of the search, a line each
    looks: int | None = None  # how often the test split had been looked at with the certificate; None without one

    def to_dict(self) -> dict[str, Any]:
        """The JSON document; a baseline's name comes first."""
        rows = {name: [row.to_dict() for row in getattr(self, name)] for name in ("front", "baselines")}
        return {**asdict(self), **rows}


def front_view(data: StudyData, home: Home) -> FrontView:
    """The view of a study at this moment, whatever its state."""
    rows, baselines = front_rows(data), _baselines(data)
    dense = data.dense
    return FrontView(
        study=data.study.name,
        state=shown_state(data.study, home, data.now),
        target=data.target.to_dict(),
        target_met=any(row.meets_target for row in rows),
        dense=DenseRow(None, None, None, None)
        if dense is None
        else DenseRow(dense.accuracy, dense.size_bytes, dense.latency_ms, dense.macs),
        baselines=baselines,
        front=rows,
        candidates=data.searched,
        hypervolume=_hypervolume(data, rows),
        prediction=_prediction(data, rows, baselines),
        hardware=data.hardware,
        seconds=data.study.seconds,
        notes=_notes(data),
        looks=None if data.certificate is None else data.certificate.looks,
    )


def front_rows(data: StudyData) -> tuple[Row, ...]:
    """The rows of the front, the most accurate first.

    If they are confirmed and none of them meets the target, the best one that does of the other confirmed results joins
    them: membership goes by predicted latencies, the verdict by measured ones, and earlier versions left out what was
    far below the dense accuracy.
    """
    rows = _rows(data, [item.number for item in data.front])
    if any(row.meets_target or row.rung == Rung.QUICK for row in rows):
        return rows
    others = set(data.files) - {row.candidate for row in rows}
    best = nearest(data, [row for row in _rows(data, sorted(others)) if row.meets_target], 1)
    return tuple(sorted((*rows, *best), key=lambda row: (-row.accuracy, row.candidate))) if best else rows


def recommended(data: StudyData, usable: Callable[[Row], bool] = lambda _: True) -> Row | None:
    """The row that `front` names first, of the `usable` ones: of the front if that meets the target, else the nearest
    to it, baselines too; None where there is none."""
    front = front_rows(data)
    rows = {row.candidate: row for row in front}
    if not any(row.meets_target for row in front):
        rows |= {row.candidate: row for row in _baselines(data)}
    return next(iter(nearest(data, [row for row in rows.values() if usable(row)], 1)), None)


def _rows(data: StudyData, numbers: Iterable[int]) -> tuple[Row, ...]:
    return tuple(row for number in numbers if (row := make_row(data, number)) is not None)


def _notes(data: StudyData) -> tuple[str, ...]:
    found = []
    if data.is_mistimed:
        name = data.config.runtime.name
        found.append(
            f"an earlier version of Slimfront ran the files of this study on {PACKED_RUNTIME}, not on {name}: the "
            f"speeds that it measured are left out; run a new study, or `slimfront measure {data.study.name}`"
        )
    if data.latency is not None and data.is_predicted_elsewhere:
        found.append(
            f"the latency table, by which the search went, is of another machine or version: {data.latency.hardware}; "
            "its predictions are not compared with what was measured"
        )
    found += [event.text for event in data.events if event.kind == SEARCH_NOTE]
    return tuple(found)


def nearest(data: StudyData, rows: Sequence[Row], count: int) -> list[Row]:
    """The `count` rows that come nearest to the target, the best first."""
    dense = data.dense
    if dense is None:
        return []
    keyed = [
        ((*rank_key(data.target, figures, dense), float(row.candidate)), row)
        for row in rows
        if (figures := row.figures()) is not None
    ]
    return [row for _, row in sorted(keyed, key=lambda pair: pair[0])[:count]]


def nearest_within_costs(data: StudyData, rows: Sequence[Row]) -> Row | None:
    """Of the rows within all costs of the target, whatever their drop, the one nearest to it; None without such rows
    or costs."""
    dense, costs = data.dense, replace(data.target, max_drop=None)
    if dense is None or not costs.costs:
        return None
    found = [row for row in rows if (figures := row.figures()) is not None and meets(costs, figures, dense)]
    return next(iter(nearest(data, found, 1)), None)


def _prediction(data: StudyData, front: Sequence[Row], baselines: Sequence[BaselineRow]) -> Prediction | None:
    if data.is_predicted_elsewhere:
        return None
    # The dense model is what others are compared with, and another tool's file is not in the table.
    others = {DENSE_NUMBER, *(row.candidate for row in baselines if row.name == ORT_INT8)}
    known = {
        row.candidate: (row.predicted_speedup, row.speedup)
        for row in (*front, *baselines)
        if row.predicted_speedup is not None and row.speedup is not None and row.candidate not in others
    }
    shown = next((row.candidate for row in (*nearest(data, front, 1), *front) if row.candidate in known), None)
    if shown is None:
        return None
    errors = [100 * abs(predicted / measured - 1) for predicted, measured in known.values()]
    return Prediction(shown, *known[shown], median(errors), len(errors), _table_error(data), _unchecked(data))


def _unchecked(data: StudyData) -> str | None:
    """Why nobody knows how well the table predicts other plans than those shown; None where it was checked."""
    if data.latency is not None and data.latency.checked is not None:
        return None
    return UNKNOWN_CHECK if data.latency is None else data.latency.unchecked or UNKNOWN_CHECK


def _table_error(data: StudyData) -> TableError | None:
    found = None if data.latency is None else data.latency.checked
    if found is None:
        return None
    return TableError(found.plans, found.spearman, 100 * found.median_error, 100 * found.largest_error)


def _baselines(data: StudyData) -> tuple[BaselineRow, ...]:
    found = []
    for number, trial in sorted(data.trials.items()):
        row = make_row(data, number) if trial.baseline is not None else None
        if row is not None and trial.baseline is not None:
            found.append(BaselineRow(**vars(row), name=trial.baseline))
    return tuple(found)


def _hypervolume(data: StudyData, rows: Sequence[Row]) -> float:
    """Of the confirmed rows; of the quick ones, against the dense model's quick accuracy, while there are no others."""
    confirmed = [row for row in rows if Rung(row.rung).is_of_file]
    if confirmed and data.dense is not None:
        chosen, reference = confirmed, data.dense.accuracy
    else:
        quick = data.result(DENSE_NUMBER, Rung.QUICK)
        chosen, reference = list(rows), 0.0 if quick is None else quick.value("accuracy")
    if not chosen:
        return 0.0
    return normalised([row.accuracy for row in chosen], reference, [row.size_ratio for row in chosen])

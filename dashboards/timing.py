"""Timings of a front on any machine. The fields of `slimfront measure STUDY --json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from dashboards.row import make_row
from dashboards.study import StudyData
from storage.records.timing import Timing


@dataclass(frozen=True)
class TimingRow:
    """One file of the front or of the baselines."""

    candidate: int
    name: str | None  # of a baseline
    accuracy: float | None  # percent, as confirmed
    size_ratio: float | None  # dense over candidate
    latency_ms: float  # of one call
    speedup: float  # dense over candidate, both measured in this session
    speedup_low: float  # 5th and 95th percentile of the turns
    speedup_high: float
    speedup_error: float | None  # relative standard error of `speedup`; None if an earlier version timed it
    predicted_speedup: float | None  # by the latency table that `TimingView.table` names


@dataclass(frozen=True)
class TimingView:
    """One session of `slimfront measure`."""

    study: str
    runtime: str
    hardware: str
    threads: int
    batch: int
    table: str | None  # machine and runtime of the table that predictions are from; None: there are none
    unpredicted: str | None  # why there are no predictions
    rows: tuple[TimingRow, ...]  # the front, the most accurate first, then baselines that are not in it

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return asdict(self)


def timing_view(data: StudyData, timing: Timing) -> TimingView:
    """The view of a timing of this study.

    Predictions are shown only if the study's latency table is of the machine, runtime, threads and batch of the timing.
    """
    unpredicted = _unpredicted(data, timing)
    places = {item.number: place for place, item in enumerate(data.front)}
    by_number = {item.number: item for item in timing.rows}
    order = sorted(by_number, key=lambda number: (places.get(number, len(places)), number))
    rows = []
    for number in order:
        item, row = by_number[number], make_row(data, number)
        rows.append(
            TimingRow(
                candidate=number,
                name=data.trials[number].baseline,
                accuracy=None if row is None else row.accuracy,
                size_ratio=None if row is None else row.size_ratio,
                latency_ms=item.latency_ms,
                speedup=item.speedup,
                speedup_low=item.speedup_low,
                speedup_high=item.speedup_high,
                speedup_error=item.speedup_error,
                predicted_speedup=None if row is None or unpredicted is not None else row.predicted_speedup,
            )
        )
    return TimingView(
        study=data.study.name,
        runtime=timing.runtime,
        hardware=timing.hardware,
        threads=timing.threads,
        batch=timing.batch,
        table=None if data.latency is None or unpredicted is not None else data.latency.hardware,
        unpredicted=unpredicted,
        rows=tuple(rows),
    )


def _unpredicted(data: StudyData, timing: Timing) -> str | None:
    """Why the study's table predicts nothing of this timing; None if it does."""
    if data.latency is None:
        return "the study has no latency table"
    batch = data.config.runtime.batch  # which the table was measured with
    if (data.latency.hardware, batch) == (timing.hardware, timing.batch):
        return None
    return f"the study's latency table is of {data.latency.hardware}, batch {batch}"

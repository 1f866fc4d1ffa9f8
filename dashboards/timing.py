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
    speedup_low: float  # lowest and highest ratio of one round
    speedup_high: float
    predicted_speedup: float | None  # by the study's latency table, which is of its own machine and runtime


@dataclass(frozen=True)
class TimingView:
    """One session of `slimfront measure`."""

    study: str
    runtime: str
    hardware: str
    threads: int
    batch: int
    rows: tuple[TimingRow, ...]  # the front, the most accurate first, then baselines that are not in it

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return asdict(self)


def timing_view(data: StudyData, timing: Timing) -> TimingView:
    """The view of a timing of this study."""
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
                predicted_speedup=None if row is None else row.predicted_speedup,
            )
        )
    return TimingView(data.study.name, timing.runtime, timing.hardware, timing.threads, timing.batch, tuple(rows))

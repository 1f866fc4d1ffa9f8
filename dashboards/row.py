"""One candidate in figures: a row of the front or of the baselines."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from dashboards.certificate import RowCertificate, row_certificate
from dashboards.study import DENSE_NUMBER, StudyData
from objectives.paired import PairedDrop, paired_drop, unpack_scores
from objectives.targets import Figures, meets
from storage.records.dense import DenseFacts
from storage.records.measurement import Measurement, Result, Rung


@dataclass(frozen=True)
class Row:
    """Fields as in `front --json`; None where nothing is known yet."""

    candidate: int
    rung: str  # "quick", or "confirmed", "tuned", "final": which images accuracy and drop are of
    accuracy: float  # percent
    drop: float | None  # points below the dense model on the same images
    drop_upper: float | None  # the drop is below this with 95 % confidence
    images: int
    size_bytes: int  # of the file; predicted at rung "quick"
    size_ratio: float  # dense over candidate, as the ratios below
    onnx_bytes: int | None
    latency_ms: float | None
    speedup: float | None
    speedup_low: float | None  # 5th and 95th percentile of the turns
    speedup_high: float | None
    predicted_speedup: float | None  # by the latency table, from which the search and the front's membership go
    macs: int
    macs_ratio: float
    meets_target: bool
    parent: int | None  # number of the candidate that it was trained from
    tuned: bool  # whether it was trained
    certificate: RowCertificate | None

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        shown = {field.name: getattr(self, field.name) for field in fields(Row)}
        return {**shown, "certificate": None if self.certificate is None else self.certificate.row_dict()}

    def figures(self) -> Figures | None:
        """What a target judges; None while the drop is unknown."""
        if self.drop is None:
            return None
        return Figures(self.accuracy, self.drop, self.size_bytes, self.latency_ms, self.macs, self.speedup)


@dataclass(frozen=True)
class BaselineRow(Row):
    """A row of a baseline."""

    name: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON object; the name comes first."""
        return {"name": self.name, **super().to_dict()}


def make_row(data: StudyData, number: int) -> Row | None:
    """The figures of a trial at the highest rung it has reached; None if it has not been evaluated."""
    dense = data.dense
    confirmed = data.files.get(number)
    result = confirmed or data.result(number, Rung.QUICK)
    if result is None or dense is None:
        return None
    drop, upper = _confirmed_drop(result) if confirmed else _quick_drop(data, result)
    timed = data.result(number, Rung.TIMED)
    latency = _value(timed, "latency")
    speedup = None if timed is None else timed.get("speedup")
    ratio = None if speedup is None else speedup.value
    accuracy = result.get("accuracy")
    assert accuracy is not None
    size, macs = int(result.value("size")), int(result.value("macs"))
    return Row(
        candidate=number,
        rung=result.rung.value,
        accuracy=accuracy.value,
        drop=drop,
        drop_upper=upper,
        images=accuracy.samples,
        size_bytes=size,
        size_ratio=dense.size_bytes / size,
        onnx_bytes=_whole(result.get("onnx_size")),
        latency_ms=latency,
        speedup=ratio,
        speedup_low=None if speedup is None else speedup.low,
        speedup_high=None if speedup is None else speedup.high,
        predicted_speedup=_value(result, "predicted_speedup"),
        macs=macs,
        macs_ratio=dense.macs / macs if macs else 1.0,
        meets_target=_meets(
            data, dense, Figures(accuracy.value, drop, size, latency, macs, ratio) if drop is not None else None
        ),
        parent=data.trials[number].parent,
        tuned=data.trials[number].parent is not None,
        certificate=row_certificate(data, number),
    )


def _meets(data: StudyData, dense: DenseFacts, figures: Figures | None) -> bool:
    return figures is not None and meets(data.target, figures, dense)


def _confirmed_drop(result: Result) -> tuple[float | None, float | None]:
    drop = result.get("drop")
    return (None, None) if drop is None else (drop.value, drop.high)


def _quick_drop(data: StudyData, result: Result) -> tuple[float | None, float | None]:
    paired = _paired(data.result(DENSE_NUMBER, Rung.QUICK), result)
    return (None, None) if paired is None else (paired.drop_points, paired.upper_points)


def _paired(dense: Result | None, result: Result) -> PairedDrop | None:
    if dense is None or dense.per_image is None or result.per_image is None:
        return None
    return paired_drop(unpack_scores(dense.per_image), unpack_scores(result.per_image))


def _value(result: Result | None, objective: str) -> float | None:
    found = None if result is None else result.get(objective)
    return None if found is None else found.value


def _whole(measurement: Measurement | None) -> int | None:
    return None if measurement is None else int(measurement.value)

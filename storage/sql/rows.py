"""Between rows and records: the only place that knows how a record's fields lie in columns."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row

from storage.records.candidate import Candidate, Trial
from storage.records.look import Look
from storage.records.measurement import Direction, Measurement, Result, Rung
from storage.records.study import Analysis, Event, FrontRow, Study, StudyState
from storage.records.timing import TimedRow, Timing

Values = dict[str, Any]  # column names and what SQLAlchemy binds to them


def study_from(row: Row[Any]) -> Study:
    """A row of studies."""
    return Study(
        name=row.name,
        config_json=row.config_json,
        state=StudyState(row.state),
        stage=row.stage,
        seconds=row.seconds,
        attempt=row.attempt,
        created_at=row.created_at,
        updated_at=row.updated_at,
        error=row.error,
        owner=row.owner,
        lease_until=row.lease_until,
        progress=row.progress,
        queued_at=row.queued_at,
        priority=row.priority,
        runs_code=row.runs_code,
        workload=row.workload,
        content=row.content,
        idempotency_key=row.idempotency_key,
    )


def study_values(study: Study) -> Values:
    """For a row of studies."""
    return {**asdict(study), "state": study.state.value}


def analysis_from(row: Row[Any]) -> Analysis:
    """A row of analyses."""
    return Analysis(
        space_json=row.space_json,
        library=row.library,
        dense_json=row.dense_json,
        hardware=row.hardware,
        workload=row.workload,
        latency_json=row.latency_json,
    )


def timing_values(study_id: int, session: int, timing: Timing) -> list[Values]:
    """For rows of timings."""
    shared = {name: getattr(timing, name) for name in ("runtime", "hardware", "threads", "batch")}
    return [{"study_id": study_id, "session": session, **shared, **asdict(row)} for row in timing.rows]


def timings_from(found: Iterable[Row[Any]]) -> tuple[Timing, ...]:
    """Rows of timings in the order of their sessions."""
    sessions: dict[int, list[Row[Any]]] = {}
    for row in found:
        sessions.setdefault(row.session, []).append(row)
    return tuple(
        Timing(
            runtime=rows[0].runtime,
            hardware=rows[0].hardware,
            threads=rows[0].threads,
            batch=rows[0].batch,
            rows=tuple(
                TimedRow(row.number, row.latency_ms, row.speedup, row.speedup_low, row.speedup_high, row.speedup_error)
                for row in rows
            ),
        )
        for rows in sessions.values()
    )


def trial_from(row: Row[Any]) -> Trial:
    """A row of trials."""
    return Trial(
        number=row.number,
        candidate=Candidate(levels=tuple(json.loads(row.levels)), weights=row.weights),
        origin=row.origin,
        baseline=row.baseline,
        error=row.error,
        parent=row.parent,
    )


def trial_values(study_id: int, trial: Trial) -> Values:
    """For a row of trials."""
    return {
        "study_id": study_id,
        "number": trial.number,
        "levels": json.dumps(trial.candidate.levels, separators=(",", ":")),
        "weights": trial.candidate.weights,
        "origin": trial.origin,
        "baseline": trial.baseline,
        "error": trial.error,
        "parent": trial.parent,
    }


def result_from(row: Row[Any], measurements: Iterable[Measurement]) -> Result:
    """A row of results with its measurements."""
    return Result(
        number=row.number,
        rung=Rung(row.rung),
        measurements=tuple(measurements),
        per_image=row.per_image,
        artifact=row.artifact,
        seconds=row.seconds,
    )


def result_values(study_id: int, result: Result) -> Values:
    """For a row of results."""
    return {
        "study_id": study_id,
        "number": result.number,
        "rung": result.rung.value,
        "per_image": result.per_image,
        "artifact": result.artifact,
        "seconds": result.seconds,
    }


def measurement_from(row: Row[Any]) -> Measurement:
    """A row of measurements."""
    return Measurement(
        objective=row.objective,
        value=row.value,
        unit=row.unit,
        direction=Direction(row.direction),
        samples=row.samples,
        low=row.low,
        high=row.high,
    )


def measurement_values(study_id: int, result: Result) -> list[Values]:
    """For the rows of measurements of one result."""
    return [
        {
            **asdict(item),
            "study_id": study_id,
            "number": result.number,
            "rung": result.rung.value,
            "position": position,
            "direction": item.direction.value,
        }
        for position, item in enumerate(result.measurements)
    ]


def front_row_from(row: Row[Any]) -> FrontRow:
    """A row of front_rows."""
    return FrontRow(position=row.position, number=row.number, rung=row.rung)


def front_row_values(study_id: int, row: FrontRow) -> Values:
    """For a row of front_rows."""
    return {"study_id": study_id, **asdict(row)}


def event_from(row: Row[Any]) -> Event:
    """A row of events."""
    return Event(number=row.number, time=row.time, kind=row.kind, text=row.text, data=row.data)


def look_from(row: Row[Any]) -> Look:
    """A row of looks."""
    return Look(
        split=row.split,
        study=row.study,
        created_at=row.created_at,
        time=row.time,
        images=row.images,
        again=row.again,
    )


def look_values(look: Look) -> Values:
    """For a row of looks."""
    return asdict(look)

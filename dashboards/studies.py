"""A line for each study. The fields of an entry of `slimfront list --json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from dashboards.status import shown_rung, shown_state
from storage.home import Home
from storage.records.config import StudyConfig
from storage.records.study import Study
from storage.store import StudyStore


@dataclass(frozen=True)
class StudyLine:
    """What is known of a study without reading its candidates."""

    study: str
    state: str
    rung: str
    target: dict[str, str | float]
    seconds: float  # of all attempts
    created: str  # ISO 8601, UTC, whole seconds

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return asdict(self)


def study_lines(store: StudyStore, home: Home) -> tuple[StudyLine, ...]:
    """A line for every study of a store, the oldest first."""
    now = store.now()
    return tuple(study_line(study, home, now) for study in store.studies())


def study_line(study: Study, home: Home, now: float) -> StudyLine:
    """The line of one study."""
    return StudyLine(
        study=study.name,
        state=shown_state(study, home, now),
        rung=shown_rung(study),
        target=StudyConfig.from_json(study.config_json).target.to_dict(),
        seconds=study.seconds,
        created=datetime.fromtimestamp(study.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )

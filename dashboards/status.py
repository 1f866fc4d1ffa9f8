"""How far a study is. The fields of `slimfront status STUDY --json`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from statistics import fmean
from types import MappingProxyType
from typing import Any

from dashboards.study import StudyData
from objectives.hardware import available_cores
from objectives.pareto import FRONT_ROWS
from storage.home import Home
from storage.liveness import is_alive
from storage.records.config import StudyConfig
from storage.records.lease import shown_owner
from storage.records.measurement import Result, Rung
from storage.records.study import Study, StudyState

# The rung that is being worked on at each stage of the controller.
STAGE_RUNGS: Mapping[str, Rung] = MappingProxyType(
    {
        "new": Rung.ALLOCATED,
        "library": Rung.ALLOCATED,
        "quick": Rung.QUICK,
        "rescored": Rung.RESCORED,
        "confirmed": Rung.CONFIRMED,
        "tuned": Rung.TUNED,
        "final": Rung.FINAL,
        "tested": Rung.TESTED,
    }
)
DONE = "done"
LAST_STAGES = ("latency", DONE)  # which have the rung of whatever came before them
SECONDS_PER_MINUTE = 60
OWNED = (StudyState.RUNNING, StudyState.CANCELLING)


@dataclass(frozen=True)
class StatusView:
    """Everything that `status` shows."""

    study: str
    state: str
    rung: str
    candidates: int  # evaluated, baselines not counted
    of: int | None  # None where the study was given minutes
    seconds: float  # of all attempts
    eta_seconds: float | None  # None where it is not known
    failed: int  # evaluations that have failed for good
    lost_workers: int  # that died or were stopped; what they had was run again
    attempt: int  # how many times it was started, or taken over
    owner: str | None  # who runs it; None where nobody does
    priority: int | None  # in the queue; None where it was not submitted

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return asdict(self)


def status_view(data: StudyData, home: Home) -> StatusView:
    """How far the study is at this moment."""
    state = shown_state(data.study, home, data.now)
    return StatusView(
        study=data.study.name,
        state=state,
        rung=shown_rung(data.study),
        candidates=data.searched,
        of=data.config.search.candidates,
        seconds=data.study.seconds,
        eta_seconds=_eta(data, state),
        failed=data.failed,
        lost_workers=data.lost_workers,
        attempt=data.study.attempt,
        owner=shown_owner(owner) if (owner := data.study.owner) is not None and state in OWNED else None,
        priority=None if data.study.queued_at is None else data.study.priority,
    )


def shown_rung(study: Study) -> str:
    """The rung that the study is working on, or was when it stopped."""
    if study.stage in LAST_STAGES:
        return _last_rung(StudyConfig.from_json(study.config_json), study.stage).value
    return STAGE_RUNGS.get(study.stage, Rung.ALLOCATED).value


def _last_rung(config: StudyConfig, stage: str) -> Rung:
    """Where a study is once all its files are made: while it times them, and when it is over."""
    if stage == DONE and config.certificate is not None:
        return Rung.TESTED
    training = config.finetune
    if training is None:
        return Rung.CONFIRMED
    return Rung.FINAL if training.final_epochs > training.epochs else Rung.TUNED


def shown_state(study: Study, home: Home, now: float) -> str:
    """The study's state at that time of its store's clock. Of one that nobody runs although the store says so: what
    becomes of it, "queued" where workers will go on with it, else "interrupted"; or "cancelled"."""
    if not study.is_owned or is_alive(study, home, now):
        return study.state.value
    if study.state is StudyState.CANCELLING:
        return StudyState.CANCELLED.value
    return (StudyState.INTERRUPTED if study.queued_at is None else StudyState.QUEUED).value


def _eta(data: StudyData, state: str) -> float | None:
    """Seconds until the study ends, from what its candidates have cost so far; the timing at the end is not in it.

    How long finalists will be trained nobody knows before they are.
    """
    if state == StudyState.SUCCEEDED:
        return 0.0
    if state != StudyState.RUNNING:
        return None
    if data.config.finetune is not None or data.study.stage == Rung.TESTED:
        return None
    rung = shown_rung(data.study)
    quick = data.results.get(Rung.QUICK, {})
    if rung in (Rung.ALLOCATED, Rung.RESCORED) or not quick:  # how many contenders there are is not stored
        return None
    return _search_eta(data, quick) + _confirmation_eta(data)


def _search_eta(data: StudyData, quick: Mapping[int, Result]) -> float:
    if shown_rung(data.study) != Rung.QUICK:
        return 0.0
    search = data.config.search
    if search.candidates is None:
        return max(0.0, SECONDS_PER_MINUTE * (search.minutes or 0.0) - data.study.seconds)
    return max(0, search.candidates - data.searched) * _mean_seconds(quick.values())


def _confirmation_eta(data: StudyData) -> float:
    confirmed = data.results.get(Rung.CONFIRMED, {})
    if not confirmed:
        return 0.0
    baselines = sum(1 for trial in data.trials.values() if trial.baseline is not None and trial.parent is None)
    remaining = max(0, baselines + min(FRONT_ROWS, data.searched) - len(confirmed))
    return remaining * _mean_seconds(confirmed.values()) / available_cores()


def _mean_seconds(results: Collection[Result]) -> float:
    return fmean(item.seconds for item in results)

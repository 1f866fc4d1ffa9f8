"""`slimfront watch`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from slimfront.cli.codes import FAILED, TARGET_NOT_MET
from slimfront.cli.options import StoreUrl, StudyName
from slimfront.cli.output import note, out
from slimfront.cli.progress import Watcher, watching
from slimfront.cli.session import opened
from slimfront.cli.signals import Signals, StudyInterruptedError

if TYPE_CHECKING:
    from storage.home import Home
    from storage.records.study import Event, Study
    from storage.store import StudyStore

POLL_SECONDS = 1.0
QUIET = frozenset({"proposed", "measured", "front", "stage", "analysed"})  # kinds that the progress tells better


class DetachedError(StudyInterruptedError):
    """Ctrl-C ends the watching alone."""

    def __init__(self, name: str) -> None:
        Exception.__init__(self, f"detached: study {name} is not touched; `slimfront watch {name}` follows it again")


def watch(context: typer.Context, study: StudyName, store: StoreUrl = None) -> None:
    """Follow a study to its end and print its front; Ctrl-C stops the watching, not the study."""
    with opened(store) as (home, studies):
        studies.study(study)
        follow(context.obj, study, home, studies)


def follow(signals: Signals, name: str, home: Home, store: StudyStore) -> None:
    """Shows what happens until the study is over; exits with 3 where the target is not met, 1 where it has not
    succeeded."""
    try:
        with watching(signals) as progress:
            study = _wait(name, home, store, progress)
    except (KeyboardInterrupt, Exception) as error:
        if isinstance(error, KeyboardInterrupt) or signals.received:
            raise DetachedError(name) from error
        raise
    from dashboards.front import front_view
    from dashboards.study import read_study
    from slimfront.cli.front_table import print_front
    from storage.records.study import StudyState

    if study.state is StudyState.SUCCEEDED:
        data = read_study(store, name)
        view = front_view(data, home)
        print_front(out(), view, data)
        if not view.target_met:
            raise typer.Exit(TARGET_NOT_MET)
        return
    reason = f" ({study.error})" if study.error else ""
    note(f"study {name} has ended without a result{reason}: `slimfront resume {name}` goes on with it")
    raise typer.Exit(FAILED)


def _wait(name: str, home: Home, store: StudyStore, progress: Watcher) -> Study:
    """The study when nobody runs it any more, nor will without being told."""
    from dashboards.status import shown_state
    from storage.patient import patient
    from storage.records.study import Step, StudyState

    going_on = {StudyState.QUEUED.value, StudyState.RUNNING.value, StudyState.CANCELLING.value}
    patient_store = patient(store, progress.event)
    seen, waiting = 0, False
    while True:
        study = patient_store.study(name)
        for event in patient_store.events(name, seen):
            seen = event.number
            if event.kind not in QUIET:
                progress.event(_line(event))
        state = shown_state(study, home, patient_store.now())
        if state not in going_on or (state == StudyState.QUEUED and study.queued_at is None):
            return study
        if state == StudyState.QUEUED and not waiting:
            trust = " --trust-code" if study.runs_code else ""
            progress.event(f"waiting for a worker: `slimfront work{trust}` is one")
        waiting = state == StudyState.QUEUED
        step = Step.from_json(study.progress)
        if step is not None:
            progress.update(step.stage, step.done, step.total, step.note)
        time.sleep(POLL_SECONDS)


def _line(event: Event) -> str:
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(event.time, UTC).strftime("%H:%M:%S")
    return f"{moment} {event.kind}: {event.text}"

"""A controller whose study is cancelled, taken over, deleted or out of room while it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from learners.pool.base import J, Note, Outcome, R, Task
from learners.pool.inline import InlinePool
from searcher import heartbeat
from searcher.controller import Controller
from searcher.interruption import Interruption
from searcher.stages.prepare import Prepared
from storage.errors import (
    DiskFullError,
    ElsewhereError,
    FixInputError,
    LeaseLostError,
    NoWorkersError,
    StoreLostError,
    StudyCancelledError,
)
from storage.home import Home
from storage.leases import MOST_REFUSALS
from storage.memory import MemoryStore
from storage.records.lease import Lease, owner_text
from storage.records.study import Step, Study, StudyState
from tests.searcher.controlled import NAME, Recorder, started

BEN = owner_text("ben:1", "7.x")
LONG = 60.0


@pytest.fixture(autouse=True)
def _quick_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "LONGEST_PAUSE", 0.05)


def lease_of(store: MemoryStore) -> Lease:
    study = store.study(NAME)
    assert study.owner is not None
    return Lease(NAME, study.owner, study.attempt, 0.0)


def once(stage: str, act: Callable[[], object]) -> Callable[[str], None]:
    """At the first line of a stage does something, and then is busy until somebody interrupts it."""
    done: list[str] = []

    def interrupt(text: str) -> None:
        if text.startswith(stage) and not done:
            done.append(text)
            act()
            if threading.current_thread() is threading.main_thread():
                time.sleep(LONG)
            else:
                time.sleep(0.5)

    return interrupt


def run(store: MemoryStore, home: Home, prepared: Prepared, progress: Recorder) -> None:
    Controller(store, home, progress).run(NAME, prepared)


def test_a_cancelled_study_ends_at_once_and_goes_on_when_it_is_resumed(prepared: Prepared, tmp_path: Path) -> None:
    store, home = started(prepared, tmp_path)
    at = time.monotonic()
    with pytest.raises(StudyCancelledError, match=f"`slimfront resume {NAME}`"):
        run(store, home, prepared, Recorder(once("quick", lambda: store.cancel(NAME))))
    assert time.monotonic() - at < LONG
    study = store.study(NAME)
    assert (study.state, study.owner, study.lease_until) == (StudyState.CANCELLED, None, None)
    trials = store.trials(NAME)
    assert trials
    run(store, home, prepared, Recorder())
    assert store.study(NAME).state is StudyState.SUCCEEDED
    assert store.trials(NAME)[: len(trials)] == trials


def test_code_that_wraps_what_interrupts_it_does_not_fail_the_study(prepared: Prepared, tmp_path: Path) -> None:
    store, home = started(prepared, tmp_path)

    def wrap(text: str) -> None:
        if text.startswith("quick"):
            store.cancel(NAME)
            try:
                time.sleep(LONG)
            except StudyCancelledError as error:
                raise FixInputError(f"nets.py:tiny raised {error}") from error

    with pytest.raises(StudyCancelledError):
        run(store, home, prepared, Recorder(wrap))
    assert store.study(NAME).state is StudyState.CANCELLED


def test_an_interrupt_that_a_library_has_wrapped_is_no_fault(prepared: Prepared, tmp_path: Path) -> None:
    class Stopped(Recorder):
        def check(self) -> None:
            raise KeyboardInterrupt

    def wrap(text: str) -> None:
        if text.startswith("quick"):
            raise SystemError("returned a result with an exception set")

    store, home = started(prepared, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        Controller(store, home, Stopped(wrap), stopped=StudyState.QUEUED).run(NAME, prepared)
    assert (store.study(NAME).state, store.study(NAME).error) == (StudyState.QUEUED, None)


def test_a_machine_without_workers_is_no_fault_of_the_study(prepared: Prepared, tmp_path: Path) -> None:
    class Missing(InlinePool):
        def run(
            self, task: Task[J, R], jobs: Sequence[J], note: Note, apart: bool = False
        ) -> Generator[Outcome[R], None, None]:
            raise NoWorkersError("Ray cannot start (odd): run with --inline")
            yield from super().run(task, jobs, note, apart)

    store, home = started(prepared, tmp_path)
    with pytest.raises(NoWorkersError, match="odd"):
        Controller(store, home, Recorder(), Missing(), stopped=StudyState.QUEUED).run(NAME, prepared)
    study = store.study(NAME)
    assert (study.state, study.error) == (StudyState.QUEUED, "Ray cannot start (odd): run with --inline")


def test_a_study_that_no_machine_can_run_fails_at_last(prepared: Prepared, tmp_path: Path) -> None:
    def refuse(text: str) -> None:
        raise NoWorkersError("Ray cannot start (odd)")

    store, home = started(prepared, tmp_path)
    states = []
    for _ in range(MOST_REFUSALS):
        with pytest.raises(NoWorkersError):
            Controller(store, home, Recorder(refuse), stopped=StudyState.QUEUED).run(NAME, prepared)
        states.append(store.study(NAME).state)
    assert states == [StudyState.QUEUED] * (MOST_REFUSALS - 1) + [StudyState.FAILED]


def test_a_queued_study_that_this_machine_cannot_read_is_left_to_others(prepared: Prepared, tmp_path: Path) -> None:
    store, home = MemoryStore(), Home(tmp_path)
    gone = prepared.config.model.model_copy(update={"weights": str(tmp_path / "gone.safetensors")})
    store.create_study(NAME, prepared.config.model_copy(update={"model": gone}).to_json())
    with pytest.raises(ElsewhereError, match=r"it cannot be run on this machine: .*gone\.safetensors"):
        Controller(store, home, Recorder(), stopped=StudyState.QUEUED).run(NAME)
    assert store.study(NAME).state is StudyState.QUEUED
    with pytest.raises(FixInputError, match=r"gone\.safetensors"):
        Controller(store, home, Recorder()).run(NAME)
    assert store.study(NAME).state is StudyState.FAILED


def test_an_end_that_was_not_acknowledged_is_an_end(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, home = started(prepared, tmp_path)
    update = MemoryStore.update_study
    lost: list[str] = []

    def lose(self: MemoryStore, name: str, **changes: Any) -> Study:
        study = update(self, name, **changes)
        if changes.get("state") is StudyState.SUCCEEDED and not lost:
            lost.append(name)
            raise StoreLostError("the server is away: start it")
        return study

    monkeypatch.setattr(MemoryStore, "update_study", lose)
    assert Controller(store, home, Recorder()).run(NAME, prepared).state is StudyState.SUCCEEDED
    assert lost == [NAME]


def test_a_study_that_is_taken_over_is_written_by_the_other_one_alone(prepared: Prepared, tmp_path: Path) -> None:
    store, home = started(prepared, tmp_path)

    def take() -> None:
        store.renew(lease_of(store), "")  # as if it had run out
        store.claim(NAME, BEN, LONG)

    with pytest.raises(LeaseLostError, match="taken over by process 7 on ben"):
        run(store, home, prepared, Recorder(once("quick", take)))
    study, events = store.study(NAME), store.events(NAME)
    assert (study.state, study.owner, study.attempt) == (StudyState.RUNNING, BEN, 2)
    assert events[-1].kind == "running"
    store.renew(replace(lease_of(store), seconds=0.0), "")
    run(store, home, prepared, Recorder())
    assert (store.study(NAME).state, store.study(NAME).attempt) == (StudyState.SUCCEEDED, 3)


def test_a_study_that_is_deleted_ends_its_controller(prepared: Prepared, tmp_path: Path) -> None:
    store, home = started(prepared, tmp_path)

    def delete() -> None:
        store.renew(lease_of(store), "")
        store.delete_study(NAME)

    with pytest.raises(LeaseLostError, match="was deleted while it ran"):
        run(store, home, prepared, Recorder(once("quick", delete)))
    assert store.studies() == ()


def test_other_threads_hear_of_it_at_their_next_step(prepared: Prepared, tmp_path: Path) -> None:
    store, home = started(prepared, tmp_path)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            run(store, home, prepared, Recorder(once("library", lambda: store.cancel(NAME))))
        except StudyCancelledError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(LONG)
    assert len(errors) == 1
    assert store.study(NAME).state is StudyState.CANCELLED


@pytest.mark.parametrize("stage", ["reading", "quick"])
def test_a_study_pauses_before_the_disk_is_full(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    store, home = started(prepared, tmp_path)
    room = [10**12]
    monkeypatch.setattr("storage.files.shutil.disk_usage", lambda _: SimpleNamespace(free=room[0]))

    def fill(text: str) -> None:
        if text.startswith(stage):
            room[0] = 1000

    if stage == "reading":
        room[0] = 1000
    with pytest.raises(DiskFullError, match="free some, then resume"):
        run(store, home, prepared, Recorder(fill))
    study = store.study(NAME)
    assert study.state is StudyState.INTERRUPTED
    assert "MB are needed" in (study.error or "")
    room[0] = 10**12
    run(store, home, prepared, Recorder())
    assert store.study(NAME).state is StudyState.SUCCEEDED


def test_beats_say_how_far_the_study_is(prepared: Prepared, tmp_path: Path) -> None:
    store, home = started(prepared, tmp_path)
    seen: set[str] = set()

    def look(_: str) -> None:
        time.sleep(0.01)
        step = Step.from_json(store.study(NAME).progress)
        if step is not None:
            seen.add(step.stage)

    run(store, home, prepared, Recorder(look))
    assert {"quick", "confirmed"} <= seen
    assert store.study(NAME).progress == ""


# --- interruptions


def test_an_interruption_raises_in_the_middle_of_a_wait() -> None:
    with Interruption() as interruption:
        threading.Timer(0.1, interruption.end, [KeyError("now")]).start()
        with pytest.raises(KeyError, match="now"):
            time.sleep(LONG)
        with pytest.raises(KeyError):
            interruption.check()
        interruption.end(ValueError("another"))  # disturbs nobody any more


def test_it_does_not_after_its_block() -> None:
    with Interruption() as interruption:
        interruption.check()
    interruption.end(KeyError("late"))
    time.sleep(0.05)

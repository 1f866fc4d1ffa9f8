"""Trainings of finalists that go wrong: each alone, and all of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import learners.finetune.trainer
from learners.finetune.loss import training_loss
from learners.finetune.task import EpochJob
from learners.pool.base import J, Note, Outcome, R, Task
from learners.pool.inline import InlinePool
from searcher.controller import Controller
from storage.errors import GiveUpError
from storage.records.measurement import Rung
from storage.records.study import StudyState
from tests.searcher.controlled import NAME, Killed, Recorder
from tests.searcher.tuned import (
    CHECKPOINTS,
    FILES,
    FINALISTS,
    Whole,
    checkpoints,
    ending,
    results_at,
    run_whole,
    trained,
    trained_files,
    tuned,
)


@pytest.fixture(scope="module")
def whole(workplace: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return run_whole(tuned(workplace), tmp_path_factory.mktemp("whole"))


def test_a_training_that_diverges_fails_alone_and_its_parent_stays(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them do, whatever they are."""
    monkeypatch.setattr(learners.finetune.trainer, "training_loss", lambda *given: training_loss(*given) * float("nan"))
    store, home = whole.copy(tmp_path)
    recorder = Recorder()
    assert Controller(store, home, recorder).run(NAME, whole.prepared).state is StudyState.SUCCEEDED
    found = trained(store)
    assert len(found) == FINALISTS + 1
    reason = "its loss became NaN or infinite in epoch 1"
    assert {trial.error for trial in found} == {reason}
    for trial in found:
        text = f"candidate {trial.number}, trained from {trial.parent}, failed: {reason}; candidate {trial.parent} "
        assert f"{text}stays as it is" in recorder.seen
    assert results_at(store, Rung.TUNED) == {}
    assert {row.rung for row in store.front(NAME)} == {Rung.CONFIRMED}
    assert checkpoints(home) == []


class Losing(InlinePool):
    """Runs everything, but loses the epochs of the finalists that `fails` picks."""

    def __init__(self, fails: Callable[[EpochJob], bool]) -> None:
        super().__init__()
        self._fails = fails

    def run(
        self, task: Task[J, R], jobs: Sequence[J], note: Note, apart: bool = False
    ) -> Generator[Outcome[R], None, None]:
        for outcome in super().run(task, jobs, note, apart):
            job = jobs[outcome.index]
            lost = isinstance(job, EpochJob) and self._fails(job)
            yield replace(outcome, result=None, error="ValueError: no epoch") if lost else outcome


def test_one_that_fails_leaves_the_others_as_they_are(whole: Whole, tmp_path: Path) -> None:
    store, home = whole.copy(tmp_path)
    first, *others = (str(number) for number in sorted(results_at(whole.store, Rung.TUNED)))
    with Losing(lambda job: job.name == first) as pool:
        assert Controller(store, home, Recorder(), pool).run(NAME, whole.prepared).state is StudyState.SUCCEEDED
    errors = {str(trial.number): trial.error for trial in trained(store) if trial.error is not None}
    assert errors == {first: "ValueError: no epoch"}
    files = trained_files(store, home)
    assert {name: files[name] for name in others} == {name: whole.end.files[name] for name in others}
    assert str(max(results_at(store, Rung.FINAL))) not in others


def test_trainings_of_which_nothing_comes_back_end_the_study_and_are_tried_again(whole: Whole, tmp_path: Path) -> None:
    store, home = whole.copy(tmp_path)
    pool = Losing(lambda job: job.start is not None)
    with pool, pytest.raises(GiveUpError, match=r"no finalist can be trained; candidate \d+: ValueError: no epoch"):
        Controller(store, home, Recorder(), pool).run(NAME, whole.prepared)
    assert store.study(NAME).state is StudyState.FAILED
    assert Controller(store, home, Recorder()).run(NAME, whole.prepared).state is StudyState.SUCCEEDED
    assert ending(store, home) == whole.end


def test_a_trained_file_that_is_gone_fails_its_trial_alone(whole: Whole, tmp_path: Path) -> None:
    """In the moment between its training and its evaluation."""
    store, home = whole.copy(tmp_path)
    first = min(results_at(whole.store, Rung.TUNED))

    def remove(text: str) -> None:
        if text == f"tuned {FINALISTS + 1}/{FINALISTS + 1}":
            (home.artifacts / NAME / str(first) / FILES).unlink()

    assert Controller(store, home, Recorder(remove)).run(NAME, whole.prepared).state is StudyState.SUCCEEDED
    (failed,) = (trial for trial in trained(store) if trial.error is not None)
    assert failed.number == first
    assert "which training has left, is gone" in (failed.error or "")


def test_a_damaged_checkpoint_says_what_to_do(whole: Whole, tmp_path: Path) -> None:
    store, home = whole.copy(tmp_path)

    def kill(text: str) -> None:
        if text.startswith("final 1/"):
            raise Killed

    with pytest.raises(Killed):
        Controller(store, home, Recorder(kill)).run(NAME, whole.prepared)
    path = home.artifacts / NAME / max(checkpoints(home), key=int) / CHECKPOINTS
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(GiveUpError, match=r"training\.safetensors is damaged .* delete the file and resume the study"):
        Controller(store, home, Recorder()).run(NAME, whole.prepared)
    path.unlink()
    assert Controller(store, home, Recorder()).run(NAME, whole.prepared).state is StudyState.SUCCEEDED
    assert ending(store, home) == whole.end

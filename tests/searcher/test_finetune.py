"""Finalists of a study are trained: as an undisturbed one has it, and wherever it is interrupted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import learners.finetune.trainer
from learners.finetune.loss import training_loss
from learners.finetune.task import EpochJob
from learners.pool.base import J, Note, Outcome, R, Task
from learners.pool.inline import InlinePool
from learners.pool.ray_pool import RayPool
from objectives.runtimes.packed import load
from searcher.baselines import AT_TARGET
from searcher.controller import Controller
from searcher.judged import judged_front
from searcher.stages.file_results import file_results
from searcher.stages.prepare import Prepared
from storage.errors import GiveUpError
from storage.home import Home
from storage.memory import MemoryStore
from storage.records.candidate import Trial
from storage.records.dense import DenseFacts
from storage.records.measurement import Rung
from storage.records.study import StudyState
from storage.records.target import CostTarget
from tests.searcher.controlled import NAME, Killed, Recorder, started
from tests.searcher.tuned import (
    CHECKPOINTS,
    EPOCHS,
    FILES,
    FINAL_EPOCHS,
    FINALISTS,
    Ending,
    checkpoints,
    ending,
    results_at,
    trained_files,
    tuned,
)

SURVIVORS = (FINALISTS + 1) // 2


@dataclass(frozen=True)
class Whole:
    """A study that nothing has disturbed."""

    prepared: Prepared
    store: MemoryStore
    home: Home
    recorder: Recorder
    end: Ending

    def copy(self, folder: Path, prepared: Prepared | None = None) -> tuple[MemoryStore, Home]:
        """A new study on the same library and latency table: latencies are never measured twice alike."""
        store, home = started(self.prepared if prepared is None else prepared, folder)
        shutil.copytree(self.home.cache, home.cache)
        return store, home


@pytest.fixture(scope="module")
def whole(workplace: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    prepared = tuned(workplace)
    store, home = started(prepared, tmp_path_factory.mktemp("whole"))
    recorder = Recorder()
    assert Controller(store, home, recorder).run(NAME, prepared).state is StudyState.SUCCEEDED
    return Whole(prepared, store, home, recorder, ending(store, home))


def trained(store: MemoryStore) -> list[Trial]:
    return [trial for trial in store.trials(NAME) if trial.parent is not None]


def test_trained_versions_are_candidates_of_their_own(whole: Whole) -> None:
    trials = {trial.number: trial for trial in whole.store.trials(NAME)}
    brief, final = results_at(whole.store, Rung.TUNED), results_at(whole.store, Rung.FINAL)
    found = trained(whole.store)
    assert {trial.number for trial in found} == brief.keys() | final.keys()
    assert brief.keys().isdisjoint(final)
    assert len(brief) == FINALISTS + 1  # and the baseline
    assert len(final) == SURVIVORS + 1
    confirmed = results_at(whole.store, Rung.CONFIRMED)
    assert confirmed.keys().isdisjoint(brief.keys() | final.keys())
    assert file_results(whole.store, NAME) == {**confirmed, **brief, **final}
    for trial in found:
        assert trial.parent is not None
        parent = trials[trial.parent]
        assert parent.number in (brief if trial.number in final else confirmed)
        assert trial.candidate.levels == parent.candidate.levels
        assert (trial.origin, trial.error, trial.is_searched) == ("finetune", None, False)
    assert len({trial.candidate for trial in trials.values()}) == len(trials)


def test_the_uniform_plan_is_trained_beside_them(whole: Whole) -> None:
    trials = {trial.number: trial for trial in whole.store.trials(NAME)}
    own = [trial for trial in trained(whole.store) if trial.baseline is not None]
    assert [trial.baseline for trial in own] == [
        f"{AT_TARGET}, trained {EPOCHS}",
        f"{AT_TARGET}, trained {FINAL_EPOCHS}",
    ]
    assert own[1].parent == own[0].number
    plan = own[0].parent or 0
    assert trials[plan].baseline is not None
    assert trials[plan].parent is None
    assert trials[plan].candidate.levels == whole.prepared.space.uniform_bits(8)  # which is the best within 3x
    assert {own[0].number} <= results_at(whole.store, Rung.TUNED).keys()
    assert {own[1].number} <= results_at(whole.store, Rung.FINAL).keys()
    timed = results_at(whole.store, Rung.TIMED)
    assert {plan, *(trial.number for trial in own)} <= timed.keys()


def test_figures_are_those_of_the_files_that_training_has_left(whole: Whole) -> None:
    images = whole.prepared.workload.confirmation
    assert images.labels is not None
    dense = results_at(whole.store, Rung.CONFIRMED)[1]
    for rung in (Rung.TUNED, Rung.FINAL):
        for number, item in results_at(whole.store, rung).items():
            path = whole.home.artifacts / NAME / str(number) / FILES
            assert item.artifact == str(number)
            assert path.stat().st_size == item.value("size")
            accuracy = 100 * float((load(path)(images.images).argmax(1) == images.labels).mean())
            assert item.value("accuracy") == pytest.approx(accuracy)
            assert item.value("drop") == pytest.approx(dense.value("accuracy") - accuracy)
            levels = whole.store.trials(NAME)[number - 1].candidate.levels
            assert item.value("macs") == whole.prepared.space.macs(levels)
            assert item.get("predicted_latency") is not None
    assert checkpoints(whole.home) == []  # nothing goes on from them


def test_training_gets_back_what_was_lost(whole: Whole) -> None:
    trials = {trial.number: trial for trial in whole.store.trials(NAME)}
    confirmed, final = results_at(whole.store, Rung.CONFIRMED), results_at(whole.store, Rung.FINAL)
    gained = []
    for number, item in final.items():
        brief = trials[trials[number].parent or 0]
        gained.append(confirmed[brief.parent or 0].value("drop") - item.value("drop"))
    assert float(np.mean(gained)) > 1.0
    sizes = {trials[number].candidate.levels: item.value("size") for number, item in confirmed.items()}
    for number, item in final.items():
        assert item.value("size") == pytest.approx(sizes[trials[number].candidate.levels], rel=0.1)


def test_the_front_is_that_of_all_files(whole: Whole) -> None:
    files = [item for item in whole.store.results(NAME) if item.rung.is_of_file]
    analysis = whole.store.analysis(NAME)
    assert analysis is not None
    dense = DenseFacts.from_json(analysis.dense_json)
    assert whole.store.front(NAME) == judged_front(files, whole.prepared.config.target, dense)
    on_front = {row.number: row.rung for row in whole.store.front(NAME)}
    own = {trial.number for trial in trained(whole.store)}
    assert own & on_front.keys()
    assert all(on_front[number] in (Rung.TUNED, Rung.FINAL) for number in own & on_front.keys())
    assert own & on_front.keys() <= results_at(whole.store, Rung.TIMED).keys()


def test_the_user_hears_of_every_epoch_and_of_what_it_has_brought(whole: Whole) -> None:
    seen = whole.recorder.seen
    steps = [text for text in seen if text.startswith(("tuned", "final"))]
    brief, longer = (FINALISTS + 1) * EPOCHS, (SURVIVORS + 1) * (FINAL_EPOCHS - EPOCHS)
    assert steps == [f"tuned {n + 1}/{brief}" for n in range(brief)] + [
        f"final {n + 1}/{longer}" for n in range(longer)
    ]
    news = [text for text in seen if ", trained from" in text]
    assert len(news) == len(trained(whole.store))
    for trial in trained(whole.store):
        assert any(text.startswith(f"candidate {trial.number}, trained from {trial.parent}: drop") for text in news)
    stages = list(dict.fromkeys(text.partition(" ")[0] for text in seen if "/" in text))
    assert stages == ["library", "latency", "quick", "rescored", "confirmed", "tuned", "final"]


def is_of_training(text: str) -> bool:
    return text.startswith(("tuned", "final")) or ", trained from" in text


@pytest.mark.parametrize("kill", [Killed, KeyboardInterrupt])
def test_a_study_that_dies_at_every_epoch_ends_as_if_it_had_not(
    kill: type[BaseException], whole: Whole, tmp_path: Path
) -> None:
    store, home = whole.copy(tmp_path)
    died: list[str] = []

    def interrupt(text: str) -> None:
        if is_of_training(text) and text not in died:
            died.append(text)
            raise kill

    for _ in range(2 * len(whole.recorder.seen)):
        try:
            study = Controller(store, home, Recorder(interrupt)).run(NAME, whole.prepared)
        except kill:
            continue
        break
    else:
        pytest.fail("it never ends")
    assert study.state is StudyState.SUCCEEDED
    assert {text for text in whole.recorder.seen if is_of_training(text)} <= set(died)
    assert ending(store, home) == whole.end
    assert checkpoints(home) == []


def test_without_the_baseline_the_others_are_trained_alike(workplace: Path, whole: Whole, tmp_path: Path) -> None:
    prepared = tuned(workplace, baseline=False)
    store, home = whole.copy(tmp_path, prepared)
    Controller(store, home, Recorder()).run(NAME, prepared)
    assert all(trial.baseline is None for trial in trained(store))
    assert len(trained(store)) == FINALISTS + SURVIVORS
    assert set(trained_files(store, home).values()) < set(whole.end.files.values())


def test_where_brief_is_all_nobody_is_trained_longer(workplace: Path, whole: Whole, tmp_path: Path) -> None:
    """Of a target that has a baseline of its own, too."""
    prepared = tuned(workplace, final_epochs=EPOCHS, finalists=1)
    costs = (CostTarget("size", "ratio", 5.0, "5x"), CostTarget("macs", "ratio", 1.5, "1.5x"))
    target = replace(prepared.config.target, costs=costs)
    prepared = replace(prepared, config=prepared.config.model_copy(update={"target": target}))
    store, home = whole.copy(tmp_path, prepared)
    assert Controller(store, home, Recorder()).run(NAME, prepared).state is StudyState.SUCCEEDED
    assert len(results_at(store, Rung.TUNED)) == 2
    assert results_at(store, Rung.FINAL) == {}
    assert checkpoints(home) == []
    trials = {trial.number: trial for trial in store.trials(NAME)}
    (own,) = (trial for trial in trained(store) if trial.baseline is not None)
    assert trials[own.parent or 0].baseline == AT_TARGET


def test_workers_give_the_same_files(whole: Whole, tmp_path: Path) -> None:
    store, home = whole.copy(tmp_path)
    with RayPool(2) as pool:
        assert Controller(store, home, Recorder(), pool).run(NAME, whole.prepared).state is StudyState.SUCCEEDED
    assert ending(store, home) == whole.end


# --- what goes wrong


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

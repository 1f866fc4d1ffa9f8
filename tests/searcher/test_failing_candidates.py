"""Candidates whose evaluation fails: each alone, and whole batches of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from learners.pool import ray_pool
from learners.pool.base import J, Note, Outcome, Pool, R, Task
from learners.pool.inline import InlinePool
from learners.pool.ray_pool import RayPool
from learners.scoring import ScoreTask
from searcher.baselines import DENSE
from searcher.controller import Controller
from searcher.samplers.base import FIRST_BATCH
from searcher.stages.prepare import Prepared, prepare
from storage.errors import GiveUpError
from storage.memory import MemoryStore
from storage.records.candidate import Candidate, Trial
from storage.records.measurement import Rung
from storage.records.study import WORKER_LOST, StudyState
from tests.searcher.controlled import CANDIDATES, NAME, Recorder, started

PATIENT_SECONDS = 6.0  # that a tiny evaluation may take on a busy machine


class FailingPool(InlinePool):
    """Runs everything, but loses the scores of the candidates that `fails` picks, on `images` images if given."""

    def __init__(self, fails: Callable[[Candidate], bool], images: int | None = None) -> None:
        super().__init__()
        self._fails = fails
        self._images = images

    def run(
        self, task: Task[J, R], jobs: Sequence[J], note: Note, apart: bool = False
    ) -> Generator[Outcome[R], None, None]:
        for outcome in super().run(task, jobs, note, apart):
            job = jobs[outcome.index]
            lost = isinstance(job, Candidate) and self._fails(job)
            lost = lost and (self._images is None or (isinstance(task, ScoreTask) and len(task.images) == self._images))
            yield replace(outcome, result=None, error="ValueError: no score") if lost else outcome


class FailingEvaluations(InlinePool):
    """Runs everything, but loses the evaluations of the trials that `fails` picks."""

    def __init__(self, fails: Callable[[Trial], bool]) -> None:
        super().__init__()
        self._fails = fails

    def run(
        self, task: Task[J, R], jobs: Sequence[J], note: Note, apart: bool = False
    ) -> Generator[Outcome[R], None, None]:
        for outcome in super().run(task, jobs, note, apart):
            job = jobs[outcome.index]
            lost = isinstance(job, Trial) and self._fails(job)
            yield replace(outcome, result=None, error="ValueError: no score") if lost else outcome


def every_third(candidate: Candidate) -> bool:
    return sum(candidate.levels) % 3 == 1


def test_candidates_that_fail_are_recorded_and_the_search_goes_on(prepared: Prepared, tmp_path: Path) -> None:
    store, home = started(prepared, tmp_path)
    recorder = Recorder()
    study = Controller(store, home, recorder, FailingPool(every_third)).run(NAME, prepared)
    assert study.state is StudyState.SUCCEEDED
    scored = {item.number for item in store.results(NAME, Rung.QUICK)}
    searched = [trial for trial in store.trials(NAME) if trial.baseline is None]
    assert len(searched) == CANDIDATES
    failed = [trial for trial in searched if every_third(trial.candidate)]
    assert 0 < len(failed) < CANDIDATES
    for trial in searched:
        assert (trial.number in scored) == (trial not in failed)
        assert trial.error == ("ValueError: no score" if trial in failed else None)
    assert not {row.number for row in store.front(NAME)} & {trial.number for trial in failed}
    assert f"candidate {failed[0].number} failed: ValueError: no score" in recorder.seen


def test_a_batch_of_which_nothing_comes_back_ends_the_study(prepared: Prepared, tmp_path: Path) -> None:
    store, home = started(prepared, tmp_path)
    pool = FailingPool(lambda candidate: any(candidate.levels))
    with pytest.raises(GiveUpError, match=r"all \d+ candidates of a batch failed, such as \d+: ValueError: no score"):
        Controller(store, home, Recorder(), pool).run(NAME, prepared)
    assert store.study(NAME).state is StudyState.FAILED
    # Once the cause is mended, resuming evaluates them again.
    assert Controller(store, home, Recorder()).run(NAME, prepared).state is StudyState.SUCCEEDED
    searched = [trial for trial in store.trials(NAME) if trial.baseline is None]
    assert len(searched) == CANDIDATES
    assert all(trial.error is None for trial in searched)


def test_contenders_that_fail_at_their_second_score_are_not_confirmed(prepared: Prepared, tmp_path: Path) -> None:
    store, home = started(prepared, tmp_path)
    pool = FailingPool(every_third, rescoring_images(prepared))
    assert Controller(store, home, Recorder(), pool).run(NAME, prepared).state is StudyState.SUCCEEDED
    scored, rescored, confirmed = (
        {item.number for item in store.results(NAME, rung)} for rung in (Rung.QUICK, Rung.RESCORED, Rung.CONFIRMED)
    )
    searched = {trial.number: trial for trial in store.trials(NAME) if trial.baseline is None}
    failed = {number for number, trial in searched.items() if trial.error is not None}
    assert failed
    assert failed <= scored
    assert all(every_third(searched[number].candidate) for number in failed)
    assert failed.isdisjoint(rescored | confirmed)


def test_a_second_score_of_which_nothing_comes_back_ends_the_study(prepared: Prepared, tmp_path: Path) -> None:
    store, home = started(prepared, tmp_path)
    pool = FailingPool(lambda candidate: any(candidate.levels), rescoring_images(prepared))
    with pytest.raises(GiveUpError, match=r"all \d+ candidates of a batch failed, such as \d+: ValueError: no score"):
        Controller(store, home, Recorder(), pool).run(NAME, prepared)
    assert Controller(store, home, Recorder()).run(NAME, prepared).state is StudyState.SUCCEEDED
    assert all(trial.error is None for trial in store.trials(NAME))
    assert len(store.results(NAME, Rung.RESCORED)) > 1


def rescoring_images(prepared: Prepared) -> int:
    """How many: no other part has as many."""
    assert prepared.workload.rescoring is not None
    return len(prepared.workload.rescoring)


def test_a_dense_model_without_a_score_ends_the_study(prepared: Prepared, tmp_path: Path) -> None:
    store, home = started(prepared, tmp_path)
    pool = FailingPool(lambda candidate: not any(candidate.levels))
    with pytest.raises(GiveUpError, match=r"the dense model cannot be scored: ValueError: no score"):
        Controller(store, home, Recorder(), pool).run(NAME, prepared)


def test_one_candidate_that_fails_alone_in_its_batch_does_not_end_the_search(
    prepared: Prepared, tmp_path: Path
) -> None:
    search = prepared.config.search.model_copy(update={"candidates": FIRST_BATCH + 1})
    short = replace(prepared, config=prepared.config.model_copy(update={"search": search}))
    store, home = started(short, tmp_path / "whole")
    Controller(store, home, Recorder()).run(NAME, short)
    last = store.trials(NAME)[-1].candidate
    cache = home.cache
    store, home = started(short, tmp_path / "failing")
    shutil.copytree(cache, home.cache)
    pool = FailingPool(lambda candidate: candidate == last)
    assert Controller(store, home, Recorder(), pool).run(NAME, short).state is StudyState.SUCCEEDED
    assert store.trials(NAME)[-1].error == "ValueError: no score"


METRIC = """import os
import time


def picky(outputs, labels):
    scores = (outputs.argmax(1) == labels).astype("float32")
    if len(labels) == {images} and {least} - 1e-6 < scores.mean() < {limit}:
        {trouble}
    return scores
"""


@dataclass(frozen=True)
class Whole:
    """A study without trouble."""

    cache: Path
    shares: Mapping[Rung, Mapping[int, float]]  # of the images that each candidate has right
    images: Mapping[Rung, int]


@pytest.fixture(scope="module")
def whole(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    store, home = started(prepared, tmp_path_factory.mktemp("whole"))
    Controller(store, home, Recorder()).run(NAME, prepared)
    found = {rung: store.results(NAME, rung) for rung in (Rung.QUICK, Rung.RESCORED, Rung.CONFIRMED)}
    shares = {rung: {item.number: item.value("accuracy") / 100 for item in items} for rung, items in found.items()}
    images = {rung: items[0].measurements[0].samples for rung, items in found.items()}
    return Whole(home.cache, shares, images)


@dataclass(frozen=True)
class Trouble:
    """What happens instead of a score where the share of right images is in a range."""

    does: str  # a line of Python
    rung: Rung
    limit: float
    least: float = 0.0

    def judge(self, prepared: Prepared, whole: Whole, folder: Path) -> Prepared:
        """By top-1 that gets into this trouble."""
        file = folder / "metric.py"
        images = whole.images[self.rung]
        file.write_text(METRIC.format(trouble=self.does, limit=self.limit, least=self.least, images=images))
        data = prepared.config.data.model_copy(update={"metric": f"{file}:picky"})
        return prepare(prepared.config.model_copy(update={"data": data}), Recorder())


def run_in(
    trouble: Trouble, prepared: Prepared, whole: Whole, folder: Path, pool: Pool
) -> tuple[MemoryStore, Recorder]:
    """A study that the trouble does not end."""
    picky = trouble.judge(prepared, whole, folder)
    store, home = started(picky, folder / "home")
    shutil.copytree(whole.cache, home.cache)
    recorder = Recorder()
    with pool:
        assert Controller(store, home, recorder, pool).run(NAME, picky).state is StudyState.SUCCEEDED
    failed = {trial.number for trial in store.trials(NAME) if trial.error is not None}
    passed = {item.number: item.value("accuracy") / 100 for item in store.results(NAME, trouble.rung)}
    assert failed
    assert passed
    assert not any(trouble.least <= share < trouble.limit - 1e-6 for share in passed.values())
    assert failed.isdisjoint(passed)
    assert failed.isdisjoint(row.number for row in store.front(NAME))
    return store, recorder


def worst(does: str, rung: Rung, whole: Whole) -> Trouble:
    """Only with the searched candidates that have as few images right as the worst of all."""
    least = min(whole.shares[rung].values())
    return Trouble(does, rung, least + 1e-4, least)


def errors(store: MemoryStore) -> set[str]:
    """Of its candidates; `run_in` has seen that there are some."""
    return {trial.error for trial in store.trials(NAME) if trial.error is not None}


def test_files_whose_confirmation_raises_fail_alone(prepared: Prepared, whole: Whole, tmp_path: Path) -> None:
    limit = float(np.median([*whole.shares[Rung.CONFIRMED].values()]))
    trouble = Trouble('raise ValueError("too many wrong")', Rung.CONFIRMED, limit)
    store, recorder = run_in(trouble, prepared, whole, tmp_path, InlinePool())
    (error,) = errors(store)
    assert error.startswith("metric.py:picky raised ValueError: too many wrong")
    assert any(text.endswith(f"failed: {error}") for text in recorder.seen)


@pytest.mark.parametrize("rung", [Rung.QUICK, Rung.CONFIRMED])
def test_a_metric_that_hangs_fails_its_candidates_alone(
    rung: Rung, prepared: Prepared, whole: Whole, tmp_path: Path
) -> None:
    trouble = worst("time.sleep(3600)", rung, whole)
    store, _ = run_in(trouble, prepared, whole, tmp_path, RayPool(2, PATIENT_SECONDS))
    assert all(error.startswith("took too long, 2 times") for error in errors(store))


def test_a_confirmation_that_hangs_is_given_up_without_workers_too(
    prepared: Prepared, whole: Whole, tmp_path: Path
) -> None:
    trouble = worst("time.sleep(3600)", Rung.CONFIRMED, whole)
    store, _ = run_in(trouble, prepared, whole, tmp_path, InlinePool(PATIENT_SECONDS))
    assert all(error.startswith("took too long, 2 times") for error in errors(store))


def test_a_metric_that_ends_its_process_fails_its_candidates_alone(
    prepared: Prepared, whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_pool, "MOST_DEATHS", 2)  # each takes a start
    trouble = worst("os._exit(3)", Rung.CONFIRMED, whole)
    store, recorder = run_in(trouble, prepared, whole, tmp_path, RayPool(2))
    assert errors(store) == {"2 workers died of it"}
    lost = [event.text for event in store.events(NAME) if event.kind == WORKER_LOST]
    assert len(lost) >= 2
    assert set(lost) <= set(recorder.seen)


def test_a_dense_model_whose_confirmation_fails_ends_the_study(
    prepared: Prepared, whole: Whole, tmp_path: Path
) -> None:
    store, home = started(prepared, tmp_path)
    shutil.copytree(whole.cache, home.cache)
    pool = FailingEvaluations(lambda trial: trial.baseline == DENSE)
    with pytest.raises(GiveUpError, match=r"the dense model cannot be evaluated: ValueError: no score"):
        Controller(store, home, Recorder(), pool).run(NAME, prepared)


def test_a_confirmation_of_which_nothing_comes_back_ends_the_study(
    prepared: Prepared, whole: Whole, tmp_path: Path
) -> None:
    store, home = started(prepared, tmp_path)
    shutil.copytree(whole.cache, home.cache)
    pool = FailingEvaluations(lambda trial: trial.baseline is None)
    with pytest.raises(GiveUpError, match=r"no candidate can be confirmed; candidate \d+: ValueError: no score"):
        Controller(store, home, Recorder(), pool).run(NAME, prepared)
    assert Controller(store, home, Recorder()).run(NAME, prepared).state is StudyState.SUCCEEDED
    assert errors(store) == set()
    confirmed = {item.number: item.value("accuracy") / 100 for item in store.results(NAME, Rung.CONFIRMED)}
    assert confirmed == whole.shares[Rung.CONFIRMED]

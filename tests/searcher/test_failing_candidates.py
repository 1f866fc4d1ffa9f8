"""Candidates whose evaluation fails: each alone, and whole batches of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import numpy as np
import numpy.typing as npt
import pytest

from learners.pool.base import J, Note, Outcome, R, Task
from learners.pool.inline import InlinePool
from learners.scoring import ScoreTask
from objectives.metric import Top1
from searcher.controller import Controller
from searcher.samplers.base import FIRST_BATCH
from searcher.stages import confirm, threads
from searcher.stages.prepare import Prepared
from storage.errors import GiveUpError
from storage.records.candidate import Candidate
from storage.records.measurement import Rung
from storage.records.study import StudyState
from tests.searcher.controlled import CANDIDATES, NAME, Recorder, started


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


def refuse() -> None:
    raise ValueError("too many wrong")


@dataclass(frozen=True)
class Picky:
    """Top-1 that refuses, or does something else first, where more than a share of the images is wrong."""

    share: float  # in [0, 1]
    at_more: Callable[[], object] = refuse
    name: str = "top1"

    def per_image(
        self, outputs: npt.NDArray[np.float32], labels: npt.NDArray[np.int64] | None, dense: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """See `Metric`."""
        scores = Top1().per_image(outputs, labels, dense)
        if scores.mean() < 1 - self.share:
            self.at_more()
        return scores


def judged_by(metric: Picky, prepared: Prepared) -> Prepared:
    """Quick scores are unaffected: workers make the metric anew from the study file."""
    workload = copy(prepared.workload)
    workload.metric = metric
    return replace(prepared, workload=workload)


def test_files_whose_confirmation_raises_fail_alone(prepared: Prepared, tmp_path: Path) -> None:
    store, home = started(prepared, tmp_path / "whole")
    Controller(store, home, Recorder()).run(NAME, prepared)
    whole = {item.number: item.value("accuracy") for item in store.results(NAME, Rung.CONFIRMED)}
    limit = float(np.median([*whole.values()]))
    cache = home.cache
    store, home = started(prepared, tmp_path / "picky")
    shutil.copytree(cache, home.cache)
    recorder = Recorder()
    picky = judged_by(Picky(1 - limit / 100), prepared)
    assert Controller(store, home, recorder).run(NAME, picky).state is StudyState.SUCCEEDED
    confirmed = {item.number: item.value("accuracy") for item in store.results(NAME, Rung.CONFIRMED)}
    assert min(confirmed.values()) >= limit - 1e-6
    failed = [trial.number for trial in store.trials(NAME) if trial.error is not None]
    assert failed
    assert all(trial.error == "ValueError: too many wrong" for trial in store.trials(NAME) if trial.number in failed)
    assert any(text.endswith("failed: ValueError: too many wrong") for text in recorder.seen)
    assert not {row.number for row in store.front(NAME)} & set(failed)


def test_files_whose_confirmation_hangs_fail_alone(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirm, "LEAST_PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(confirm, "PATIENCE", 0.0)
    monkeypatch.setattr(threads, "END_SECONDS", 0.2)
    store, home = started(prepared, tmp_path / "whole")
    Controller(store, home, Recorder()).run(NAME, prepared)
    whole = {item.number: item.value("accuracy") for item in store.results(NAME, Rung.CONFIRMED)}
    worst = min(whole.values())
    cache = home.cache
    store, home = started(prepared, tmp_path / "sleepy")
    shutil.copytree(cache, home.cache)
    awake = Event()
    sleepy = Picky(1 - (worst + 1e-3) / 100, awake.wait)
    try:
        study = Controller(store, home, Recorder()).run(NAME, judged_by(sleepy, prepared))
    finally:
        awake.set()
    assert study.state is StudyState.SUCCEEDED
    failed = {trial.number for trial in store.trials(NAME) if trial.error is not None}
    assert failed >= {number for number, accuracy in whole.items() if accuracy == worst}
    assert all("has hung for" in (trial.error or "") for trial in store.trials(NAME) if trial.number in failed)
    confirmed = {item.number for item in store.results(NAME, Rung.CONFIRMED)}
    assert confirmed
    assert confirmed.isdisjoint(failed)

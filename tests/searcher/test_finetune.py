"""Finalists of a study are trained: as an undisturbed one has it, and wherever it is interrupted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learners.pool.ray_pool import RayPool
from objectives.runtimes.packed import load
from searcher.baselines import AT_TARGET
from searcher.controller import Controller
from searcher.judged import judged_front
from searcher.stages.file_results import file_results
from storage.leases import deaths
from storage.memory import MemoryStore
from storage.records.dense import DenseFacts
from storage.records.measurement import Rung
from storage.records.study import EPOCH, StudyState
from storage.records.target import CostTarget
from tests.searcher.controlled import NAME, Killed, Recorder
from tests.searcher.tuned import (
    EPOCHS,
    FILES,
    FINAL_EPOCHS,
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

SURVIVORS = (FINALISTS + 1) // 2


@pytest.fixture(scope="module")
def whole(workplace: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return run_whole(tuned(workplace), tmp_path_factory.mktemp("whole"))


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


@pytest.mark.slow
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
    assert epochs(store) == epochs(whole.store)


def epochs(store: MemoryStore) -> list[tuple[int, int]]:
    """Candidate and epoch of each that the store has been told of, sorted."""
    told = [json.loads(event.data) for event in store.events(NAME) if event.kind == EPOCH]
    return sorted((item["candidate"], item["epoch"]) for item in told)


def test_every_epoch_is_told_once_and_gets_the_study_on(whole: Whole) -> None:
    wanted = []
    for trial in trained(whole.store):
        parent = whole.store.trials(NAME)[(trial.parent or 0) - 1]
        first = 1 if parent.parent is None else EPOCHS + 1
        last = EPOCHS if parent.parent is None else FINAL_EPOCHS
        wanted += [(trial.number, epoch) for epoch in range(first, last + 1)]
    assert epochs(whole.store) == sorted(wanted)
    events = whole.store.events(NAME)
    told = next(index for index, event in enumerate(events) if event.kind == EPOCH)
    assert deaths(events[: told + 1]) == 0  # whoever died before has not kept the study from it


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


@pytest.mark.slow
def test_workers_give_the_same_files(whole: Whole, tmp_path: Path) -> None:
    store, home = whole.copy(tmp_path)
    with RayPool(2) as pool:
        assert Controller(store, home, Recorder(), pool).run(NAME, whole.prepared).state is StudyState.SUCCEEDED
    assert ending(store, home) == whole.end

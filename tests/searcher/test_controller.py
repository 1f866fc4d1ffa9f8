"""One study from end to end, and the same study interrupted wherever it can be."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from learners import gram
from learners.channel.criteria.table import CRITERIA
from learners.pool.base import J, Note, Outcome, R, Task
from learners.pool.inline import InlinePool
from learners.scoring import ScoreJob
from learners.table import LEARNERS
from objectives.metric import METRICS
from objectives.runtimes.table import RUNTIMES
from searcher.baselines import AT_TARGET
from searcher.controller import Controller
from searcher.samplers.table import SAMPLERS
from searcher.stages.latency_table import FOLDER
from searcher.stages.latency_table import STAGE as TABLE_STAGE
from searcher.stages.prepare import Prepared, prepare
from searcher.stages.quick import FIRST_BATCH
from storage.errors import FixInputError, GiveUpError, StoreLockedError
from storage.home import Home
from storage.memory import MemoryStore
from storage.records.candidate import Candidate
from storage.records.config import KnownNames, StudyConfig, read_study
from storage.records.measurement import Result, Rung
from storage.records.study import FrontRow, StudyState
from storage.records.target import CostTarget
from storage.store import StudyStore
from tests.slimfront.finished import trained_in

NAME = "study"
KNOWN = KnownNames(tuple(LEARNERS), tuple(SAMPLERS), tuple(RUNTIMES), tuple(METRICS), tuple(CRITERIA))
CANDIDATES = 53  # more than one batch
# What the graph of a file with layers in int8 and in float may differ from its share: each border between the two costs
# some tens of bytes. These files have 3 KB; of a real model it is far below 2 %.
MIXED_BYTES = 192


class Killed(BaseException):
    """Stands for a process that is gone: no handler of ours knows it."""


@dataclass
class Recorder:
    """Records what it is told, and interrupts where it is told to."""

    interrupt: Callable[[str], None] = lambda _: None
    seen: list[str] = field(default_factory=list)

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        del note
        assert 0 <= done <= max(total, done)
        self._note(f"{stage} {done}/{total}")

    def event(self, text: str) -> None:
        self._note(text)

    def _note(self, text: str) -> None:
        assert "\n" not in text
        self.seen.append(text)
        self.interrupt(text)


def config(folder: Path, **search: object) -> StudyConfig:
    raw = {
        "name": NAME,
        "model": {"factory": "nets.py:tiny", "weights": "tiny.safetensors", "input": [1, 8, 8]},
        "data": {"kind": "digits", "calibration": 64},
        "target": {"size": "3x", "max_drop": 10.0},
        "search": {"candidates": CANDIDATES, **search},
    }
    return read_study(raw, folder, "test", KNOWN)


@pytest.fixture(scope="module")
def workplace(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of our own with a trained network."""
    folder = tmp_path_factory.mktemp("controller") / "trained"
    shutil.copytree(trained_in(shared_folder / "front-door"), folder)
    return folder


@pytest.fixture(scope="module")
def prepared(workplace: Path) -> Prepared:
    return prepare(config(workplace), Recorder())


@dataclass(frozen=True)
class Ending:
    """All of a study that must not depend on interruptions."""

    trials: tuple[object, ...]
    results: tuple[object, ...]
    front: tuple[FrontRow, ...]
    files: dict[str, bytes]


def outcome(store: StudyStore, home: Home) -> Ending:
    return Ending(
        trials=store.trials(NAME),
        results=tuple(_repeatable(item) for item in store.results(NAME) if item.rung is not Rung.TIMED),
        front=store.front(NAME),
        files={
            str(path.relative_to(home.artifacts)): path.read_bytes() for path in sorted(home.artifacts.rglob("model.*"))
        },
    )


def _repeatable(result: Result) -> object:
    return result.number, result.rung, result.measurements, result.per_image, result.artifact


def started(prepared: Prepared, home: Path) -> tuple[MemoryStore, Home]:
    store = MemoryStore()
    store.create_study(NAME, prepared.config.to_json())
    return store, Home(home)


@pytest.fixture(scope="module")
def undisturbed(
    prepared: Prepared, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Ending, Recorder, MemoryStore, Home]:
    store, home = started(prepared, tmp_path_factory.mktemp("undisturbed"))
    recorder = Recorder()
    study = Controller(store, home, recorder).run(NAME, prepared)
    assert (study.state, study.stage, study.attempt) == (StudyState.SUCCEEDED, "done", 1)
    return outcome(store, home), recorder, store, home


def test_a_study_ends_with_a_front_of_files(
    undisturbed: tuple[Ending, Recorder, MemoryStore, Home], prepared: Prepared
) -> None:
    found, _, store, home = undisturbed
    trials = store.trials(NAME)
    baselines = [trial.baseline for trial in trials if trial.baseline is not None]
    assert baselines[:2] == ["dense", "ort int8"]
    searched = [trial for trial in trials if trial.baseline is None]
    assert len(searched) == CANDIDATES
    assert len({trial.candidate for trial in trials}) == len(trials)
    confirmed = {item.number: item for item in store.results(NAME, Rung.CONFIRMED)}
    timed = {item.number for item in store.results(NAME, Rung.TIMED)}
    assert found.front
    assert {row.number for row in found.front} <= set(confirmed)
    assert {row.number for row in found.front} <= timed
    assert all(trial.number in confirmed for trial in trials if trial.baseline is not None)
    by_number = {trial.number: trial for trial in trials}
    for number, item in confirmed.items():
        name = "model.onnx" if by_number[number].baseline in ("dense", "ort int8") else "model.slim"
        path = home.artifacts / NAME / (item.artifact or "") / name
        assert path.stat().st_size == item.value("size")
    space = prepared.space
    for number, item in confirmed.items():
        if by_number[number].baseline not in ("dense", "ort int8"):
            predicted = space.size_bytes(by_number[number].candidate.levels)
            assert abs(predicted - item.value("size")) <= max(MIXED_BYTES, 0.02 * item.value("size"))
    dense = confirmed[1]
    assert dense.value("drop") == 0
    best = store.front(NAME)[0]
    assert confirmed[best.number].value("accuracy") >= dense.value("accuracy")


def test_progress_passes_every_stage_in_order(undisturbed: tuple[Ending, Recorder, MemoryStore, Home]) -> None:
    stages = [text.partition(" ")[0] for text in undisturbed[1].seen if "/" in text]
    assert list(dict.fromkeys(stages)) == ["library", "latency", "quick", "confirmed"]
    assert f"quick {CANDIDATES}/{CANDIDATES}" in undisturbed[1].seen


def test_a_finished_study_is_returned_at_once(undisturbed: tuple[Ending, Recorder, MemoryStore, Home]) -> None:
    found, _, store, home = undisturbed
    recorder = Recorder()
    study = Controller(store, home, recorder).run(NAME)
    assert (study.state, study.attempt) == (StudyState.SUCCEEDED, 1)
    assert recorder.seen == []
    assert outcome(store, home) == found


@pytest.mark.parametrize("kill", [Killed, KeyboardInterrupt])
def test_a_study_that_dies_at_every_step_ends_as_if_it_had_not(
    kill: type[BaseException],
    undisturbed: tuple[Ending, Recorder, MemoryStore, Home],
    prepared: Prepared,
    tmp_path: Path,
) -> None:
    found, recorder, _, first = undisturbed
    store, home = started(prepared, tmp_path)
    # Latencies are measured once on a machine, and never twice alike: what was measured first holds.
    shutil.copytree(first.cache / FOLDER, home.cache / FOLDER)
    died: set[str] = set()

    def interrupt(text: str) -> None:
        if text not in died:
            died.add(text)
            raise kill

    for _ in range(len(recorder.seen) + 20):
        try:
            study = Controller(store, home, Recorder(interrupt)).run(NAME, prepared)
        except kill:
            state = store.study(NAME).state
            assert state is (StudyState.INTERRUPTED if kill is KeyboardInterrupt else StudyState.RUNNING)
            continue
        break
    else:
        pytest.fail("it never ends")
    assert study.state is StudyState.SUCCEEDED
    assert study.attempt == len(died) + 1
    assert {text for text in recorder.seen if not text.startswith(TABLE_STAGE)} <= died
    assert outcome(store, home) == found


def test_a_fault_is_kept_with_the_study_and_can_be_resumed(
    prepared: Prepared, undisturbed: tuple[Ending, Recorder, MemoryStore, Home], tmp_path: Path
) -> None:
    store, home = started(prepared, tmp_path)
    shutil.copytree(undisturbed[3].cache, home.cache)

    def fault(text: str) -> None:
        if text.startswith("quick"):
            raise FixInputError("mend this")

    with pytest.raises(FixInputError, match="mend this"):
        Controller(store, home, Recorder(fault)).run(NAME, prepared)
    assert (store.study(NAME).state, store.study(NAME).error) == (StudyState.FAILED, "mend this")
    study = Controller(store, home, Recorder()).run(NAME, prepared)
    assert (study.state, study.error) == (StudyState.SUCCEEDED, None)
    assert outcome(store, home) == undisturbed[0]


def test_a_second_runner_is_refused(
    prepared: Prepared, undisturbed: tuple[Ending, Recorder, MemoryStore, Home], tmp_path: Path
) -> None:
    store, home = started(prepared, tmp_path)
    shutil.copytree(undisturbed[3].cache, home.cache)
    refused: list[str] = []

    def second(text: str) -> None:
        if text.startswith("quick") and not refused:
            with pytest.raises(StoreLockedError) as caught:
                Controller(store, home, Recorder()).run(NAME, prepared)
            refused.append(str(caught.value))
            raise Killed

    with pytest.raises(Killed):
        Controller(store, home, Recorder(second)).run(NAME, prepared)
    assert refused == [f"study {NAME} is in use by another process: wait for it to end, or stop it"]
    assert store.study(NAME).attempt == 1


def test_changed_weights_are_refused_on_resumption(workplace: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "own"
    shutil.copytree(workplace, folder)
    settings = config(folder, candidates=4)
    store, home = MemoryStore(), Home(tmp_path / "home")
    store.create_study(NAME, settings.to_json())

    def kill(text: str) -> None:
        if text.startswith("quick"):
            raise Killed

    with pytest.raises(Killed):
        Controller(store, home, Recorder(kill)).run(NAME)
    weights = folder / "tiny.safetensors"
    before = weights.read_bytes()
    tensors = load_file(weights)
    tensors["linear.bias"] = tensors["linear.bias"] + 0.01
    save_file(tensors, weights)
    with pytest.raises(FixInputError, match="has changed since it began: put it back"):
        Controller(store, home, Recorder()).run(NAME)
    assert store.study(NAME).state is StudyState.FAILED
    weights.write_bytes(before)
    assert Controller(store, home, Recorder()).run(NAME).state is StudyState.SUCCEEDED


def test_a_search_that_runs_out_of_plans_ends(tmp_path: Path, workplace: Path) -> None:
    settings = config(workplace, candidates=100_000, keep=["conv1"])
    store, home = MemoryStore(), Home(tmp_path)
    store.create_study(NAME, settings.to_json())
    recorder = Recorder()
    assert Controller(store, home, recorder).run(NAME).state is StudyState.SUCCEEDED
    assert any("nothing left to propose" in text for text in recorder.seen)
    levels = [trial.candidate.levels for trial in store.trials(NAME) if trial.baseline is None]
    assert 6 < len(levels) == len(set(levels)) < 7 * 6**3


def test_a_study_of_another_version_is_refused_by_that_name(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, home = MemoryStore(), Home(tmp_path)
    store.create_study(NAME, config(workplace, candidates=4).to_json())

    def kill(text: str) -> None:
        if text.startswith("quick"):
            raise Killed

    with monkeypatch.context() as earlier:
        earlier.setattr(gram, "RECIPE", "an earlier recipe")
        with pytest.raises(Killed):
            Controller(store, home, Recorder(kill)).run(NAME)
    with pytest.raises(FixInputError, match="begun by another version of Slimfront or on another device"):
        Controller(store, home, Recorder()).run(NAME)


def test_the_best_uniform_plan_within_the_target_is_a_baseline(workplace: Path, tmp_path: Path) -> None:
    settings = config(workplace, candidates=4)
    costs = (CostTarget("size", "ratio", 5.0, "5x"), CostTarget("macs", "ratio", 1.5, "1.5x"))
    store, home = MemoryStore(), Home(tmp_path)
    target = replace(settings.target, costs=costs)
    store.create_study(NAME, settings.model_copy(update={"target": target}).to_json())
    Controller(store, home, Recorder()).run(NAME)
    (trial,) = (item for item in store.trials(NAME) if item.baseline == AT_TARGET)
    found = {item.number: item for item in store.results(NAME, Rung.CONFIRMED)}
    dense = found[1]
    for cost in costs:
        assert found[trial.number].value(cost.objective) <= cost.limit(dense.value(cost.objective))


class FailingPool(InlinePool):
    """Runs everything, but loses the scores of the candidates that `fails` picks."""

    def __init__(self, fails: Callable[[Candidate], bool]) -> None:
        super().__init__()
        self._fails = fails

    def run(
        self, task: Task[J, R], jobs: Sequence[J], note: Note, apart: bool = False
    ) -> Generator[Outcome[R], None, None]:
        for outcome in super().run(task, jobs, note, apart):
            job = jobs[outcome.index]
            lost = isinstance(job, ScoreJob) and self._fails(job.candidate)
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


def test_a_dense_model_without_a_score_ends_the_study(prepared: Prepared, tmp_path: Path) -> None:
    store, home = started(prepared, tmp_path)
    pool = FailingPool(lambda candidate: not any(candidate.levels))
    with pytest.raises(GiveUpError, match=r"the dense model cannot be scored: ValueError: no score"):
        Controller(store, home, Recorder(), pool).run(NAME, prepared)


def test_a_search_ends_when_the_hypervolume_no_longer_grows(prepared: Prepared, tmp_path: Path) -> None:
    search = prepared.config.search.model_copy(update={"patience": 1})
    impatient = replace(prepared, config=prepared.config.model_copy(update={"search": search}))
    store, home = started(impatient, tmp_path)
    recorder = Recorder()
    assert Controller(store, home, recorder).run(NAME, impatient).state is StudyState.SUCCEEDED
    searched = [trial for trial in store.trials(NAME) if trial.baseline is None]
    assert 1 < len(searched) < CANDIDATES
    assert any(text.startswith(f"the last 1 of {len(searched)} candidates") for text in recorder.seen)


def test_one_candidate_that_fails_alone_in_its_batch_does_not_end_the_search(
    prepared: Prepared, tmp_path: Path
) -> None:
    search = prepared.config.search.model_copy(update={"candidates": FIRST_BATCH + 1})
    short = replace(prepared, config=prepared.config.model_copy(update={"search": search}))
    store, home = started(short, tmp_path / "whole")
    Controller(store, home, Recorder()).run(NAME, short)
    last = store.trials(NAME)[-1].candidate
    store, home = started(short, tmp_path / "failing")
    pool = FailingPool(lambda candidate: candidate == last)
    assert Controller(store, home, Recorder(), pool).run(NAME, short).state is StudyState.SUCCEEDED
    assert store.trials(NAME)[-1].error == "ValueError: no score"

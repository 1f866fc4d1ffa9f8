"""A study whose finalists were trained gets more candidates."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import searcher.stages.finetune
from searcher.controller import Controller
from searcher.finalists import survivors
from searcher.judged import judged_front
from searcher.stages.prepare import Prepared, prepare
from slimfront.extend import extend
from storage.home import Home
from storage.memory import MemoryStore
from storage.records.config import StudyConfig
from storage.records.dense import DenseFacts
from storage.records.measurement import Result, Rung
from storage.records.study import StudyState
from storage.records.target import Target
from tests.searcher.controlled import NAME, Killed, Recorder, started
from tests.searcher.tuned import CANDIDATES, FINALISTS, checkpoints, results_at, trained_files, tuned

MORE = 30
EPOCHS = 2  # so that a brief training can be interrupted, too

Run = Callable[[Prepared, Path], tuple[MemoryStore, Home]]


@pytest.fixture(scope="module")
def prepared(workplace: Path) -> Prepared:
    return tuned(workplace, epochs=EPOCHS, images=128)


@pytest.fixture(scope="module")
def run(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a study to its end; all of them on one library."""
    store, first = started(prepared, tmp_path_factory.mktemp("first"))
    Controller(store, first, Recorder()).run(NAME, prepared)

    def again(study: Prepared, folder: Path) -> tuple[MemoryStore, Home]:
        store, home = started(study, folder)
        shutil.copytree(first.cache, home.cache)
        Controller(store, home, Recorder()).run(NAME, study)
        return store, home

    return again


def extended(store: MemoryStore, home: Home, more: int) -> Prepared:
    """The study with so many candidates more, to be run."""
    study = extend(store, home, NAME, more)
    return prepare(StudyConfig.from_json(study.config_json), Recorder())


def others_first(results: Sequence[Result], target: Target, dense: DenseFacts) -> list[int]:
    """Of the finalists those that do not survive, so that they do."""
    good = survivors(results, target, dense)
    return [item.number for item in results if item.number not in good]


@pytest.mark.slow
@pytest.mark.parametrize("patience", [None, 6])
def test_more_candidates_leave_what_was_trained_and_give_the_search_the_same(
    patience: int | None, prepared: Prepared, run: Run, tmp_path: Path
) -> None:
    """As if nothing had been trained, whose trials lie between the candidates."""
    search = prepared.config.search.model_copy(update={"patience": patience})
    prepared = prepare(prepared.config.model_copy(update={"search": search}), Recorder())
    store, home = run(prepared, tmp_path / "trained")
    plain = prepare(prepared.config.model_copy(update={"finetune": None}), Recorder())
    other, other_home = run(plain, tmp_path / "plain")
    trials, results, files = store.trials(NAME), store.results(NAME), trained_files(store, home)
    for one, place in ((store, home), (other, other_home)):
        study = extended(one, place, MORE)
        assert Controller(one, place, Recorder()).run(NAME, study).state is StudyState.SUCCEEDED
    assert store.trials(NAME)[: len(trials)] == trials
    kept = {(item.number, item.rung): item for item in store.results(NAME)}
    assert all(kept[item.number, item.rung] == item for item in results if item.rung is not Rung.TIMED)
    assert {name: trained_files(store, home)[name] for name in files} == files
    searched, wanted = ([trial for trial in one.trials(NAME) if trial.is_searched] for one in (store, other))
    before = sum(1 for trial in trials if trial.is_searched)
    assert before <= len(searched) <= before + MORE
    assert (len(searched) == CANDIDATES + MORE) == (patience is None)
    assert {trial.number for trial in searched[before:]}.isdisjoint(range(1, len(trials) + 1))
    assert [trial.candidate for trial in searched] == [trial.candidate for trial in wanted]
    places = {trial.number: mine.number for trial, mine in zip(wanted, searched, strict=True)}
    for item in other.results(NAME, Rung.CONFIRMED):
        number = places.get(item.number, item.number)
        assert kept[number, Rung.CONFIRMED].measurements == item.measurements
    assert len(results_at(store, Rung.CONFIRMED)) == len(results_at(other, Rung.CONFIRMED))
    check_front(store, prepared)


def check_front(store: MemoryStore, prepared: Prepared) -> None:
    """Asserts that the front is of all files, and that what lies on it was timed."""
    analysis = store.analysis(NAME)
    assert analysis is not None
    files = [item for item in store.results(NAME) if item.rung.is_of_file]
    assert len(files) == len({item.number for item in files})
    front = judged_front(files, prepared.config.target, DenseFacts.from_json(analysis.dense_json))
    assert store.front(NAME) == front
    assert {row.number for row in front} <= results_at(store, Rung.TIMED).keys()


@pytest.mark.slow
def test_a_finalist_that_was_trained_briefly_may_be_trained_longer_later(
    prepared: Prepared, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checkpoint is gone by then; interrupted or not, it ends as if it had been trained longer at once."""
    ended = [run(prepared, tmp_path / name) for name in ("whole", "interrupted")]
    monkeypatch.setattr(searcher.stages.finetune, "survivors", others_first)
    wanted = long_files(*run(prepared, tmp_path / "at once"))
    chosen = finalists(ended[0][0])  # one candidate more may bring others
    monkeypatch.setattr(searcher.stages.finetune, "choose_finalists", lambda *given: chosen)
    for store, home in ended:
        brief = {number: trained_files(store, home)[str(number)] for number in results_at(store, Rung.TUNED)}
        before = results_at(store, Rung.TUNED), results_at(store, Rung.FINAL)
        assert checkpoints(home) == []
        study = extended(store, home, 1)
        if home.root.name == "interrupted":
            for stage in ("tuned", "final"):
                with pytest.raises(Killed):
                    Controller(store, home, Recorder(killing(stage))).run(NAME, study)
        assert Controller(store, home, Recorder()).run(NAME, study).state is StudyState.SUCCEEDED
        assert {number: trained_files(store, home)[str(number)] for number in brief} == brief
        assert before[0].items() <= results_at(store, Rung.TUNED).items()
        found = long_files(store, home)
        new = results_at(store, Rung.FINAL).keys() - before[1].keys()
        assert len(new) == FINALISTS // 2
        assert wanted == {levels: found[levels] for levels in wanted}
        assert checkpoints(home) == []
        check_front(store, prepared)


def finalists(store: MemoryStore) -> list[int]:
    """Numbers of the candidates that were trained."""
    trials = store.trials(NAME)
    brief = [trials[number - 1] for number in results_at(store, Rung.TUNED)]
    return [trial.parent or 0 for trial in brief if trial.baseline is None]


def long_files(store: MemoryStore, home: Home) -> dict[tuple[int, ...], bytes]:
    """What was trained to the end, by its levels."""
    files, trials = trained_files(store, home), store.trials(NAME)
    return {trials[number - 1].candidate.levels: files[str(number)] for number in results_at(store, Rung.FINAL)}


def killing(stage: str) -> Callable[[str], None]:
    def kill(text: str) -> None:
        if text.startswith(f"{stage} 1/"):
            raise Killed

    return kill

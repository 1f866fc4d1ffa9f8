"""The certificate at the end of a study: who is judged, in which order things are stored, and that one look is one."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from searcher.certify import MOST_OTHERS, announced, certify_study, declare, stored_report
from searcher.controller import Controller
from searcher.stages.prepare import Prepared, prepare
from storage.errors import FixInputError, UsedSplitError
from storage.home import Home
from storage.memory import MemoryStore
from storage.records.candidate import Candidate, Proposal
from storage.records.certificate import Verdict
from storage.records.config import StudyConfig
from storage.records.finetune_config import CertificateConfig
from storage.records.measurement import Result, Rung
from storage.records.study import CERTIFICATE, DECLARED, LOOKED, Event, StudyState
from storage.records.target import Target
from tests.searcher.controlled import NAME, Killed, Recorder, config, started

TEST_IMAGES = 359  # of the digits
CANDIDATES = 16


def certified(folder: Path, max_drop: float = 10.0) -> StudyConfig:
    target = Target.parse(size="3x", max_drop=max_drop)
    asked = config(folder, candidates=CANDIDATES)
    return asked.model_copy(update={"certificate": CertificateConfig(), "target": target})


@pytest.fixture(scope="module")
def prepared(workplace: Path) -> Prepared:
    return prepare(certified(workplace), Recorder())


@pytest.fixture(scope="module")
def done(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> tuple[MemoryStore, Home]:
    """A study that has come to its end, with its certificate. Tests that change it take a copy."""
    store, home = started(prepared, tmp_path_factory.mktemp("certified"))
    assert Controller(store, home, Recorder()).run(NAME, prepared).state is StudyState.SUCCEEDED
    return store, home


def kinds(store: MemoryStore) -> list[str]:
    return [event.kind for event in store.events(NAME)]


def test_everything_is_stored_in_its_order(done: tuple[MemoryStore, Home], prepared: Prepared) -> None:
    store, _ = done
    report = stored_report(store, NAME)
    assert report is not None
    assert report.looks == 1
    events = store.events(NAME)
    places = {kind: index for index, kind in enumerate(kinds(store)) if kind in (LOOKED, DECLARED, CERTIFICATE)}
    assert places[LOOKED] < places[DECLARED] < places[CERTIFICATE]
    scored = next(index for index, event in enumerate(events) if Rung.TESTED in event.text and event.kind != "stage")
    assert places[DECLARED] < scored < places[CERTIFICATE]
    tested = {item.number: item for item in store.results(NAME, Rung.TESTED)}
    assert set(tested) == {1, *(item.number for item in report.certificates)}
    assert all(item.per_image is not None for item in tested.values())
    declared = json.loads(next(event.data for event in events if event.kind == DECLARED))
    assert declared["primary"] == report.certificates[0].number
    assert {item.n for item in report.certificates} == {TEST_IMAGES}
    assert [item.primary for item in report.certificates] == [True, *[False] * (len(report.certificates) - 1)]
    assert len(report.certificates) <= 1 + MOST_OTHERS
    others = report.certificates[1:]
    assert all(item.confidence == pytest.approx(1 - 0.05 / len(others)) for item in others)
    assert report.certificates[0].confidence == pytest.approx(0.95)


def test_the_front_and_its_figures_know_nothing_of_the_test_split(done: tuple[MemoryStore, Home]) -> None:
    store, _ = done
    assert {row.rung for row in store.front(NAME)} == {Rung.CONFIRMED}
    confirmed = store.results(NAME, Rung.CONFIRMED)
    assert {item.get("accuracy").samples for item in confirmed} != {TEST_IMAGES}  # type: ignore[union-attr]


def test_the_primary_is_what_the_target_ranks_first(done: tuple[MemoryStore, Home], prepared: Prepared) -> None:
    store, _ = done
    declaration = declare(store, NAME, prepared.config)
    front = {row.number for row in store.front(NAME)}
    trials = {trial.number: trial for trial in store.trials(NAME)}
    assert declaration.primary in front
    assert all(trials[number].baseline is None for number in declaration.candidates)
    accuracy = {item.number: item.value("accuracy") for item in store.results(NAME, Rung.CONFIRMED)}
    dense = next(item for item in store.results(NAME, Rung.CONFIRMED) if item.number == 1).value("size")
    sizes = {item.number: item.value("size") for item in store.results(NAME, Rung.CONFIRMED)}
    meeting = [number for number in front if trials[number].baseline is None and 3 * sizes[number] <= dense]
    assert accuracy[declaration.primary] == max(accuracy[number] for number in meeting)


def test_trained_versions_and_the_trained_baseline_are_judged_first(
    done: tuple[MemoryStore, Home], prepared: Prepared
) -> None:
    store, _ = done
    other = MemoryStore()
    other.create_study(NAME, prepared.config.to_json())
    analysis = store.analysis(NAME)
    assert analysis is not None
    other.save_analysis(NAME, analysis)
    old = store.trials(NAME)
    other.add_trials(NAME, 1, [Proposal(trial.candidate, trial.origin, trial.baseline) for trial in old])
    results = {item.number: item for item in store.results(NAME, Rung.CONFIRMED)}
    best = declare(store, NAME, prepared.config).primary
    names = (None, "uniform at target, trained 3")
    proposals = [
        Proposal(Candidate(old[best - 1].candidate.levels, f"trained {index}"), "finetune", name, best)
        for index, name in enumerate(names)
    ]
    trained = [trial.number for trial in other.add_trials(NAME, len(old) + 1, proposals)]
    new: list[Result] = [replace(results[best], number=number, rung=Rung.FINAL) for number in trained]
    other.record_batch(NAME, [*results.values(), *new], ())
    assert set(trained) <= set(declare(other, NAME, prepared.config).candidates)


def test_the_same_again_shows_what_is_stored(done: tuple[MemoryStore, Home], prepared: Prepared) -> None:
    store, home = done
    before = store.events(NAME)
    report = certify_study(store, home, NAME, prepared.config, Recorder())
    assert report == stored_report(store, NAME)
    assert store.events(NAME) == before


class Dying(MemoryStore):
    """Dies once, before an event of a kind is written."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.deadly = [kind]  # shared with what holds a lease, which is a copy

    def add_event(self, name: str, kind: str, text: str, data: str = "{}") -> Event:
        if kind in self.deadly:
            self.deadly.remove(kind)
            raise Killed
        return super().add_event(name, kind, text, data)


@pytest.mark.parametrize("kind", [DECLARED, CERTIFICATE])
def test_whatever_ends_it_going_on_is_no_second_look(
    done: tuple[MemoryStore, Home], prepared: Prepared, tmp_path: Path, kind: str
) -> None:
    _, before = done
    store, home = Dying(kind), Home(tmp_path)
    store.create_study(NAME, prepared.config.to_json())
    shutil.copytree(before.cache, home.cache)
    with pytest.raises(Killed):
        Controller(store, home, Recorder()).run(NAME, prepared)
    recorder = Recorder()
    assert Controller(store, home, recorder).run(NAME, prepared).state is StudyState.SUCCEEDED
    report = stored_report(store, NAME)
    assert report is not None
    assert report.looks == 1
    assert kinds(store).count(LOOKED) == 1
    if kind == CERTIFICATE:  # all scores were there: nothing is run again
        assert not any(text.startswith("tested 1/") for text in recorder.seen)


def test_a_split_that_others_have_used_leaves_a_study_without(
    done: tuple[MemoryStore, Home], prepared: Prepared, tmp_path: Path
) -> None:
    first, before = done
    look = next(json.loads(event.data) for event in first.events(NAME) if event.kind == LOOKED)
    store, home = started(prepared, tmp_path)
    shutil.copytree(before.cache, home.cache)
    store.create_study("other", "{}")
    store.look("other", look["split"], TEST_IMAGES)
    recorder = Recorder()
    assert Controller(store, home, recorder).run(NAME, prepared).state is StudyState.SUCCEEDED
    assert stored_report(store, NAME) is None
    assert not store.results(NAME, Rung.TESTED)
    said = [index for index, text in enumerate(recorder.seen) if "the test split" in text]
    assert said[0] < next(index for index, text in enumerate(recorder.seen) if text.startswith("quick"))
    assert "--again" in recorder.seen[said[-1]]
    with pytest.raises(UsedSplitError):
        certify_study(store, home, NAME, prepared.config, Recorder())
    assert DECLARED not in kinds(store)
    report = certify_study(store, home, NAME, prepared.config, Recorder(), again=True)
    assert report.looks == 2
    assert report.certificates[0].verdict in set(Verdict)


def test_too_few_images_are_announced(workplace: Path) -> None:
    store = MemoryStore()
    store.create_study(NAME, "{}")
    (text,) = announced(store, NAME, certified(workplace, max_drop=0.5))
    assert str(TEST_IMAGES) in text
    assert announced(store, NAME, certified(workplace, max_drop=20.0)) == ()
    assert announced(store, NAME, certified(workplace).model_copy(update={"certificate": None})) == ()


def test_without_files_nothing_is_looked_at(prepared: Prepared, tmp_path: Path) -> None:
    store, home = started(prepared, tmp_path)
    with pytest.raises(FixInputError, match=f"slimfront resume {NAME}"):
        certify_study(store, home, NAME, prepared.config, Recorder())
    assert LOOKED not in kinds(store)


def test_the_drop_is_that_of_the_stored_scores(done: tuple[MemoryStore, Home]) -> None:
    store, _ = done
    report = stored_report(store, NAME)
    assert report is not None
    accuracy = {item.number: item.value("accuracy") for item in store.results(NAME, Rung.TESTED)}
    for item in report.certificates:
        assert item.drop == pytest.approx(accuracy[1] - accuracy[item.number])
        assert item.drop_lower <= item.drop <= item.drop_upper

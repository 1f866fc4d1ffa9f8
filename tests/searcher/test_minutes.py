"""A search that its minutes end amid a batch, resumed wherever it can be: nothing more is scored."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from searcher.controller import Controller
from searcher.front import quick_front, rows
from searcher.stages import scoring
from searcher.stages.context import Clock
from searcher.stages.latency_table import FOLDER
from searcher.stages.prepare import Prepared
from storage.home import Home
from storage.memory import MemoryStore
from storage.records.measurement import Rung
from storage.records.study import SEARCH_NOTE, FrontRow, StudyState
from tests.searcher.controlled import NAME, Killed, Recorder, started

MINUTES = 10.0
SCORED = 34  # then the minutes are over, amid the batch that ends at 48
NOTE = f"[search] minutes = 10 ended the search: {SCORED} of 48 candidates are scored"


@dataclass
class Watch:
    """A clock that stands still until it is set."""

    seconds: float = 0.0

    def see(self, text: str) -> None:
        if text == f"quick {SCORED}/0":
            self.seconds = 60 * MINUTES


@dataclass(frozen=True)
class Ending:
    """What must not depend on interruptions."""

    scored: tuple[int, ...]
    rescored: tuple[int, ...]
    confirmed: tuple[int, ...]
    front: tuple[FrontRow, ...]


def ending(store: MemoryStore) -> Ending:
    scored, rescored, confirmed = (
        tuple(item.number for item in store.results(NAME, rung)) for rung in (Rung.QUICK, Rung.RESCORED, Rung.CONFIRMED)
    )
    return Ending(scored, rescored, confirmed, store.front(NAME))


def notes(store: MemoryStore) -> list[str]:
    return [event.text for event in store.events(NAME) if event.kind == SEARCH_NOTE and "minutes" in event.text]


@pytest.fixture(scope="module")
def limited(prepared: Prepared) -> Prepared:
    search = prepared.config.search.model_copy(update={"minutes": MINUTES, "candidates": None})
    return replace(prepared, config=prepared.config.model_copy(update={"search": search}))


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    found = Watch()
    monkeypatch.setattr(scoring, "COMMIT_SECONDS", 0.0)  # the clock is looked at after every candidate
    monkeypatch.setattr(Clock, "seconds", property(lambda _: found.seconds))
    return found


@pytest.fixture(scope="module")
def undisturbed(limited: Prepared, tmp_path_factory: pytest.TempPathFactory) -> tuple[MemoryStore, Home]:
    store, home = started(limited, tmp_path_factory.mktemp("undisturbed"))
    with pytest.MonkeyPatch.context() as patch:
        watch = Watch()
        patch.setattr(scoring, "COMMIT_SECONDS", 0.0)
        patch.setattr(Clock, "seconds", property(lambda _: watch.seconds))
        assert Controller(store, home, Recorder(watch.see)).run(NAME, limited).state is StudyState.SUCCEEDED
    return store, home


def interrupted(limited: Prepared, first: Home, folder: Path, watch: Watch, at: str) -> tuple[MemoryStore, Home]:
    """The study, killed where its progress first begins with `at`."""
    store, home = started(limited, folder)
    # Latencies are never measured twice alike: what was measured first holds.
    shutil.copytree(first.cache / FOLDER, home.cache / FOLDER)

    def interrupt(text: str) -> None:
        watch.see(text)
        if text.startswith(at):
            raise Killed

    with pytest.raises(Killed):
        Controller(store, home, Recorder(interrupt)).run(NAME, limited)
    return store, home


def test_the_minutes_end_a_search_and_the_user_is_told(undisturbed: tuple[MemoryStore, Home]) -> None:
    store, _ = undisturbed
    trials = store.trials(NAME)
    searched = {trial.number for trial in trials if trial.baseline is None}
    assert len(searched) == 48
    assert len(searched & set(ending(store).scored)) == SCORED
    assert all(trial.error is None for trial in trials)
    assert notes(store) == [NOTE]


@pytest.mark.parametrize("at", [f"quick {SCORED}/0", NOTE, "rescored 5/", "confirmed 1/", "confirmed 9/", "latency 0/"])
def test_a_study_resumed_after_its_minutes_ends_as_if_it_had_not_been_interrupted(
    at: str, undisturbed: tuple[MemoryStore, Home], limited: Prepared, tmp_path: Path, watch: Watch
) -> None:
    store, home = interrupted(limited, undisturbed[1], tmp_path, watch, at)
    if not at.startswith("quick"):
        assert store.study(NAME).seconds == 60 * MINUTES  # for the clock of the next attempt
    assert Controller(store, home, Recorder()).run(NAME, limited).state is StudyState.SUCCEEDED
    assert ending(store) == ending(undisturbed[0])
    assert notes(store) == [NOTE]


def test_minutes_that_are_left_are_used(
    undisturbed: tuple[MemoryStore, Home], limited: Prepared, tmp_path: Path, watch: Watch
) -> None:
    store, home = interrupted(limited, undisturbed[1], tmp_path, watch, f"quick {SCORED - 3}/0")
    assert Controller(store, home, Recorder(watch.see)).run(NAME, limited).state is StudyState.SUCCEEDED
    assert ending(store) == ending(undisturbed[0])


def test_a_front_of_quick_scores_is_judged_again(
    undisturbed: tuple[MemoryStore, Home], limited: Prepared, tmp_path: Path, watch: Watch
) -> None:
    """Earlier versions left one where a study was resumed with nothing to confirm."""
    store, home = interrupted(limited, undisturbed[1], tmp_path, watch, "latency 0/")
    store.record_batch(NAME, (), rows(quick_front(list(store.results(NAME, Rung.QUICK)))))
    assert store.front(NAME) != ending(undisturbed[0]).front
    assert Controller(store, home, Recorder()).run(NAME, limited).state is StudyState.SUCCEEDED
    assert ending(store) == ending(undisturbed[0])


def test_minutes_that_are_over_before_the_search_allow_one_score(
    undisturbed: tuple[MemoryStore, Home], limited: Prepared, tmp_path: Path, watch: Watch
) -> None:
    store, home = interrupted(limited, undisturbed[1], tmp_path, watch, "quick 0/0")
    watch.seconds = 60 * MINUTES
    assert Controller(store, home, Recorder()).run(NAME, limited).state is StudyState.SUCCEEDED
    searched = {trial.number for trial in store.trials(NAME) if trial.baseline is None}
    assert len(searched & set(ending(store).scored)) == 1

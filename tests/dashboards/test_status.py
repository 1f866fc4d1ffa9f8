"""The status at every stage, and studies whose process is gone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dashboards.status import StatusView, status_view
from dashboards.studies import study_line
from dashboards.study import read_study
from objectives.hardware import available_cores
from slimfront.cli.status import sentence
from storage.files import file_lock
from storage.home import Home
from storage.liveness import is_held
from storage.memory import open_memory
from storage.records.candidate import Candidate, Proposal
from storage.records.study import WORKER_LOST, Step, StudyState
from storage.store import StudyStore
from tests.dashboards import samples


def view(store: StudyStore, home: Home) -> StatusView:
    return status_view(read_study(store, samples.NAME), home)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_study_that_waits(home: Home) -> None:
    assert view(samples.new_store(), home).to_dict() == {
        "study": "s",
        "state": "queued",
        "rung": "allocated",
        "candidates": 0,
        "of": 4,
        "seconds": 0.0,
        "eta_seconds": None,
        "failed": 0,
        "lost_workers": 0,
        "attempt": 0,
        "owner": None,
        "priority": None,
    }


def test_a_running_study_is_one_whose_lock_is_held(home: Home) -> None:
    store = samples.new_store()
    samples.analyse(store)
    assert view(store, home).state == "interrupted"  # nobody has ever held it
    with file_lock(home.locks / "s.lock"):
        assert is_held("s", home)
        assert view(store, home).state == "running"
    assert not is_held("s", home)
    assert view(store, home).state == "interrupted"
    assert store.study("s").state is StudyState.RUNNING  # looking changes nothing


def test_looking_makes_no_folder(home: Home) -> None:
    store = samples.new_store()
    samples.analyse(store)
    view(store, home)
    assert list(home.root.iterdir()) == []


def test_candidates_and_eta_of_the_search(home: Home) -> None:
    store = samples.new_store()
    samples.analyse(store)
    samples.search(store, evaluated=1)
    with file_lock(home.locks / "s.lock"):
        found = view(store, home)
    assert (found.rung, found.candidates, found.of) == ("quick", 1, 4)
    assert found.eta_seconds == pytest.approx(3 * 0.5)


def test_a_search_of_minutes_has_no_count(home: Home) -> None:
    store = samples.new_store(minutes=2.0)
    samples.analyse(store)
    samples.search(store, evaluated=2)
    with file_lock(home.locks / "s.lock"):
        found = view(store, home)
    assert (found.of, found.eta_seconds) == (None, 118.0)


def test_eta_of_the_confirmation(home: Home) -> None:
    store = samples.new_store()
    samples.analyse(store)
    samples.search(store)
    store.update_study("s", stage="confirmed")
    store.record("s", samples.confirmed(1, 90.0, 8000))
    with file_lock(home.locks / "s.lock"):
        found = view(store, home)
    assert found.rung == "confirmed"
    assert found.eta_seconds == pytest.approx(6 * 3.0 / available_cores())


@pytest.mark.parametrize(
    ("state", "eta"), [(StudyState.SUCCEEDED, 0.0), (StudyState.INTERRUPTED, None), (StudyState.FAILED, None)]
)
def test_a_study_at_rest(home: Home, state: StudyState, eta: float | None) -> None:
    store = samples.new_store()
    samples.analyse(store)
    samples.search(store)
    store.update_study("s", state=state)
    found = view(store, home)
    assert (found.state, found.eta_seconds) == (state.value, eta)


@pytest.mark.parametrize(
    ("stage", "rung"),
    [
        ("library", "allocated"),
        ("quick", "quick"),
        ("rescored", "rescored"),
        ("confirmed", "confirmed"),
        ("tuned", "tuned"),
        ("final", "final"),
        ("latency", "confirmed"),
        ("tested", "tested"),
        ("done", "confirmed"),
        ("a later version's", "allocated"),
    ],
)
def test_the_rung_of_each_stage(home: Home, stage: str, rung: str) -> None:
    store = samples.new_store()
    store.update_study("s", state=StudyState.RUNNING, stage=stage)
    assert view(store, home).rung == rung
    assert study_line(store.study("s"), home, store.now()).rung == rung


@pytest.mark.parametrize(
    ("tables", "latency", "done"),
    [
        ({"finetune": {}}, "final", "final"),
        ({"finetune": {"epochs": 3, "final_epochs": 3}}, "tuned", "tuned"),
        ({"finetune": {}, "certificate": {}}, "final", "tested"),
        ({"certificate": {}}, "confirmed", "tested"),
    ],
)
def test_the_last_stages_have_the_rung_of_what_came_last(
    home: Home, tables: dict[str, object], latency: str, done: str
) -> None:
    store = open_memory("memory://", 0.0)
    store.create_study("s", json.dumps({**samples.CONFIG, **tables}))
    for stage, rung in (("latency", latency), ("done", done)):
        store.update_study("s", stage=stage)
        assert view(store, home).rung == rung


@pytest.mark.parametrize("stage", ["quick", "confirmed", "tuned", "final", "latency", "tested"])
def test_how_long_training_takes_is_not_known(home: Home, stage: str) -> None:
    store = open_memory("memory://", 0.0)
    store.create_study("s", json.dumps({**samples.CONFIG, "finetune": {}}))
    samples.analyse(store)
    samples.search(store)
    samples.confirm(store)
    samples.train(store)
    store.update_study("s", stage=stage)
    with file_lock(home.locks / "s.lock"):
        found = view(store, home)
    assert (found.state, found.eta_seconds, found.candidates) == ("running", None, 4)
    assert sentence(found, store.study("s")).endswith("4 of 4 candidates scored in 3.0 s")


def test_where_no_time_is_known_the_owners_own_words_are_shown(home: Home) -> None:
    store = open_memory("memory://", 0.0)
    store.create_study("s", json.dumps({**samples.CONFIG, "finetune": {}}))
    samples.analyse(store)
    samples.search(store)
    store.update_study("s", stage="tuned")
    study = replace(store.study("s"), progress=Step("tuned", 3, 8, "candidate 8, epoch 1 of 2").to_json())
    with file_lock(home.locks / "s.lock"):
        assert sentence(view(store, home), study).endswith("; tuned 3/8: candidate 8, epoch 1 of 2")


def test_the_look_at_the_test_split_has_no_eta_either(home: Home) -> None:
    store = samples.new_store()
    samples.analyse(store)
    samples.search(store)
    store.record("s", samples.confirmed(1, 90.0, 8000))
    store.update_study("s", stage="latency")
    with file_lock(home.locks / "s.lock"):
        assert view(store, home).eta_seconds is not None
        store.update_study("s", stage="tested")
        assert view(store, home).eta_seconds is None


def test_a_line_of_the_list(home: Home) -> None:
    store = samples.new_store()
    line = study_line(store.study("s"), home, store.now())
    assert (line.study, line.state, line.target) == ("s", "queued", {"size": "8x", "max_drop": 2.0})
    assert line.created.endswith("Z")


def test_failures_and_lost_workers_are_counted(home: Home) -> None:
    store = samples.new_store()
    store.add_trials(samples.NAME, 1, [Proposal(Candidate((0, 0), samples.LIBRARY), "random")])
    store.fail_trial(samples.NAME, 1, "ValueError: no")
    store.add_event(samples.NAME, WORKER_LOST, "a worker has died")
    store.add_event(samples.NAME, "other", "something else")
    found = view(store, home)
    assert (found.candidates, found.failed, found.lost_workers) == (0, 1, 1)
    assert "1 failed, 1 workers lost and replaced" in sentence(found, store.study(samples.NAME))

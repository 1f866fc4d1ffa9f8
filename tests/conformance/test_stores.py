"""Every entry of STORES keeps the contract of StudyStore: studies, events and the analysis."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.errors import (
    FixInputError,
    NotFoundError,
    SlimfrontError,
    StoreConflictError,
    StudyExistsError,
    StudyStateError,
)
from storage.records.study import Analysis, StudyState
from storage.store import StudyStore
from tests.storage import samples

# The store outlives the examples of a test; every example takes a study of its own in it.
one_store = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
study_names = (f"study-{number}" for number in itertools.count())


def kinds(store: StudyStore, name: str) -> list[str]:
    return [event.kind for event in store.events(name)]


def is_one_line_with_remedy(error: BaseException) -> bool:
    text = str(error)
    return "\n" not in text and ("`" in text or ": " in text)


# --- studies


def test_a_new_study_is_queued_and_read_back(store: StudyStore) -> None:
    made = store.create_study("resnet20", '{"seed": 0}')
    assert store.study("resnet20") == made
    assert (made.state, made.stage, made.seconds, made.attempt, made.error) == (
        StudyState.QUEUED,
        "new",
        0.0,
        0,
        None,
    )
    assert made.config_json == '{"seed": 0}'
    assert made.created_at == made.updated_at > 1e9
    assert kinds(store, "resnet20") == ["created"]


def test_a_taken_name_is_refused_with_both_ways_out(store: StudyStore) -> None:
    first = store.create_study("a", "{}")
    with pytest.raises(StudyExistsError, match=r"`slimfront resume a`.*`slimfront delete a`.*another name"):
        store.create_study("a", '{"other": 1}')
    assert store.study("a") == first


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a\nb", "\0", "a\udc80"])
def test_an_unusable_name_is_refused(store: StudyStore, name: str) -> None:
    with pytest.raises(FixInputError, match="cannot name a study"):
        store.create_study(name, "{}")
    assert store.studies() == ()


def test_studies_are_listed_oldest_first(store: StudyStore) -> None:
    assert store.studies() == ()
    made = tuple(store.create_study(name, "{}") for name in ("b", "a", "c"))
    assert store.studies() == made


def test_a_missing_study_names_those_alike(store: StudyStore) -> None:
    with pytest.raises(NotFoundError, match="nor any other"):
        store.study("x")
    for number in range(7):
        store.create_study(f"resnet{number}", "{}")
    with pytest.raises(NotFoundError, match="did you mean resnet") as caught:
        store.study("resnte1")
    assert str(caught.value).count("resnet") == 5
    with pytest.raises(NotFoundError, match="there is resnet6, resnet5, resnet4, resnet3, resnet2;"):
        store.study("qqqq")


def test_every_method_names_a_missing_study(store: StudyStore) -> None:
    calls: list[Callable[[str], object]] = [
        store.study,
        store.delete_study,
        store.update_study,
        store.analysis,
        store.trials,
        store.results,
        store.front,
        store.events,
        lambda name: store.save_analysis(name, samples.ANALYSIS),
        lambda name: store.add_trials(name, 1, [samples.proposal(0)]),
        lambda name: store.record(name, samples.result(1)),
        lambda name: store.record_batch(name, [], []),
        lambda name: store.fail_trial(name, 1, "e"),
        lambda name: store.add_event(name, "k", "t"),
        lambda name: store.look(name, "split", 100),
    ]
    for name, call in itertools.product(["gone", "not\udc80utf-8"], calls):
        with pytest.raises(NotFoundError) as caught:
            call(name)
        assert is_one_line_with_remedy(caught.value)


def test_records_are_values(store: StudyStore, study: str) -> None:
    before = store.study(study)
    store.update_study(study, stage="quick")
    assert before.stage == "new"
    with pytest.raises(FrozenInstanceError):
        before.stage = "quick"  # type: ignore[misc]
    assert isinstance(store.trials(study), tuple)
    assert isinstance(store.studies(), tuple)


def test_delete_removes_everything_of_one_study(store: StudyStore, study: str) -> None:
    store.save_analysis(study, samples.ANALYSIS)
    store.record(study, samples.result(1), samples.front(1))
    store.create_study("other", "{}")
    store.add_trials("other", 1, [samples.proposal(7)])
    store.record("other", samples.result(1), samples.front(1))
    store.delete_study(study)
    with pytest.raises(NotFoundError):
        store.study(study)
    assert [left.name for left in store.studies()] == ["other"]
    assert len(store.results("other")) == 1
    assert store.front("other") == samples.front(1)
    store.create_study(study, "{}")
    assert store.trials(study) == ()
    assert store.results(study) == ()
    assert store.front(study) == ()
    assert store.analysis(study) is None
    assert kinds(store, study) == ["created"]


# --- update_study


def test_update_changes_only_what_is_given(store: StudyStore, study: str) -> None:
    before = store.study(study)
    after = store.update_study(study, seconds=12.5)
    assert after == replace(before, seconds=12.5, updated_at=after.updated_at)
    assert store.study(study) == after
    assert after.updated_at >= before.updated_at


def test_an_error_is_set_left_and_cleared(store: StudyStore, study: str) -> None:
    store.update_study(study, state=StudyState.FAILED, error="first\nsecond")
    assert store.study(study).error == "first second"
    assert store.update_study(study, seconds=1.0).error == "first second"
    assert store.update_study(study, state=StudyState.RUNNING, error=None).error is None


LEGAL = {
    "queued": "running interrupted cancelling cancelled failed",
    "running": "queued interrupted cancelling cancelled succeeded failed",
    "interrupted": "queued running cancelling cancelled failed",
    "cancelling": "running cancelled interrupted succeeded failed",
    "failed": "queued running",
    "cancelled": "queued running interrupted",
    "succeeded": "interrupted",
}
"""Where a study may go besides staying; written out again, as the store's own table is what is tested."""


@pytest.mark.parametrize(("old", "new"), list(itertools.product(StudyState, StudyState)))
def test_transitions_are_guarded(store: StudyStore, old: StudyState, new: StudyState) -> None:
    store.create_study("s", "{}")
    for step in path_to(old):
        store.update_study("s", state=step)
    if new == old or new.value in LEGAL[old.value].split():
        assert store.update_study("s", state=new).state == new
    else:
        before = store.study("s")
        with pytest.raises(StudyStateError, match=f"is {old} and cannot become {new}: `slimfront"):
            store.update_study("s", state=new, stage="done", seconds=9.0)
        assert store.study("s") == before


def path_to(state: StudyState) -> tuple[StudyState, ...]:
    """Legal steps from a queued study to `state`."""
    paths: dict[StudyState, tuple[StudyState, ...]] = {StudyState.QUEUED: ()}
    while state not in paths:
        for known, path in list(paths.items()):
            for step in map(StudyState, LEGAL[known.value].split()):
                paths.setdefault(step, (*path, step))
    return paths[state]


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_impossible_seconds_are_refused(store: StudyStore, study: str, seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds is"):
        store.update_study(study, seconds=seconds)


# --- events


def test_every_change_writes_its_event(store: StudyStore, study: str) -> None:
    assert kinds(store, study) == ["created", "running", "proposed"]
    steps: list[tuple[Callable[[], object], list[str]]] = [
        (lambda: store.update_study(study, seconds=2.0), []),
        (lambda: store.update_study(study, stage="library"), ["stage"]),
        (lambda: store.update_study(study, stage="library"), []),
        (lambda: store.save_analysis(study, samples.ANALYSIS), ["analysed"]),
        (lambda: store.save_analysis(study, samples.ANALYSIS), []),
        (lambda: store.add_trials(study, 4, [samples.proposal(3)]), ["proposed"]),
        (lambda: store.add_trials(study, 4, [samples.proposal(3)]), []),
        (lambda: store.record(study, samples.result(1), samples.front(1)), ["measured"]),
        (lambda: store.record(study, samples.result(1), samples.front(1)), []),
        (lambda: store.record_batch(study, [], samples.front(1)), ["front"]),
        (lambda: store.fail_trial(study, 2, "no"), ["candidate failed"]),
        (lambda: store.fail_trial(study, 2, "no"), []),
        (lambda: store.update_study(study, state=StudyState.RUNNING, attempt=2), ["running"]),
        (lambda: store.update_study(study, state=StudyState.FAILED, error="why"), ["failed"]),
        (lambda: store.add_event(study, "note", "x"), ["note"]),
    ]
    for step, expected in steps:
        last = store.events(study)[-1].number
        step()
        assert [event.kind for event in store.events(study, after=last)] == expected
    texts = {event.kind: event.text for event in store.events(study)}
    assert texts["proposed"] == "candidate 4 by allocation"
    assert texts["measured"] == "candidate 1 at quick; front of 1"
    assert texts["failed"] == "why"
    assert texts["running"] == "attempt 2"
    assert texts["candidate failed"] == "candidate 2: no"


def test_events_rise_without_gaps_and_are_read_from_a_number_on(store: StudyStore, study: str) -> None:
    made = store.add_event(study, "note", "one\ntwo\0 three\udc80")
    assert made.text == "one two three?"
    events = store.events(study)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert events[-1] == made
    assert [event.time for event in events] == sorted(event.time for event in events)
    assert store.events(study, after=made.number - 1) == (made,)
    assert store.events(study, after=made.number) == ()


def test_a_refused_change_writes_no_event(store: StudyStore, study: str) -> None:
    before = store.events(study)
    attempts: list[Callable[[], object]] = [
        lambda: store.add_trials(study, 2, [samples.proposal(9)]),
        lambda: store.add_trials(study, 9, [samples.proposal(9)]),
        lambda: store.record(study, samples.result(9)),
        lambda: store.record(study, samples.result(1), samples.front(1, 2)),
        lambda: store.update_study(study, seconds=-1.0),
    ]
    for attempt in attempts:
        with pytest.raises((SlimfrontError, ValueError)):
            attempt()
    assert store.events(study) == before


# --- analysis


def test_an_analysis_is_stored_once(store: StudyStore, study: str) -> None:
    assert store.analysis(study) is None
    store.save_analysis(study, samples.ANALYSIS)
    store.save_analysis(study, replace(samples.ANALYSIS))
    with pytest.raises(StoreConflictError, match="another model, data or machine"):
        store.save_analysis(study, replace(samples.ANALYSIS, workload="workload-2"))
    assert store.analysis(study) == samples.ANALYSIS


@one_store
@given(values=st.builds(Analysis, *[samples.texts] * 5))
def test_any_analysis_comes_back_as_it_was(store: StudyStore, values: Analysis) -> None:
    name = next(study_names)
    store.create_study(name, "{}")
    store.save_analysis(name, values)
    assert store.analysis(name) == values

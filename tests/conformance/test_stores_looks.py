"""Every entry of STORES keeps the contract of StudyStore: who has looked at which test split."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.errors import FixInputError, LeaseLostError, UsedSplitError
from storage.memory import MemoryStore
from storage.records.lease import owner_text
from storage.records.look import Look
from storage.records.measurement import Rung
from storage.records.study import LOOKED, StudyState
from storage.store import StudyStore
from tests.storage import samples

SPLIT, OTHER = "1" * 32, "2" * 32
LONG, SHORT = 60.0, 0.05  # seconds of a lease


def made(store: StudyStore, *names: str) -> None:
    for name in names:
        store.create_study(name, "{}")


def looked_events(store: StudyStore, name: str) -> list[str]:
    return [event.text for event in store.events(name) if event.kind == LOOKED]


def test_a_first_look_is_noted_with_its_event(store: StudyStore, study: str) -> None:
    assert store.looks(SPLIT) == ()
    look = store.look(study, SPLIT, 2000)
    assert look == Look(SPLIT, study, store.study(study).created_at, look.time, 2000, again=False)
    assert look.time == pytest.approx(store.now(), abs=5)
    assert store.looks(SPLIT) == (look,)
    event = store.events(study)[-1]
    assert (event.kind, event.text) == ("test split looked at", "2000 images of test split 111111111111")
    assert json.loads(event.data) == {"split": SPLIT, "images": 2000, "again": False}
    with pytest.raises(FrozenInstanceError):
        look.images = 1  # type: ignore[misc]


def test_a_study_that_is_resumed_does_not_look_twice(store: StudyStore, study: str) -> None:
    look = store.look(study, SPLIT, 2000)
    events = store.events(study)
    store.update_study(study, state=StudyState.FAILED, error="no power")
    store.update_study(study, state=StudyState.RUNNING, attempt=2)
    assert store.look(study, SPLIT, 2000) == look
    assert store.look(study, SPLIT, 9) == look
    assert store.looks(SPLIT) == (look,)
    assert looked_events(store, study) == [events[-1].text]


def test_a_used_split_is_refused_with_who_and_when_and_nothing_is_written(store: StudyStore) -> None:
    made(store, "a", "b", "c")
    first = store.look("a", SPLIT, 100)
    day = datetime.fromtimestamp(first.time, UTC).strftime("%Y-%m-%d")
    with pytest.raises(UsedSplitError) as caught:
        store.look("b", SPLIT, 100)
    assert str(caught.value) == (
        f"the test split that study b would look at was used once already, first by study a on {day} (UTC): "
        "`slimfront certify b --again` looks once more, which is recorded and shown with the certificate"
    )
    assert isinstance(caught.value, FixInputError)
    assert (store.looks(SPLIT), looked_events(store, "b")) == ((first,), [])
    store.look("b", SPLIT, 100, again=True)
    with pytest.raises(UsedSplitError, match="was used 2 times already, first by study a on"):
        store.look("c", SPLIT, 100)


def test_looking_again_is_always_one_more_look(store: StudyStore) -> None:
    made(store, "a", "b")
    first = store.look("a", SPLIT, 100, again=True)  # nobody had looked
    second = store.look("b", SPLIT, 200, again=True)
    third = store.look("b", SPLIT, 300, again=True)
    assert [look.again for look in (first, second, third)] == [False, True, True]
    assert store.looks(SPLIT) == (first, second, third)
    assert store.look("b", SPLIT, 100) == third  # its newest
    assert store.look("a", SPLIT, 100) == first  # its own, whatever others have done since
    assert store.looks(SPLIT) == (first, second, third)
    assert looked_events(store, "a") == ["100 images of test split 111111111111"]
    assert looked_events(store, "b") == [
        "200 images of test split 111111111111, which had been used before",
        "300 images of test split 111111111111, which had been used before",
    ]
    assert json.loads(store.events("b")[-1].data) == {"split": SPLIT, "images": 300, "again": True}


def test_splits_have_nothing_to_do_with_each_other(store: StudyStore) -> None:
    made(store, "a", "b")
    first, second = store.look("a", SPLIT, 100), store.look("b", OTHER, 100)
    assert (store.looks(SPLIT), store.looks(OTHER)) == ((first,), (second,))
    assert store.look("a", "3" * 32, 100).again is False


def test_looks_stay_when_their_study_goes_and_are_not_those_of_the_next_of_its_name(store: StudyStore) -> None:
    made(store, "a")
    old = store.look("a", SPLIT, 100)
    store.delete_study("a")
    assert store.looks(SPLIT) == (old,)
    made(store, "a")
    with pytest.raises(UsedSplitError, match="used once already, first by study a on"):
        store.look("a", SPLIT, 100)
    new = store.look("a", SPLIT, 100, again=True)
    assert new.created_at > old.created_at
    assert store.looks(SPLIT) == (old, new)
    assert store.look("a", SPLIT, 100) == new


@pytest.mark.parametrize("state", [StudyState.SUCCEEDED, StudyState.CANCELLED, StudyState.FAILED])
def test_a_study_that_nobody_runs_may_look(store: StudyStore, study: str, state: StudyState) -> None:
    store.update_study(study, state=state)
    before = store.study(study)
    look = store.look(study, SPLIT, 100)
    assert store.looks(SPLIT) == (look,)
    assert store.study(study) == before


def test_whoever_has_lost_the_study_does_not_look(store: StudyStore) -> None:
    made(store, "a", "b")
    old = store.under(store.claim("a", owner_text("ann:1", "7.x"), SHORT))
    time.sleep(2 * SHORT)
    new = store.under(store.claim("a", owner_text("ben:1", "7.x"), LONG))
    for again in (False, True):
        with pytest.raises(LeaseLostError, match="study a was taken over by process 7 on ben"):
            old.look("a", SPLIT, 100, again)
    assert store.looks(SPLIT) == ()
    look = new.look("a", SPLIT, 100)
    assert new.looks(SPLIT) == store.looks(SPLIT) == (look,)
    assert old.look("b", OTHER, 100).study == "b"  # the lease is of the other study


def test_extending_forgets_neither_looks_nor_what_was_found_there(store: StudyStore, study: str) -> None:
    look = store.look(study, SPLIT, 100)
    store.record_batch(study, [samples.result(1, rung) for rung in Rung])
    store.update_study(study, state=StudyState.SUCCEEDED)
    store.extend_study(study, "{}", '{"more":1}', "more", "{}")
    assert [item.rung for item in store.results(study)] == [rung for rung in Rung if rung is not Rung.TIMED]
    assert store.look(study, SPLIT, 100) == look


def test_of_studies_that_look_at_once_one_is_the_first(store: StudyStore) -> None:
    names = [f"s{number}" for number in range(6)]
    made(store, *names)
    barrier = threading.Barrier(len(names))
    refused: list[str] = []

    def look(name: str) -> None:
        barrier.wait()
        try:
            store.look(name, SPLIT, 100)
        except UsedSplitError:
            refused.append(name)

    threads = [threading.Thread(target=look, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (only,) = store.looks(SPLIT)
    assert sorted([*refused, only.study]) == names


def test_looks_are_in_the_order_of_their_times() -> None:
    times = iter([1.0, 1.0, 9.0, 9.0, 5.0, 5.0, 5.0])  # of a clock that was put back
    store = MemoryStore(clock=lambda: next(times))
    made(store, "a")
    late = store.look("a", SPLIT, 1)
    early = store.look("a", SPLIT, 2, again=True)
    assert (late.time, early.time) == (9.0, 5.0)
    assert store.looks(SPLIT) == (early, late)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(split=samples.texts, images=st.integers(0, 2**31 - 1))
def test_any_look_comes_back_as_it_was(store: StudyStore, split: str, images: int) -> None:
    name = f"study-{len(store.studies())}"
    made(store, name)
    before = store.looks(split)
    look = store.look(name, split, np.int64(images), again=True)  # type: ignore[arg-type]
    assert store.looks(split) == (*before, look)
    assert replace(look, time=0.0) == Look(split, name, store.study(name).created_at, 0.0, images, bool(before))
    assert type(store.looks(split)[-1].images) is int
    assert type(store.looks(split)[-1].again) is bool


def test_a_new_look_forgets_what_the_one_before_has_shown(store: StudyStore) -> None:
    made(store, "a")
    store.add_trials("a", 1, [samples.proposal(0)])
    store.look("a", SPLIT, 100)
    store.record("a", samples.result(1, Rung.TESTED))
    store.record("a", samples.result(1, Rung.CONFIRMED))
    store.look("a", SPLIT, 100)  # resumed
    assert [item.rung for item in store.results("a")] == [Rung.CONFIRMED, Rung.TESTED]
    store.look("a", OTHER, 100)
    assert [item.rung for item in store.results("a")] == [Rung.CONFIRMED]
    store.record("a", samples.result(1, Rung.TESTED))
    store.look("a", OTHER, 100, again=True)
    assert [item.rung for item in store.results("a")] == [Rung.CONFIRMED]

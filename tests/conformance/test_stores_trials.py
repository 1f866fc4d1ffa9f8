"""Every entry of STORES keeps the contract of StudyStore: trials, results and the front."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.errors import (
    NotFoundError,
    StoreConflictError,
)
from storage.records.candidate import Candidate, Proposal, Trial
from storage.records.measurement import Direction, Measurement, Result, Rung
from storage.records.study import FrontRow
from storage.store import StudyStore
from tests.storage import samples

# The store outlives the examples of a test; every example takes a study of its own in it.
one_store = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
study_names = (f"study-{number}" for number in itertools.count())


# --- trials


def test_trials_are_numbered_from_one_in_order(store: StudyStore, study: str) -> None:
    more = store.add_trials(study, 4, [samples.proposal(3, baseline="uniform w4"), samples.proposal(4)])
    assert [trial.number for trial in more] == [4, 5]
    assert more[0] == Trial(4, Candidate((3,), "library-1"), "allocation", "uniform w4")
    assert [trial.number for trial in store.trials(study)] == [1, 2, 3, 4, 5]
    assert store.add_trials(study, 6, []) == ()


def test_adding_again_is_without_effect_and_may_go_on(store: StudyStore, study: str) -> None:
    store.fail_trial(study, 2, "broken")
    before = store.trials(study)
    again = store.add_trials(study, 1, [samples.proposal(level) for level in (0, 1, 2)])
    assert again == before == store.trials(study)
    assert again[1].error == "broken"
    longer = store.add_trials(study, 3, [samples.proposal(level) for level in (2, 3)])
    assert [trial.number for trial in longer] == [3, 4]
    assert len(store.trials(study)) == 4


@pytest.mark.parametrize(
    "other",
    [
        samples.proposal(5),
        samples.proposal(1, origin="mutation"),
        samples.proposal(1, baseline="uniform w8"),
        samples.proposal(1, parent=1),
        Proposal(Candidate((1,), "library-2"), "allocation"),
    ],
)
def test_another_candidate_under_a_number_is_refused_whole(store: StudyStore, study: str, other: Proposal) -> None:
    before = store.trials(study)
    with pytest.raises(StoreConflictError, match="another candidate 2"):
        store.add_trials(study, 1, [samples.proposal(0), other, samples.proposal(2), samples.proposal(3)])
    assert store.trials(study) == before


@pytest.mark.parametrize("first", [0, -1, 5])
def test_numbers_leave_no_gap(store: StudyStore, study: str, first: int) -> None:
    with pytest.raises(ValueError, match="the next number is 4"):
        store.add_trials(study, first, [samples.proposal(8)])


def test_what_was_trained_further_names_its_parent(store: StudyStore, study: str) -> None:
    (tuned,) = store.add_trials(study, 4, [samples.proposal(1, parent=np.int64(2))])  # type: ignore[arg-type]
    assert tuned == Trial(4, Candidate((1,), "library-1"), "allocation", None, parent=2)
    assert store.trials(study)[3] == tuned
    assert type(store.trials(study)[3].parent) is int
    assert [trial.parent for trial in store.trials(study)] == [None, None, None, 2]
    store.fail_trial(study, 4, "diverged")
    assert store.trials(study)[3].parent == 2


def test_a_candidate_may_come_twice(store: StudyStore, study: str) -> None:
    store.add_trials(study, 4, [samples.proposal(0, origin="baseline", baseline="uniform w4")])
    trials = store.trials(study)
    assert trials[0].candidate == trials[3].candidate


def test_integers_of_numpy_are_taken(store: StudyStore, study: str) -> None:
    levels = tuple(np.array([1, 2], dtype=np.int64))
    (trial,) = store.add_trials(study, 4, [samples.proposal(*levels)])
    assert trial.candidate == Candidate((1, 2), "library-1")
    assert [type(level) for level in store.trials(study)[3].candidate.levels] == [int, int]
    number: Any = np.int64(4)
    value: Any = np.float32(0.5)
    measured = Measurement("accuracy", value, "%", Direction.MAXIMIZE, number, value, value)
    store.record(study, Result(number, Rung.QUICK, (measured,)))
    (stored,) = store.results(study)
    assert type(stored.value("accuracy")) is float
    assert stored.number == 4


def test_a_failure_is_noted_and_the_last_one_stays(store: StudyStore, study: str) -> None:
    store.fail_trial(study, 3, "ran\nout of memory")
    assert store.trials(study)[2].error == "ran out of memory"
    store.fail_trial(study, 3, "again")
    assert store.trials(study)[2].error == "again"
    assert store.trials(study)[0].error is None
    with pytest.raises(NotFoundError, match="has no candidate 4: it has 1 to 3; `slimfront front s`"):
        store.fail_trial(study, 4, "x")


@one_store
@given(proposals=st.lists(samples.proposals, max_size=6))
def test_any_trials_come_back_as_they_were(store: StudyStore, proposals: list[Proposal]) -> None:
    name = next(study_names)
    store.create_study(name, "{}")
    added = store.add_trials(name, 1, proposals)
    assert store.trials(name) == added
    assert [(trial.candidate, trial.origin, trial.baseline, trial.parent) for trial in added] == [
        (item.candidate, item.origin, item.baseline, item.parent) for item in proposals
    ]
    assert store.add_trials(name, 1, proposals) == added


# --- results and the front


def test_a_result_and_its_front_are_read_back(store: StudyStore, study: str) -> None:
    assert store.front(study) == ()
    store.record(study, samples.result(2), samples.front(2))
    store.record(study, samples.result(1), samples.front(2, 1))
    store.record(study, samples.result(2, Rung.CONFIRMED))
    assert store.front(study) == samples.front(2, 1)
    assert store.results(study) == (
        samples.result(1),
        samples.result(2),
        samples.result(2, Rung.CONFIRMED),
    )
    assert store.results(study, Rung.CONFIRMED) == (samples.result(2, Rung.CONFIRMED),)
    assert store.results(study, Rung.FINAL) == ()


def test_rungs_are_in_rising_order_whatever_the_order_of_recording(store: StudyStore, study: str) -> None:
    for rung in reversed(Rung):
        store.record(study, samples.result(1, rung))
    assert [result.rung for result in store.results(study)] == list(Rung)


def test_recording_again_keeps_the_first_result_and_the_newest_front(store: StudyStore, study: str) -> None:
    store.record(study, samples.result(1, accuracy=80.0), samples.front(1))
    store.record(study, samples.result(2, accuracy=81.0), samples.front(2, 1))
    store.record(study, samples.result(1, accuracy=99.0), samples.front(1))
    assert store.results(study)[0].value("accuracy") == 80.0
    assert store.front(study) == samples.front(2, 1)


def test_a_batch_is_one_change(store: StudyStore, study: str) -> None:
    store.record(study, samples.result(1, accuracy=80.0))
    batch = [samples.result(number, accuracy=85.0) for number in (1, 2, 3, 3)]
    store.record_batch(study, batch, samples.front(3, 2))
    assert [result.value("accuracy") for result in store.results(study)] == [80.0, 85.0, 85.0]
    assert store.front(study) == samples.front(3, 2)
    assert store.events(study)[-1].text == "candidates 2 to 3 at quick; front of 2"


def test_the_time_spent_is_part_of_the_change(store: StudyStore, study: str) -> None:
    events = len(store.events(study))
    store.record_batch(study, [samples.result(1)], samples.front(1), 12.5)
    assert store.study(study).seconds == 12.5
    assert len(store.events(study)) == events + 1
    store.record(study, samples.result(2), seconds=14.0)
    assert store.study(study).seconds == 14.0
    store.record(study, samples.result(2), seconds=99.0)  # nothing new
    assert store.study(study).seconds == 14.0
    before = store.study(study)
    with pytest.raises(ValueError, match="seconds is"):
        store.record_batch(study, [samples.result(3)], samples.front(2), float("nan"))
    assert (len(store.results(study)), store.front(study)) == (2, samples.front(1))
    store.record(study, samples.result(3))
    assert store.study(study) == before
    store.record_batch(study, [], None, 20.0)
    after = store.study(study)
    assert after == replace(before, seconds=20.0, updated_at=after.updated_at)


def test_a_front_can_be_set_alone_and_emptied(store: StudyStore, study: str) -> None:
    store.record(study, samples.result(1))
    store.record_batch(study, [], samples.front(1))
    assert store.front(study) == samples.front(1)
    store.record_batch(study, [])
    assert store.front(study) == samples.front(1)
    store.record_batch(study, [], [])
    assert store.front(study) == ()


def test_a_front_is_read_by_position(store: StudyStore, study: str) -> None:
    rows = samples.front(1, 2, 3)
    store.record_batch(study, [samples.result(number) for number in (1, 2, 3)], rows[::-1])
    assert store.front(study) == rows


@pytest.mark.parametrize(
    ("front", "reason"),
    [
        ((FrontRow(1, 1, "quick"),), "from 0 without gaps"),
        ((FrontRow(0, 1, "quick"), FrontRow(0, 2, "quick")), "from 0 without gaps"),
        ((FrontRow(0, 1, "quick"), FrontRow(1, 1, "quick")), "once"),
        (samples.front(1, 3), "candidate 3 is in the front"),
        (samples.front(1, rung=Rung.CONFIRMED), "at rung confirmed but has no result there"),
        (samples.front(8), "candidate 8 is in the front"),
    ],
)
def test_an_impossible_front_is_refused_with_its_results(
    store: StudyStore, study: str, front: tuple[FrontRow, ...], reason: str
) -> None:
    store.record(study, samples.result(1), samples.front(1))
    with pytest.raises(ValueError, match=reason):
        store.record(study, samples.result(2), front)
    assert store.results(study) == (samples.result(1),)
    assert store.front(study) == samples.front(1)


def test_results_of_unknown_trials_are_refused_whole(store: StudyStore, study: str) -> None:
    with pytest.raises(NotFoundError, match="no candidate 4"):
        store.record_batch(study, [samples.result(1), samples.result(4)], samples.front(1))
    assert store.results(study) == ()


def test_ambiguous_or_undefined_measurements_are_refused(store: StudyStore, study: str) -> None:
    size = Measurement("size", 1.0, "bytes", Direction.MINIMIZE)
    with pytest.raises(ValueError, match="measures something twice"):
        store.record(study, Result(1, Rung.QUICK, (size, replace(size, value=2.0))))
    with pytest.raises(ValueError, match="interval of size"):
        store.record(study, Result(1, Rung.QUICK, (replace(size, high=float("nan")),)))
    assert store.results(study) == ()


@one_store
@given(values=samples.results(count=3))
def test_any_results_come_back_as_they_were(store: StudyStore, values: list[Result]) -> None:
    name = next(study_names)
    store.create_study(name, "{}")
    store.add_trials(name, 1, [samples.proposal(level) for level in (0, 1, 2)])
    rows = tuple(
        FrontRow(position, number, rung.value)
        for position, (number, rung) in enumerate({result.number: result.rung for result in values}.items())
    )
    store.record_batch(name, values, rows)
    expected = tuple(sorted(values, key=lambda result: (result.number, result.rung.order)))
    assert store.results(name) == expected
    assert store.front(name) == rows
    for rung in Rung:
        assert store.results(name, rung) == tuple(result for result in expected if result.rung == rung)


def test_timings_come_back_in_their_order_with_rows_by_trial(store: StudyStore) -> None:
    store.create_study("s", "{}")
    store.add_trials("s", 1, [samples.proposal(0), samples.proposal(1)])
    assert store.timings("s") == ()
    store.add_timing("s", samples.TIMING)
    other = replace(samples.SURE, runtime="openvino")
    store.add_timing("s", other)
    ordered = replace(samples.TIMING, rows=tuple(sorted(samples.TIMING.rows, key=lambda row: row.number)))
    assert store.timings("s") == (ordered, other)
    assert [event.kind for event in store.events("s")][-2:] == ["measured", "measured"]


def test_a_timing_of_an_unknown_trial_or_without_rows_is_refused_and_leaves_nothing(store: StudyStore) -> None:
    store.create_study("s", "{}")
    store.add_trials("s", 1, [samples.proposal(0)])
    with pytest.raises(NotFoundError, match="no candidate 2"):
        store.add_timing("s", samples.TIMING)
    for rows in ((), (samples.TIMING.rows[1],) * 2):
        with pytest.raises(ValueError, match="one row for each trial"):
            store.add_timing("s", replace(samples.TIMING, rows=rows))
    assert store.timings("s") == ()

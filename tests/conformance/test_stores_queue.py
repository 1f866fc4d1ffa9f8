"""Every entry of STORES keeps the contract of StudyQueue: the queue, leases, and who may write."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from storage.errors import (
    FixInputError,
    LeaseLostError,
    StoreConflictError,
    StoreLockedError,
    StudyExistsError,
    StudyStateError,
)
from storage.leases import MOST_DEATHS, refusals
from storage.records.lease import Lease, Submission, new_process, owner_text
from storage.records.measurement import Rung
from storage.records.study import EXTENDED, StudyState
from storage.store import StudyStore
from tests.storage import samples

ANN, BEN = (owner_text(f"{name}:1", "7.x") for name in ("ann", "ben"))
LONG, SHORT = 60.0, 0.05  # seconds of a lease
MOMENT = 0.1  # after which a short one has run out


def submission(
    priority: int = 0, key: str | None = None, runs_code: bool = False, workload: str = "w", content: str = "c"
) -> Submission:
    return Submission(workload, runs_code, content, priority, key)


def submit(store: StudyStore, name: str, **options: object) -> None:
    store.create_study(name, "{}", submission(**options))  # type: ignore[arg-type]


def taken(store: StudyStore, trusts_code: bool = False, place: str = "ann:1", seconds: float = LONG) -> str | None:
    """The name of the study that a new owner gets."""
    lease = store.claim_next(owner_text(place, new_process()), seconds, trusts_code)
    return None if lease is None else lease.study


# --- the queue


def test_the_store_has_a_clock(store: StudyStore) -> None:
    first = store.now()
    assert first == pytest.approx(time.time(), abs=5)
    assert store.now() >= first


def test_studies_are_claimed_by_priority_and_then_in_turn(store: StudyStore) -> None:
    for name, priority in (("a", 0), ("b", 1), ("c", 0), ("d", -1), ("e", 1)):
        submit(store, name, priority=priority)
    assert [taken(store) for _ in range(6)] == ["b", "e", "a", "c", "d", None]


def test_what_is_claimed_is_running_and_says_by_whom(store: StudyStore) -> None:
    submit(store, "a", priority=3, key="k", runs_code=True)
    queued = store.study("a")
    assert (queued.priority, queued.idempotency_key, queued.runs_code, queued.workload) == (3, "k", True, "w")
    assert queued.queued_at == queued.created_at
    lease = store.claim_next(ANN, LONG, True)
    assert lease == Lease("a", ANN, 1, LONG)
    study, now = store.study("a"), store.now()
    assert (study.state, study.owner, study.attempt) == (StudyState.RUNNING, ANN, 1)
    assert study.lease_until == pytest.approx(now + LONG, abs=5)
    assert study.is_leased(now)
    event = store.events("a")[-1]
    assert (event.kind, json.loads(event.data)) == ("running", {"state": "running", "attempt": 1, "owner": ANN})


def test_a_study_that_was_not_submitted_is_its_makers(store: StudyStore) -> None:
    store.create_study("a", "{}")
    assert store.study("a").queued_at is None
    assert taken(store) is None


def test_studies_with_code_are_left_to_those_who_trust_it(store: StudyStore) -> None:
    submit(store, "code", runs_code=True, priority=9)
    submit(store, "plain")
    assert [taken(store), taken(store), taken(store, trusts_code=True)] == ["plain", None, "code"]


def test_studies_that_are_named_are_left_to_others(store: StudyStore) -> None:
    submit(store, "a", priority=9)
    submit(store, "b")
    lease = store.claim_next(ANN, LONG, False, without={"a", "gone"})
    assert lease is not None
    assert lease.study == "b"
    assert store.claim_next(BEN, LONG, False, without={"a"}) is None
    assert taken(store) == "a"


def test_a_study_that_is_given_back_says_why_to_programs(store: StudyStore) -> None:
    submit(store, "a")
    lease = store.claim_next(ANN, LONG, False)
    assert lease is not None
    store.under(lease).update_study("a", state=StudyState.QUEUED, error="no Ray")
    event = store.events("a")[-1]
    assert (event.text, json.loads(event.data)["error"]) == ("no Ray", "no Ray")
    assert refusals(store.events("a")) == 1


def test_a_lease_that_runs_out_is_taken_over_and_the_old_owner_writes_nothing_more(store: StudyStore) -> None:
    submit(store, "a")
    old = store.claim_next(ANN, SHORT, False)
    assert old is not None
    before = store.under(old)
    before.add_trials("a", 1, [samples.proposal(1)])
    time.sleep(MOMENT)
    new = store.claim_next(BEN, LONG, False)
    assert new == Lease("a", BEN, 2, LONG)
    writes: list[Callable[[], object]] = [
        lambda: before.add_trials("a", 2, [samples.proposal(2)]),
        lambda: before.record("a", samples.result(1)),
        lambda: before.fail_trial("a", 1, "odd"),
        lambda: before.update_study("a", stage="quick"),
        lambda: before.update_study("a", state=StudyState.FAILED, error="odd"),
        lambda: before.save_analysis("a", samples.ANALYSIS),
        lambda: before.add_timing("a", samples.SURE),
        lambda: before.add_event("a", "note", "odd"),
        lambda: store.renew(old, ""),
    ]
    events = store.events("a")
    for write in writes:
        with pytest.raises(LeaseLostError, match="study a was taken over by process 7 on ben"):
            write()
    assert store.events("a") == events
    after = store.under(new)
    after.record("a", samples.result(1))
    after.update_study("a", state=StudyState.SUCCEEDED)
    with pytest.raises(LeaseLostError):
        after.update_study("a", stage="late")  # with its end the lease is given back


def test_a_view_may_write_other_studies(store: StudyStore) -> None:
    submit(store, "a")
    store.create_study("b", "{}")
    lease = store.claim_next(ANN, LONG, False)
    assert lease is not None
    store.under(lease).add_event("b", "note", "fine")


def test_a_lease_is_renewed_also_late_where_nobody_has_come(store: StudyStore) -> None:
    submit(store, "a")
    lease = store.claim_next(ANN, SHORT, False)
    assert lease is not None
    time.sleep(MOMENT)
    assert not store.study("a").is_leased(store.now())
    assert store.renew(Lease(lease.study, lease.owner, lease.attempt, LONG), "quick 3/9") is StudyState.RUNNING
    study = store.study("a")
    assert study.is_leased(store.now())
    assert study.progress == "quick 3/9"
    assert taken(store, place="ben:1") is None


def test_a_study_is_claimed_by_name_unless_somebody_runs_it(store: StudyStore) -> None:
    store.create_study("a", "{}")
    lease = store.claim("a", ANN, LONG)
    with pytest.raises(StoreLockedError, match=r"run by process 7 on ann.*free in \d+ s"):
        store.claim("a", BEN, LONG)
    store.renew(replace(lease, seconds=0.0), "")  # by somebody who knows that it is dead
    assert store.claim("a", BEN, LONG).attempt == 2


def test_a_store_that_may_be_written_says_nothing(store: StudyStore) -> None:
    submit(store, "a")
    before = store.study("a")
    store.check_writable()
    assert store.study("a") == before


@pytest.mark.parametrize("state", [StudyState.CANCELLED, StudyState.FAILED, StudyState.INTERRUPTED])
def test_what_has_stopped_can_be_claimed_again(store: StudyStore, state: StudyState) -> None:
    store.create_study("a", "{}")
    lease = store.claim("a", ANN, LONG)
    store.under(lease).update_study("a", state=state, error="odd")
    assert store.claim("a", BEN, LONG).attempt == 2
    assert store.study("a").error is None


def test_what_has_succeeded_cannot(store: StudyStore) -> None:
    store.create_study("a", "{}")
    store.under(store.claim("a", ANN, LONG)).update_study("a", state=StudyState.SUCCEEDED)
    with pytest.raises(StudyStateError, match="`slimfront front a`"):
        store.claim("a", BEN, LONG)


def test_a_claim_that_was_not_acknowledged_is_the_same_again(store: StudyStore) -> None:
    for name in ("a", "b"):
        submit(store, name)
    lease = store.claim_next(ANN, LONG, False)
    assert lease is not None
    assert store.claim_next(ANN, LONG, False) == lease
    assert store.claim(lease.study, ANN, LONG) == lease
    assert store.study("b").state is StudyState.QUEUED


def test_a_submitted_study_is_queued_again_unless_somebody_runs_it(store: StudyStore) -> None:
    submit(store, "a")
    lease = store.claim_next(ANN, LONG, False)
    assert lease is not None
    with pytest.raises(StoreLockedError, match="run by process 7 on ann"):
        store.requeue("a")
    store.cancel("a")
    store.renew(replace(lease, seconds=0.0), "")  # its owner has died meanwhile
    assert store.requeue("a").state is StudyState.QUEUED
    assert taken(store) == "a"
    store.update_study("a", state=StudyState.SUCCEEDED)
    with pytest.raises(StudyStateError, match="`slimfront front a`"):
        store.requeue("a")
    store.create_study("own", "{}")
    with pytest.raises(FixInputError, match="was not submitted"):
        store.requeue("own")


def test_a_store_is_known_by_its_identity(store: StudyStore) -> None:
    assert store.identity() == store.identity()
    assert len(store.identity()) >= 32


def test_threads_claim_each_study_once(store: StudyStore) -> None:
    names = [f"s{number}" for number in range(24)]
    for name in names:
        submit(store, name)
    found: list[str] = []

    def work(number: int) -> None:
        while (name := taken(store, place=f"place-{number}")) is not None:
            found.append(name)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(names)


def test_a_study_of_which_processes_die_again_and_again_fails(store: StudyStore) -> None:
    submit(store, "a")
    for _ in range(MOST_DEATHS - 1):
        assert taken(store, seconds=SHORT) == "a"
        time.sleep(MOMENT)
    lease = store.claim_next(ANN, SHORT, False)
    assert lease is not None
    store.under(lease).add_trials("a", 1, [samples.proposal(1)])  # it gets on: they count anew
    time.sleep(MOMENT)
    for _ in range(MOST_DEATHS - 1):
        assert taken(store, seconds=SHORT) == "a"
        time.sleep(MOMENT)
    assert taken(store, seconds=SHORT) == "a"
    time.sleep(MOMENT)
    assert taken(store) is None
    study = store.study("a")
    assert study.state is StudyState.FAILED
    assert f"{MOST_DEATHS} processes have died of it" in (study.error or "")
    assert "`slimfront resume a`" in (study.error or "")
    store.claim("a", ANN, LONG)  # by hand it may be tried again


# --- keys


def test_a_key_makes_two_submissions_one(store: StudyStore) -> None:
    first = store.create_study("a", "{}", submission(key="k"))
    assert store.create_study("a", '{"files":"elsewhere"}', submission(key="k")) == first
    assert len(store.studies()) == 1
    with pytest.raises(FixInputError, match="key k was given to study a, which has another content"):
        store.create_study("a", "{}", submission(key="k", content="other"))
    with pytest.raises(FixInputError, match="which has another name"):
        store.create_study("b", "{}", submission(key="k"))
    with pytest.raises(FixInputError, match="which has another data"):
        store.create_study("a", "{}", submission(key="k", workload="other"))
    with pytest.raises(StudyExistsError):
        store.create_study("a", "{}", submission(key="another"))
    store.create_study("b", "{}", submission())
    store.create_study("c", "{}", submission())  # no key is not a key
    assert len(store.studies()) == 3


# --- cancelling


def test_cancelling_asks_whoever_runs_it(store: StudyStore) -> None:
    submit(store, "a")
    lease = store.claim_next(ANN, LONG, False)
    assert lease is not None
    assert store.cancel("a").state is StudyState.CANCELLING
    assert store.cancel("a").state is StudyState.CANCELLING  # again is the same
    assert store.renew(lease, "") is StudyState.CANCELLING
    store.under(lease).update_study("a", state=StudyState.CANCELLED)
    assert store.study("a").owner is None
    with pytest.raises(StudyStateError, match="nothing to cancel"):
        store.cancel("a")


def test_what_nobody_runs_is_cancelled_at_once(store: StudyStore) -> None:
    submit(store, "queued")
    assert store.cancel("queued").state is StudyState.CANCELLED
    submit(store, "dead")
    assert taken(store, seconds=SHORT) == "dead"
    time.sleep(MOMENT)
    assert store.cancel("dead").state is StudyState.CANCELLED
    assert taken(store) is None


def test_a_study_whose_owner_dies_while_cancelling_is_cancelled_by_the_next_who_looks(store: StudyStore) -> None:
    submit(store, "a")
    assert taken(store, seconds=SHORT) == "a"
    assert store.cancel("a").state is StudyState.CANCELLING
    time.sleep(MOMENT)
    assert taken(store) is None
    assert store.study("a").state is StudyState.CANCELLED


@pytest.mark.parametrize("state", [StudyState.FAILED, StudyState.SUCCEEDED])
def test_what_is_over_cannot_be_cancelled(store: StudyStore, state: StudyState) -> None:
    store.create_study("a", "{}")
    store.under(store.claim("a", ANN, LONG)).update_study("a", state=state)
    with pytest.raises(StudyStateError, match="nothing to cancel"):
        store.cancel("a")


# --- extending and deleting


def test_extending_asks_for_more_and_forgets_speeds_alone(store: StudyStore) -> None:
    store.create_study("a", "{}")
    mine = store.under(store.claim("a", ANN, LONG))
    mine.add_trials("a", 1, [samples.proposal(1)])
    mine.record_batch("a", [samples.result(1, rung) for rung in (Rung.QUICK, Rung.CONFIRMED, Rung.TIMED)])
    with pytest.raises(StoreLockedError, match="run by process 7 on ann"):
        store.extend_study("a", "{}", '{"more":1}', "more", "{}")
    mine.update_study("a", state=StudyState.SUCCEEDED)
    study = store.extend_study("a", "{}", '{"more":1}', "now 9 candidates", '{"candidates":5}')
    assert study == store.study("a")
    assert (study.state, study.config_json) == (StudyState.INTERRUPTED, '{"more":1}')
    assert [item.rung for item in store.results("a")] == [Rung.QUICK, Rung.CONFIRMED]
    with pytest.raises(StoreConflictError, match="changed by somebody else"):
        store.extend_study("a", "{}", '{"more":2}', "more", "{}")
    event = next(item for item in store.events("a") if item.kind == EXTENDED)
    assert (event.text, event.data) == ("now 9 candidates", '{"candidates":5}')


def test_a_study_is_deleted_only_where_nobody_else_runs_it(store: StudyStore) -> None:
    store.create_study("a", "{}")
    lease = store.claim("a", ANN, LONG)
    with pytest.raises(StoreLockedError, match="run by process 7 on ann"):
        store.delete_study("a")
    store.renew(replace(lease, seconds=0.0), "")
    store.delete_study("a")
    assert store.studies() == ()

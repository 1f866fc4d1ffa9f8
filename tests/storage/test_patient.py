"""A connection that is lost is tried again, and then there is an end of it."""

from __future__ import annotations

import threading
import time

import pytest

from storage import patient as module
from storage.errors import LeaseLostError, StoreConflictError, StoreLostError
from storage.memory import MemoryStore
from storage.open import open_store
from storage.patient import patient
from storage.records.lease import owner_text
from storage.records.study import Study
from tests.storage import samples
from tests.storage.postgres import Server

CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'slimfront'"
TRIALS = 150


class Flaky(MemoryStore):
    """Loses its connection so many times, after the fact."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.calls = 0

    def study(self, name: str) -> Study:
        """See StudyStore."""
        self.calls += 1
        found = super().study(name)
        if self.calls <= self.times:
            raise StoreLostError("the server is away: start it")
        return found


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)


def test_a_call_is_made_again_and_the_user_told_once() -> None:
    store, said = Flaky(3), list[str]()
    store.create_study("s", "{}")
    assert patient(store, said.append).study("s").name == "s"
    assert store.calls == 4
    assert said == ["the server is away: start it; trying for 60 s"]


def test_it_ends_with_what_was_wrong() -> None:
    store = Flaky(10**6)
    store.create_study("s", "{}")
    started = time.monotonic()
    with pytest.raises(StoreLostError, match="the server is away"):
        patient(store, lambda _: None, seconds=0.2).study("s")
    assert time.monotonic() - started < 5
    assert store.calls > 2


def test_other_errors_are_not_tried_again() -> None:
    store = MemoryStore()
    store.create_study("s", "{}")
    store.add_trials("s", 1, [samples.proposal(1)])
    with pytest.raises(StoreConflictError):
        patient(store, lambda _: None).add_trials("s", 1, [samples.proposal(2)])


def test_it_is_as_patient_under_a_lease() -> None:
    store, said = Flaky(2), list[str]()
    store.create_study("s", "{}")
    lease = store.claim("s", owner_text("a:1", "1.a"), 60.0)
    mine = patient(store, said.append).under(lease)
    assert mine.study("s").attempt == 1
    assert len(said) == 1
    store.update_study("s", attempt=2)
    with pytest.raises(LeaseLostError):
        mine.add_event("s", "note", "late")


def test_nothing_is_lost_or_written_twice_while_the_server_cuts_connections(postgres: Server) -> None:
    url = postgres.prepared()
    store = open_store(url)
    store.create_study("s", "{}")
    over = threading.Event()

    def cut() -> None:
        while not over.wait(0.02):
            postgres.execute(CUT)

    cutter = threading.Thread(target=cut)
    cutter.start()
    said: list[str] = []
    try:
        writer = patient(store, said.append)
        for number in range(1, TRIALS + 1):
            writer.add_trials("s", number, [samples.proposal(number)])
            writer.record("s", samples.result(number))
    finally:
        over.set()
        cutter.join()
    assert said  # it was cut
    assert [trial.number for trial in store.trials("s")] == list(range(1, TRIALS + 1))
    assert [item.number for item in store.results("s")] == list(range(1, TRIALS + 1))
    store.close()

"""The loop over a real database, with processes that do what studies' processes may do."""

from __future__ import annotations

import json
import logging
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from searcher.service import worker as module
from searcher.service.order import Order
from searcher.service.worker import Terms, Worker
from storage.errors import FixInputError
from storage.home import Home
from storage.leases import MOST_DEATHS
from storage.open import open_store
from storage.records.lease import Lease, Submission, owner_text
from storage.records.study import PROCESS_DIED, StudyState
from storage.store import StudyStore

LONG = 60.0  # seconds of a lease that does not run out here

# Each reads its order as `slimfront claimed` does, and says that it is there.
HEAD = """
import os, signal, sys, time
from searcher.service.order import Order
from storage.open import open_store
from storage.records.study import StudyState
order = Order.from_line(sys.stdin.readline())
lease = order.lease
store = open_store(os.environ["SLIMFRONT_TEST_URL"]).under(order.lease)
print("at work", file=sys.stderr, flush=True)
"""
PROGRAMS = {
    "ends well": "store.update_study(lease.study, state=StudyState.SUCCEEDED)",
    "dies": "os.kill(os.getpid(), signal.SIGKILL)",
    "is deaf": "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)",
    "is refused": "print('error: the disk is odd', file=sys.stderr, flush=True); sys.exit(1)",
    "finds no workers": "store.update_study(lease.study, state=StudyState.QUEUED, error='no Ray'); sys.exit(1)",
    "has bad terms": "print('error: say --workers', file=sys.stderr, flush=True); sys.exit(2)",
    "is slow": "time.sleep(1.0); assert store.renew(lease, '') is StudyState.RUNNING\n"
    "store.update_study(lease.study, state=StudyState.SUCCEEDED)",
    "leaves somebody": "import subprocess; subprocess.Popen(['sleep', '30'], start_new_session=True)\n"
    "store.update_study(lease.study, state=StudyState.SUCCEEDED)",
    "gives back": """
def stop(*_):
    store.update_study(lease.study, state=StudyState.QUEUED)
    os._exit(130)
signal.signal(signal.SIGTERM, stop)
print("ready", file=sys.stderr, flush=True)
while True: time.sleep(1)
""",
}


class Log:
    """What the loop says, to be waited for."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.levels: list[int] = []
        self._changed = threading.Condition()

    def __call__(self, study: str, text: str, level: int = logging.INFO) -> None:
        with self._changed:
            self.lines.append(f"{study}: {text}")
            self.levels.append(level)
            self._changed.notify_all()

    def wait_for(self, text: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: any(text in line for line in self.lines), timeout=60), self.lines


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    made = Home(tmp_path / "home")
    made.prepare()
    monkeypatch.setenv("SLIMFRONT_TEST_URL", made.database_url)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    monkeypatch.setattr(module, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    return made


@pytest.fixture
def store(home: Home) -> Iterator[StudyStore]:
    opened = open_store(home.database_url)
    yield opened
    opened.close()


def submit(store: StudyStore, name: str = "s", runs_code: bool = False) -> None:
    store.create_study(name, "{}", Submission("w", runs_code))


def loop(
    store: StudyStore, home: Home, program: str, log: Log, trusts_code: bool = False, lease_seconds: float = LONG
) -> Worker:
    command = (sys.executable, "-c", HEAD + PROGRAMS[program])
    terms = Terms(command, trusts_code=trusts_code, lease_seconds=lease_seconds, until_empty=True)
    return Worker(store, home, terms, log)


@contextmanager
def in_thread(worker: Worker) -> Iterator[threading.Thread]:
    """A block beside which the loop works; it has ended when the block is over."""
    thread = threading.Thread(target=worker.run)
    thread.start()
    yield thread
    thread.join(60)
    assert not thread.is_alive()


def test_an_order_reads_back() -> None:
    order = Order(Lease("s", "a#1.b", 2, 30.0), "postgresql://x/y", True, 2, False, "host:1", 0.5)
    line = order.to_line()
    assert line.count("\n") == 1
    assert Order.from_line(line) == order


def test_all_that_is_queued_is_run(store: StudyStore, home: Home) -> None:
    for name in ("a", "b"):
        submit(store, name)
    submit(store, "code", runs_code=True)
    store.create_study("own", "{}")
    log = Log()
    loop(store, home, "ends well", log).run()
    states = {study.name: study.state for study in store.studies()}
    done, waiting = StudyState.SUCCEEDED, StudyState.QUEUED
    assert states == {"a": done, "b": done, "code": waiting, "own": waiting}
    assert "a: claimed, attempt 1" in log.lines
    assert "a: at work" in log.lines
    assert "a: succeeded, its process ended with code 0" in log.lines
    loop(store, home, "ends well", log, trusts_code=True).run()
    assert store.study("code").state is done


def test_a_process_that_dies_frees_its_study_at_once_until_it_is_at_fault(store: StudyStore, home: Home) -> None:
    submit(store)
    log = Log()
    started = time.monotonic()
    loop(store, home, "dies", log).run()
    assert time.monotonic() - started < LONG  # no lease had to run out
    study = store.study("s")
    assert (study.state, study.attempt) == (StudyState.FAILED, MOST_DEATHS)
    levels = {level for line, level in zip(log.lines, log.levels, strict=True) if "has died with code -9" in line}
    assert levels == {logging.WARNING}
    died = [json.loads(event.data)["code"] for event in store.events("s") if event.kind == PROCESS_DIED]
    assert died == [-signal.SIGKILL] * MOST_DEATHS


def test_what_a_loop_has_left_that_was_killed_is_free_for_the_next_of_its_home(store: StudyStore, home: Home) -> None:
    submit(store)
    gone = owner_text(home.place, "4194305.a")  # beyond the largest number of a process
    assert store.claim_next(gone, LONG, False) is not None
    loop(store, home, "ends well", Log()).run()
    assert (store.study("s").state, store.study("s").attempt) == (StudyState.SUCCEEDED, 2)


def test_what_another_loop_runs_is_left(store: StudyStore, home: Home) -> None:
    submit(store)
    living = owner_text(home.place, f"{os.getppid()}.a")  # it has not come to lock the study yet
    assert store.claim_next(living, LONG, False) is not None
    loop(store, home, "ends well", Log()).run()
    assert (store.study("s").state, store.study("s").attempt) == (StudyState.RUNNING, 1)


def test_a_study_is_cancelled_although_its_process_is_deaf(
    store: StudyStore, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CANCEL_SECONDS", 0.2)
    submit(store)
    log = Log()
    with in_thread(loop(store, home, "is deaf", log)):
        log.wait_for("at work")
        assert store.cancel("s").state is StudyState.CANCELLING
    assert store.study("s").state is StudyState.CANCELLED
    assert any("cancelled" in line and "code -9" in line for line in log.lines)


def test_a_process_whose_study_is_taken_or_deleted_is_ended(
    store: StudyStore, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CANCEL_SECONDS", 0.2)
    submit(store)
    log = Log()
    with in_thread(loop(store, home, "is deaf", log)):
        log.wait_for("at work")
        study = store.study("s")
        assert study.owner is not None
        store.renew(Lease("s", study.owner, study.attempt, 0.0), "")
        store.claim("s", owner_text("elsewhere:1", "1.a"), LONG)
    assert any("taken over" in line for line in log.lines)
    assert store.study("s").state is StudyState.RUNNING


def test_a_loop_that_is_stopped_gives_its_study_back(store: StudyStore, home: Home) -> None:
    submit(store)
    log = Log()
    worker = loop(store, home, "gives back", log)
    with in_thread(worker):
        log.wait_for("ready")
        worker.stop()
    assert store.study("s").state is StudyState.QUEUED
    assert any("queued" in line and "code 130" in line for line in log.lines)


def test_terms_on_which_nothing_runs_end_the_loop_and_fail_no_study(store: StudyStore, home: Home) -> None:
    submit(store)
    with pytest.raises(FixInputError, match="study s cannot be run here: say --workers"):
        loop(store, home, "has bad terms", Log()).run()
    study = store.study("s")
    assert (study.state, study.error, study.owner) == (StudyState.QUEUED, "say --workers", None)


def test_a_process_that_could_not_begin_gives_its_study_back_as_often_as_it_takes(
    store: StudyStore, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SICK_SECONDS", 0.01)
    submit(store)
    log = Log()
    worker = loop(store, home, "is refused", log)
    with in_thread(worker):
        log.wait_for(f"attempt {MOST_DEATHS + 2}")
        worker.stop()
    assert store.study("s").state is StudyState.QUEUED
    assert "s: given back: the disk is odd" in log.lines


def test_a_machine_that_has_no_workers_for_a_study_leaves_it_to_others_for_a_while(
    store: StudyStore, home: Home
) -> None:
    submit(store)
    submit(store, "t")
    log = Log()
    worker = loop(store, home, "finds no workers", log)
    with in_thread(worker):
        log.wait_for("s: queued, its process ended with code 1")
        log.wait_for("t: queued, its process ended with code 1")
        time.sleep(0.5)
        worker.stop()
    assert [(store.study(name).attempt, store.study(name).error) for name in "st"] == [(1, "no Ray")] * 2


def test_a_loop_waits_for_no_study_that_others_have_ended(
    store: StudyStore, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RELEASE_SECONDS", 0.05)
    submit(store)
    log = Log()
    started = time.monotonic()
    with in_thread(loop(store, home, "finds no workers", log)):
        log.wait_for("s: queued, its process ended with code 1")
        store.cancel("s")
    assert time.monotonic() - started < module.SICK_SECONDS


def test_a_machine_that_lacks_something_leaves_the_queue_to_others(
    store: StudyStore, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(store)
    log = Log()
    worker = loop(store, home, "ends well", log)
    monkeypatch.setattr("storage.files.LEAST_FREE_BYTES", 10**18)
    with in_thread(worker):
        log.wait_for("nothing is claimed until then")
        worker.stop()
    assert (store.study("s").state, store.study("s").attempt) == (StudyState.QUEUED, 0)


def test_a_lease_is_renewed_until_its_process_is_up(store: StudyStore, home: Home) -> None:
    submit(store)
    stolen: list[object] = []
    log = Log()
    with in_thread(loop(store, home, "is slow", log, lease_seconds=0.5)) as thread:
        log.wait_for("claimed")
        while thread.is_alive():
            stolen.append(store.claim_next(owner_text("elsewhere:1", "1.a"), LONG, False))
            time.sleep(0.02)
    assert set(stolen) == {None}
    assert (store.study("s").state, store.study("s").attempt) == (StudyState.SUCCEEDED, 1)


def test_what_a_study_has_started_and_left_holds_nobody_up(
    store: StudyStore, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searcher.service.process.READ_SECONDS", 0.1)
    submit(store)
    started = time.monotonic()
    loop(store, home, "leaves somebody", Log()).run()
    assert time.monotonic() - started < 20
    assert store.study("s").state is StudyState.SUCCEEDED


def test_a_store_that_may_only_be_read_is_refused_before_anything_is_claimed(
    store: StudyStore, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(store)
    store.close()
    path = home.root / "slimfront.db"
    path.chmod(stat.S_IRUSR)
    monkeypatch.setattr("storage.sql.engine.is_writable", lambda _: False)  # root may write all the same
    frozen = open_store(home.database_url)
    with pytest.raises(FixInputError, match="read-only"):
        loop(frozen, home, "ends well", Log()).run()
    frozen.close()

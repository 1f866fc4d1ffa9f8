"""What a killed writer and a full disk leave behind."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.errors import NotFoundError
from storage.open import open_store
from tests.storage import samples

ROOT = Path(__file__).parents[3]

WRITE_FOR_EVER = """
import sys
from storage.open import open_store
from tests.storage import samples
store = open_store(sys.argv[1])
number = len(store.trials("s"))
while True:
    number += 1
    store.add_trials("s", number, [samples.proposal(number)])
    store.record("s", samples.result(number), samples.front(*range(number, max(0, number - 24), -1)))
    print(number, flush=True)
"""


def check_integrity(path: Path) -> None:
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_a_writer_killed_at_any_moment_leaves_a_whole_database(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store = open_store(f"sqlite:///{path}")
    store.create_study("s", "{}")
    acknowledged = 0
    for round_number in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, f"sqlite:///{path}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ) as writer:
            assert writer.stdout is not None
            acknowledged = int(writer.stdout.readline())
            time.sleep(0.013 * (1 + round_number))  # any moment will do; they only should differ
            writer.kill()
            acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
        assert writer.returncode == -signal.SIGKILL
        trials, results, front = store.trials("s"), store.results("s"), store.front("s")
        assert acknowledged <= len(results) <= len(trials) <= acknowledged + 1
        assert results == tuple(samples.result(number) for number in range(1, len(results) + 1))
        # the front is of the last result's transaction
        assert front == samples.front(*range(len(results), max(0, len(results) - 24), -1))
        # a trial without its result is what a resumed study finishes first
        for trial in trials[len(results) :]:
            store.record("s", samples.result(trial.number), samples.front(trial.number))
            store.record_batch("s", [], samples.front(*range(trial.number, max(0, trial.number - 24), -1)))
    store.close()
    check_integrity(path)


CREATE_AND_DIE = """
import os, signal, sys
from storage.open import open_store
open_store(sys.argv[1]).create_study("s", "{}")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_created_study_survives_the_death_of_its_creator(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CREATE_AND_DIE, f"sqlite:///{tmp_path}/a.db"],
        cwd=ROOT,
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    assert store.study("s").name == "s"
    store.close()
    check_integrity(tmp_path / "a.db")


# A process's limit on the size of its files stands in for a full disk: SQLite meets it in the same place.
FILL = """
import resource, sys
from storage.errors import DiskFullError
from storage.open import open_store
store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
count = 0
try:
    while count < 1000:
        store.add_event("s", "note", f"{count} " + "x" * 2000)
        count += 1
except DiskFullError as error:
    print(count)
    print(error)
try:
    store.create_study("large", "x" * 300_000)
except DiskFullError as error:
    print("again")
"""


def test_a_full_disk_is_named_and_loses_no_committed_row(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store = open_store(f"sqlite:///{path}")
    store.create_study("s", "{}")
    done = subprocess.run(
        [sys.executable, "-c", FILL, f"sqlite:///{path}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    count, message, again = done.stdout.splitlines()
    assert 5 < int(count) < 1000
    assert message.startswith(f"no space is left to write {path}: free some")
    assert again == "again"
    assert len([event for event in store.events("s") if event.kind == "note"]) == int(count)
    with pytest.raises(NotFoundError):
        store.study("large")
    store.add_event("s", "note", "space again")
    store.close()
    check_integrity(path)


CREATE_ON_FULL = """
import resource, sys
import storage.sql.store, alembic.command
from storage.errors import DiskFullError
from storage.open import open_store
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
try:
    open_store(sys.argv[1])
except DiskFullError as error:
    print(error)
"""


def test_a_database_that_does_not_fit_is_named_and_can_be_made_later(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    done = subprocess.run(
        [sys.executable, "-c", CREATE_ON_FULL, url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("no space is left")
    store = open_store(url)
    store.create_study("s", "{}")
    store.close()

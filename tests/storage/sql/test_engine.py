from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from storage.errors import FixInputError, RetryError, StoreLockedError, StoreVersionError
from storage.files import file_lock
from storage.open import open_store
from storage.sql.engine import SqliteDatabase
from storage.store import StudyStore
from tests.storage import samples
from tests.storage.ordinary import open_folder, ordinary_user

ROOT = Path(__file__).parents[3]


def make(path: Path) -> str:
    """A database at `path` with one study; returns its URL."""
    url = f"sqlite:///{path}"
    store = open_store(url)
    store.create_study("s", "{}")
    store.add_trials("s", 1, [samples.proposal(0)])
    store.close()
    return url


@contextmanager
def locked(path: Path, how: str = "IMMEDIATE") -> Iterator[None]:
    """Somebody else's transaction."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute(f"BEGIN {how}")
    try:
        yield
    finally:
        other.close()


def test_writes_are_durable_and_keys_enforced(tmp_path: Path) -> None:
    make(tmp_path / "a.db")
    connection = sqlite3.connect(tmp_path / "a.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    database = SqliteDatabase(tmp_path / "a.db", 1.0)
    with database.writing() as writer:
        pragmas = {
            name: writer.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("synchronous", "foreign_keys", "busy_timeout")
        }
    full = 2
    assert pragmas == {"synchronous": full, "foreign_keys": 1, "busy_timeout": 1000}
    with database.reading() as reader, pytest.raises(OperationalError, match="readonly"):
        reader.exec_driver_sql("DELETE FROM studies")
    database.close()


def test_a_closed_database_is_one_file(tmp_path: Path) -> None:
    make(tmp_path / "a.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db", "a.db.lock"]


def test_a_locked_database_is_waited_for_then_named(tmp_path: Path) -> None:
    url = make(tmp_path / "a.db")
    store = open_store(url, busy_seconds=0.3)
    with locked(tmp_path / "a.db"):
        assert store.study("s").name == "s"  # readers are not held up
        started = time.monotonic()
        with pytest.raises(StoreLockedError, match=r"a\.db is locked by another process: wait") as caught:
            store.create_study("t", "{}")
        assert time.monotonic() - started >= 0.3
        assert isinstance(caught.value, RetryError)
        assert "\n" not in str(caught.value)
    store.create_study("t", "{}")
    store.close()


def test_a_short_lock_is_waited_out(tmp_path: Path) -> None:
    store = open_store(make(tmp_path / "a.db"), busy_seconds=30.0)
    holder = locked(tmp_path / "a.db")
    with holder:
        thread = threading.Thread(target=store.create_study, args=("t", "{}"))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join(30.0)
    assert store.study("t").name == "t"
    store.close()


def test_a_locked_empty_database_is_named(tmp_path: Path) -> None:
    with locked(tmp_path / "a.db", "EXCLUSIVE"), pytest.raises(StoreLockedError, match=r"a\.db is locked"):
        open_store(f"sqlite:///{tmp_path}/a.db", busy_seconds=0.2)


def test_a_database_somebody_else_is_creating_is_named(tmp_path: Path) -> None:
    with file_lock(tmp_path / "a.db.lock"), pytest.raises(StoreLockedError, match=r"a\.db is in use"):
        open_store(f"sqlite:///{tmp_path}/a.db", busy_seconds=0.2)
    assert not (tmp_path / "a.db").exists()


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"")
    make(tmp_path / "a.db")


@pytest.mark.parametrize("content", [b"not a database at all", b"SQLite format 3\0" + bytes(84), b"\0" * 5000])
def test_junk_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.db").write_bytes(content)
    with pytest.raises(FixInputError, match=r"a\.db is not a Slimfront database: name another") as caught:
        open_store(f"sqlite:///{tmp_path}/a.db")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "a.db").read_bytes() == content


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    url = make(path)
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    with pytest.raises(FixInputError, match="is damaged: restore a copy"):
        open_store(url)


def test_a_truncated_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    url = make(path)
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(FixInputError, match="is damaged: restore a copy"):
        open_store(url).studies()


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    connection.close()
    before = (tmp_path / "a.db").read_bytes()
    with pytest.raises(FixInputError, match=r"another program \(it has a table 'alembic_version'\)"):
        open_store(f"sqlite:///{tmp_path}/a.db")
    assert (tmp_path / "a.db").read_bytes() == before


def test_paths_that_cannot_be_databases_are_named(tmp_path: Path) -> None:
    with pytest.raises(FixInputError, match=r"is a folder: name a file"):
        open_store(f"sqlite:///{tmp_path}")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FixInputError, match="choose another path"):
        open_store(f"sqlite:///{tmp_path}/file/a.db")
    with pytest.raises(FixInputError, match="choose another path"):
        open_store(f"sqlite:///{tmp_path}/{'n' * 300}")


def test_a_database_removed_under_the_store_is_named(tmp_path: Path) -> None:
    store = open_store(make(tmp_path / "sub" / "a.db"))
    shutil.rmtree(tmp_path / "sub")
    with pytest.raises(FixInputError, match="cannot be opened: check the path"):
        store.create_study("t", "{}")
    store.close()


# --- read-only


def reads(store: StudyStore) -> None:
    assert [study.name for study in store.studies()] == ["s"]
    assert len(store.trials("s")) == 1
    assert [event.kind for event in store.events("s")] == ["created", "proposed"]


def refuses(write: Callable[[], object]) -> None:
    with pytest.raises(FixInputError, match="is read-only: change its permissions, or") as caught:
        write()
    assert "\n" not in str(caught.value)


def make_read_only(folder: Path, file: bool, parent: bool) -> None:
    if file:
        (folder / "a.db").chmod(0o444)
    if parent:
        folder.chmod(0o555)


@pytest.mark.parametrize(("file", "parent"), [(True, True), (True, False), (False, True)])
def test_a_read_only_database_can_be_read(file: bool, parent: bool) -> None:
    with open_folder() as folder:
        url = make(folder / "a.db")
        make_read_only(folder, file, parent)
        with ordinary_user():
            store = open_store(url)
            reads(store)
            refuses(lambda: store.create_study("t", "{}"))
            refuses(lambda: store.delete_study("s"))
            store.close()
        assert sorted(path.name for path in folder.iterdir()) == ["a.db", "a.db.lock"]


def test_a_read_only_database_is_read_with_what_a_running_study_has_committed() -> None:
    with open_folder() as folder:
        url = make(folder / "a.db")
        running = open_store(url)
        running.add_event("s", "note", "still in the log")
        (folder / "a.db").chmod(0o444)
        folder.chmod(0o555)
        with ordinary_user():
            store = open_store(url)
            assert store.events("s")[-1].text == "still in the log"
            store.close()
        running.close()


def test_a_folder_in_which_no_database_can_be_made_is_named() -> None:
    with open_folder() as folder:
        folder.chmod(0o555)
        with ordinary_user():
            for path in (folder / "a.db", folder / "sub" / "a.db"):
                with pytest.raises(FixInputError, match="may not be written: change its permissions"):
                    open_store(f"sqlite:///{path}")


def test_an_unreadable_database_is_named() -> None:
    with open_folder() as folder:
        url = make(folder / "a.db")
        (folder / "a.db").chmod(0)
        with ordinary_user(), pytest.raises(FixInputError, match="cannot be opened: check the path and the"):
            open_store(url)
        folder.chmod(0)
        with ordinary_user(), pytest.raises(FixInputError, match="permissions"):
            open_store(url)


def test_a_read_only_database_of_another_version_is_named() -> None:
    with open_folder() as folder:
        url = make(folder / "a.db")
        connection = sqlite3.connect(folder / "a.db")
        connection.execute("UPDATE slimfront_version SET version_num = '0000'")
        connection.commit()
        connection.close()
        (folder / "empty.db").write_bytes(b"")
        folder.chmod(0o555)
        with ordinary_user():
            with pytest.raises(StoreVersionError, match=r"read-only at revision 0000.*make it writable once"):
                open_store(url)
            with pytest.raises(FixInputError, match="is empty and read-only"):
                open_store(f"sqlite:///{folder}/empty.db")


# --- several at once

ADD = """
import sys
from storage.open import open_store
store = open_store(sys.argv[1], busy_seconds=60.0)
for number in range(int(sys.argv[2])):
    store.add_event("s", "note", f"{sys.argv[3]} {number}")
try:
    store.create_study("wanted", "{}")
    print("won")
except Exception as error:
    print(type(error).__name__)
store.close()
"""


def test_processes_that_write_together_lose_nothing(tmp_path: Path) -> None:
    url = make(tmp_path / "a.db")
    each = 60
    children = [
        subprocess.Popen(
            [sys.executable, "-c", ADD, url, str(each), writer], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for writer in ("one", "two", "three")
    ]
    outcomes = sorted(child.communicate(timeout=120)[0].strip() for child in children)
    assert outcomes == ["StudyExistsError", "StudyExistsError", "won"]
    store = open_store(url)
    events = store.events("s")
    store.close()
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    for writer in ("one", "two", "three"):
        own = [event.text for event in events if event.text.startswith(writer)]
        assert own == [f"{writer} {number}" for number in range(each)]


def test_threads_share_a_store(tmp_path: Path) -> None:
    store = open_store(make(tmp_path / "a.db"), busy_seconds=60.0)

    def work(writer: int) -> None:
        for _ in range(20):
            store.add_event("s", "note", str(writer))
            store.events("s")

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts = [event.text for event in store.events("s") if event.kind == "note"]
    store.close()
    assert sorted(texts) == sorted(str(writer) for writer in range(4) for _ in range(20))

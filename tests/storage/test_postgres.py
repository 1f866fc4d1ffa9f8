"""PostgreSQL alone: URLs, servers that refuse or go away, upgrades, and two that arrive together."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import select

from storage.errors import (
    DiskFullError,
    FixInputError,
    GiveUpError,
    RetryError,
    SlimfrontError,
    StoreLockedError,
    StoreLostError,
    StoreVersionError,
)
from storage.open import open_store
from storage.records.study import StudyState
from storage.sql import tables
from storage.sql.postgres_errors import describe
from storage.sql.store import SqlStore
from storage.sql.tables import HEAD
from tests.storage.postgres import Server


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server that a test may stop."""
    from tests.storage.postgres import server

    with server() as running:
        yield running


CUT = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'slimfront'"


def opened(url: str) -> SqlStore:
    store = open_store(url)
    assert isinstance(store, SqlStore)
    return store


def test_an_empty_database_gets_its_tables_once(postgres: Server) -> None:
    url = postgres.fresh()
    first = open_store(url)
    first.create_study("a", "{}")
    second = open_store(url)
    assert second.study("a") == first.study("a")
    first.close()
    second.close()


def test_of_those_that_open_an_empty_database_together_one_makes_the_tables(postgres: Server) -> None:
    url = postgres.fresh()
    errors: list[SlimfrontError] = []
    together = threading.Barrier(4)

    def arrive() -> None:
        together.wait()
        try:
            open_store(url).close()
        except SlimfrontError as error:
            errors.append(error)

    threads = [threading.Thread(target=arrive) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    open_store(url).close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://u:secret@127.0.0.1:1/x", "postgresql://u:***@127.0.0.1:1/x cannot be reached"),
        ("postgresql://u:secret@127.0.0.1", "names no database: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"),
        ("postgresql://u:secret@127.0.0.1:port/x", "cannot be read: write postgresql://USER"),
    ],
)
def test_a_url_that_leads_nowhere_is_said_without_its_password(url: str, says: str) -> None:
    with pytest.raises(SlimfrontError) as raised:
        open_store(url)
    text = str(raised.value)
    assert says in text
    assert "secret" not in text
    assert "\n" not in text


def test_a_database_that_is_not_there_and_a_user_that_may_not_in_are_said(postgres: Server) -> None:
    for url, reason in (
        (postgres.url("nothere"), 'database "nothere" does not exist'),
        (postgres.url("postgres").replace("//postgres", "//nobody"), 'role "nobody" does not exist'),
    ):
        with pytest.raises(FixInputError, match="lets nobody in so") as raised:
            open_store(url)
        assert reason in str(raised.value)


def test_another_programs_database_is_left_alone(postgres: Server) -> None:
    url = postgres.fresh()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE theirs (number int)")
    with pytest.raises(FixInputError, match="is the database of another program"):
        open_store(url)


def test_a_newer_database_is_refused(postgres: Server) -> None:
    url = postgres.prepared()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE slimfront_version SET version_num = '9999'")
    with pytest.raises(StoreVersionError, match=rf"at revision 9999.*reads up to {HEAD}"):
        open_store(url)


def test_a_study_that_another_holds_is_waited_for_in_vain_and_named(postgres: Server) -> None:
    url = postgres.prepared()
    store = open_store(url, busy_seconds=0.2)
    store.create_study("a", "{}")
    with psycopg.connect(url) as other:
        other.execute("SELECT * FROM studies FOR UPDATE")
        with pytest.raises(StoreLockedError, match="is locked by another process"):
            store.update_study("a", state=StudyState.RUNNING, attempt=1)
    assert store.update_study("a", state=StudyState.RUNNING, attempt=1).state is StudyState.RUNNING
    store.close()


def test_a_reader_sees_one_moment_and_nobody_waits_for_it(postgres: Server) -> None:
    store, other = opened(postgres.prepared()), tables.studies
    with store.database.reading() as connection:
        assert connection.execute(select(other.c.name)).all() == []
        store.create_study("a", "{}")  # by another connection
        assert connection.execute(select(other.c.name)).all() == []
    with store.database.writing() as holder:
        holder.execute(select(other).with_for_update())
        assert store.study("a").name == "a"
    store.close()


def test_writers_of_one_study_follow_each_other_whatever_the_servers_default(postgres: Server) -> None:
    """Who has waited for another one's commit sees it."""
    url = postgres.prepared()
    name = url.split("/")[3].split("?")[0]
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    store = open_store(url)
    store.create_study("a", "{}")
    errors: list[Exception] = []

    def note(number: int) -> None:
        try:
            for index in range(10):
                store.add_event("a", "note", f"{number} {index}")
        except Exception as error:  # noqa: BLE001  (a thread's own is seen by nobody)
            errors.append(error)

    threads = [threading.Thread(target=note, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [event.number for event in store.events("a")] == list(range(1, 42))
    store.close()


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (psycopg.errors.DiskFull("x"), DiskFullError, "no space is left"),
        (psycopg.errors.DeadlockDetected("x"), StoreLockedError, "is locked"),
        (psycopg.errors.ReadOnlySqlTransaction("x"), FixInputError, "is read-only"),
        (psycopg.errors.QueryCanceled("x"), RetryError, "has cancelled"),
        (psycopg.errors.AdminShutdown("x"), StoreLostError, "cannot be reached"),
        (psycopg.errors.IdleInTransactionSessionTimeout("x"), StoreLostError, "cannot be reached"),
        (psycopg.errors.TooManyConnections("x"), StoreLostError, "cannot be reached"),
        (psycopg.errors.InternalError_("x"), GiveUpError, "failed"),
        (psycopg.OperationalError("FATAL:  remaining connection slots are reserved"), StoreLostError, "reached"),
        (psycopg.OperationalError("FATAL:  the database system is starting up"), StoreLostError, "reached"),
        (psycopg.OperationalError("FATAL:  terminating connection due to administrator command"), StoreLostError, "be"),
        (psycopg.OperationalError('FATAL:  role "x" does not exist'), FixInputError, "lets nobody in"),
        (psycopg.ProgrammingError('invalid connection option "foo"'), FixInputError, "cannot take that"),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL"), FixInputError, "cannot take that"),
    ],
)
def test_errors_say_what_to_do(error: psycopg.Error, kind: type[SlimfrontError], says: str) -> None:
    found = describe(error, "postgresql://h/d")
    assert type(found) is kind
    assert says in str(found)


def test_a_server_that_goes_away_is_lost_and_found_again(own: Server) -> None:
    url = own.prepared()
    store = open_store(url)
    store.create_study("a", "{}")
    own.execute(CUT)
    assert store.study("a").name == "a"  # a connection that died in the pool is replaced
    store.close()


def test_one_who_may_only_read_is_told(postgres: Server) -> None:
    url = postgres.prepared()
    postgres.execute("CREATE ROLE looker LOGIN")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker")
    store = open_store(url.replace("//postgres", "//looker"))
    try:
        assert store.studies() == ()
        with pytest.raises(FixInputError, match=r"may not do that .*permission denied.*: grant the rights"):
            store.create_study("a", "{}")
    finally:
        store.close()


def test_a_connection_that_is_lost_in_a_transaction_is_said(own: Server) -> None:
    url = own.prepared()
    store = opened(url)
    store.create_study("a", "{}")
    database = store.database  # the moment between two statements is nobody else's

    def interrupted() -> None:
        with database.writing() as connection:
            own.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'slimfront'"
            )
            connection.exec_driver_sql("SELECT 1")

    with pytest.raises(StoreLostError, match="cannot be reached"):
        interrupted()
    assert store.study("a").name == "a"
    store.close()

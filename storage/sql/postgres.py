"""PostgreSQL behind SQLAlchemy and psycopg. Everything that only PostgreSQL knows is here (and its error codes in
postgres_errors.py).

Writes of one study follow each other by the lock on its row, which `SqlStore` takes first. A read sees one moment:
its transaction is REPEATABLE READ.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from storage.errors import FixInputError, SlimfrontError
from storage.sql.postgres_errors import translated
from storage.sql.tables import HEAD
from storage.sql.upgrade import revision_of, upgrade

DRIVER = "postgresql+psycopg"
CONNECT_SECONDS = 10  # a server that does not answer by then is not there
# A row of which the server has not heard for so long is free again: the network took its client away.
IDLE_SECONDS = 60
UPGRADE_LOCK = 7_546_633_660  # "slimfront" on a telephone's keys, shortened: any number that no other program takes


class PostgresDatabase:
    """A database at the current revision. Threads may share it; every thread gets its own connection."""

    def __init__(self, url: str, busy_seconds: float) -> None:
        """Connect to `url`, creating or upgrading the tables where needed; see `storage.open.open_store`."""
        parsed = _parsed(url)
        self.place = parsed.render_as_string(hide_password=True)
        self._engine = _engine(parsed, busy_seconds)
        self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        try:
            if not self._is_current():
                self._prepare()
        except SlimfrontError:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one moment of the database."""
        with translated(self.place), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection in a transaction; durable when the block ends well, else undone."""
        with translated(self.place), self._engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _is_current(self) -> bool:
        with self.reading() as connection:
            return revision_of(connection, self.place) == HEAD

    def _prepare(self) -> None:
        """Create or upgrade in one transaction; who arrives meanwhile waits."""
        with self.writing() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(UPGRADE_LOCK)))
            upgrade(connection, self.place)


def _parsed(url: str) -> URL:
    """FixInputError, which says no password, for what is no URL of a database."""
    try:
        parsed = make_url(url).set(drivername=DRIVER)
    except (ArgumentError, ValueError) as error:
        raise FixInputError(
            "the store's URL cannot be read: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %-codes for "
            "special characters in it"
        ) from error
    if not parsed.database:
        raise FixInputError(
            f"store {parsed.render_as_string(hide_password=True)} names no database: write "
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        )
    return parsed


def _engine(url: URL, busy_seconds: float) -> Engine:
    milliseconds = round(1000 * busy_seconds)
    settings = {
        "lock_timeout": milliseconds,
        "idle_in_transaction_session_timeout": 1000 * IDLE_SECONDS,
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    given = url.query.get("options")
    arguments = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "slimfront",
        "options": f"{given} {options}" if given else options,
    }
    # A connection that was lost while it lay in the pool is made anew before it is used.
    return create_engine(url, connect_args=arguments, pool_pre_ping=True)

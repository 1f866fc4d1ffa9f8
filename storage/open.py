"""The one way to a store: a URL."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

from storage.errors import FixInputError
from storage.home import shown
from storage.store import StudyStore

STORES: Mapping[str, str] = MappingProxyType(
    {
        "sqlite": "storage.sql.store:open_sqlite",
        "postgresql": "storage.sql.store:open_postgres",
        "memory": "storage.memory:open_memory",
    }
)
"""The scheme of a URL and the function that opens it, resolved when first used."""

BUSY_SECONDS = 10.0  # writes take milliseconds; who waits longer than this waits for something that is stuck


def open_store(url: str, *, busy_seconds: float = BUSY_SECONDS) -> StudyStore:
    """The store at `url`, created if it is not there and upgraded if it is older.

    URLs are "sqlite:///relative.db", "sqlite:////absolute.db" (percent-encoded where needed),
    "postgresql://user:password@host:port/database" and "memory://", which is new and empty each time. `busy_seconds`
    is how long to wait for another process's write before StoreLockedError. Raises FixInputError for a URL or a file
    that cannot be a store, StoreVersionError for one from a newer Slimfront, StoreLostError for a server that cannot
    be reached, DiskFullError.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in STORES:
        known = ", ".join(f"{name}://" for name in STORES)
        raise FixInputError(
            f"store {shown(url)!r} is none that Slimfront opens ({known}): "
            "write sqlite:///path/to/file.db or postgresql://user@host/database"
        )
    opener = cast(Callable[[str, float], StudyStore], pkgutil.resolve_name(STORES[scheme]))
    return opener(url, busy_seconds)

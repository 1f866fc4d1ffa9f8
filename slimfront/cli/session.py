"""Opening the home and its store for the length of a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # SQLAlchemy takes half a second
    from storage.home import Home
    from storage.store import StudyStore


@contextmanager
def opened(url: str | None) -> Iterator[tuple[Home, StudyStore]]:
    """The home, and its store or the one at `url`, closed when the block ends."""
    from storage.home import Home

    home = Home.from_environment(url)
    with opened_at(home) as store:
        yield home, store


@contextmanager
def opened_at(home: Home) -> Iterator[StudyStore]:
    """The store of a home, closed when the block ends."""
    from storage.open import open_store

    store = open_store(home.database_url)
    try:
        if home.files is not None:
            home.check_files(store.identity())
        yield store
    finally:
        store.close()


def parse_reference(text: str) -> tuple[str, int]:
    """(study, number) of "STUDY/N". FixInputError if it is not of that form."""
    from storage.errors import FixInputError

    study, slash, number = text.rpartition("/")
    if not slash or not study or not number.isascii() or not number.isdigit():
        raise FixInputError(f"{text!r} names no candidate: write STUDY/N, such as digits/17")
    return study, int(number)

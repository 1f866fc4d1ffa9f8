from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

from storage.errors import FixInputError
from storage.memory import MemoryStore
from storage.open import STORES, open_store
from storage.sql.store import SqlStore

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("scheme", sorted(STORES))
def test_every_entry_resolves(scheme: str) -> None:
    assert callable(pkgutil.resolve_name(STORES[scheme]))


def test_the_scheme_chooses_the_store(tmp_path: Path) -> None:
    assert isinstance(open_store("memory://"), MemoryStore)
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    assert isinstance(store, SqlStore)
    store.close()


@pytest.mark.parametrize("url", ["", "team.db", "/abs/team.db", "sqlite", "mysql://host/db", "sqlite+x://"])
def test_an_unknown_url_names_the_known_ones(url: str) -> None:
    with pytest.raises(FixInputError, match=r"\(sqlite://, postgresql://, memory://\): write sqlite:///path"):
        open_store(url)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///a?b=c", "sqlite:///%00"])
def test_a_sqlite_url_names_a_file(url: str) -> None:
    with pytest.raises(FixInputError, match=r"names no file: write sqlite:///relative\.db or"):
        open_store(url)


def test_a_relative_url_is_relative_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_store("sqlite:///sub/a.db").close()
    assert (tmp_path / "sub" / "a.db").is_file()


def test_nothing_heavy_is_imported_before_a_store_is_opened() -> None:
    code = (
        "import sys, storage.open, storage.home, storage.artifacts, storage.memory, storage.rules\n"
        "print([name for name in ('sqlalchemy', 'alembic', 'torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"

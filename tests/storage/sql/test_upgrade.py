from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, make_url
from sqlalchemy.schema import CreateTable

from storage.errors import StoreVersionError
from storage.open import open_store
from storage.sql.tables import HEAD, VERSION_TABLE, metadata
from tests.storage import samples

ROOT = Path(__file__).parents[3]
MIGRATIONS = ROOT / "storage" / "sql" / "migrations"


def set_revision(path: Path, revision: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = ?", (revision,))
    connection.commit()
    connection.close()


def test_the_migrations_make_the_tables_of_the_metadata(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/migrated.db").close()
    migrated = create_engine(f"sqlite:///{tmp_path}/migrated.db")
    created = create_engine(f"sqlite:///{tmp_path}/created.db")
    metadata.create_all(created)
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
    # Alembic compares neither primary keys nor what a deletion does.
    one, two = inspect(migrated), inspect(created)
    assert set(one.get_table_names()) - {VERSION_TABLE} == set(two.get_table_names()) == set(metadata.tables)
    for table in metadata.tables:
        assert str(one.get_columns(table)) == str(two.get_columns(table))
        assert one.get_pk_constraint(table) == two.get_pk_constraint(table)
        assert one.get_unique_constraints(table) == two.get_unique_constraints(table)
        assert one.get_indexes(table) == two.get_indexes(table)
        keys = one.get_foreign_keys(table)
        assert sorted(keys, key=str) == sorted(two.get_foreign_keys(table), key=str)
        assert all(key["options"] == {"ondelete": "CASCADE"} for key in keys)
    migrated.dispose()
    created.dispose()


def test_every_table_of_a_study_goes_with_it(tmp_path: Path) -> None:
    """Also a table that is added later: deletion follows the foreign keys up to studies."""
    for table in metadata.sorted_tables:
        if table.name not in ("studies", "identity", "looks"):
            assert {key.referred_table.name for key in table.foreign_key_constraints} <= set(metadata.tables)
            assert all(key.ondelete == "CASCADE" for key in table.foreign_key_constraints)
            assert table.foreign_key_constraints


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    for script in scripts.walk_revisions():
        assert re.fullmatch(rf"{script.revision}_\w+\.py", Path(script.path).name)


def test_the_schema_is_no_dialect_of_sqlite() -> None:
    dialect = make_url("postgresql://").get_dialect()()
    for table in metadata.sorted_tables:
        text = str(CreateTable(table).compile(dialect=dialect))
        assert text.lstrip().startswith(f"CREATE TABLE {table.name} (")


def test_a_newer_database_names_both_revisions_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    open_store(f"sqlite:///{path}").close()
    set_revision(path, "9001")
    before = path.read_bytes()
    message = rf"9001.*newer Slimfront.*{HEAD}.*`pip install --upgrade slimfront`"
    with pytest.raises(StoreVersionError, match=message) as caught:
        open_store(f"sqlite:///{path}")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


LATER = f'''"""A later version: a table is rebuilt, a column added."""
import sqlalchemy as sa
from alembic import op
revision = "0099"
down_revision = "{HEAD}"

def upgrade() -> None:
    with op.batch_alter_table("studies", recreate="always") as batch:
        batch.add_column(sa.Column("later", sa.String))
'''


@pytest.fixture
def later_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Slimfront that has a second migration."""
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "0099_later.py").write_text(LATER)
    monkeypatch.setattr("storage.sql.upgrade._MIGRATIONS", str(folder))
    monkeypatch.setattr("storage.sql.upgrade.HEAD", "0099")
    monkeypatch.setattr("storage.sql.engine.HEAD", "0099")


def fill_one_study(path: Path) -> None:
    store = open_store(f"sqlite:///{path}")
    store.create_study("s", "{}")
    store.add_trials("s", 1, [samples.proposal(0)])
    store.record("s", samples.result(1), samples.front(1))
    store.close()


def test_an_older_database_is_upgraded_and_loses_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "a.db"
    fill_one_study(path)
    request.getfixturevalue("later_version")
    store = open_store(f"sqlite:///{path}")
    assert store.results("s") == (samples.result(1),)
    assert store.front("s") == samples.front(1)
    store.delete_study("s")
    store.close()
    connection = sqlite3.connect(path)
    assert connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [("0099",)]
    assert "later" in [row[1] for row in connection.execute("PRAGMA table_info(studies)")]
    assert connection.execute("SELECT count(*) FROM results").fetchone() == (0,)
    connection.close()


def test_a_migration_that_fails_leaves_the_old_revision(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "a.db"
    fill_one_study(path)
    request.getfixturevalue("later_version")
    broken = tmp_path / "migrations" / "versions" / "0099_later.py"
    broken.write_text(LATER + "    raise ZeroDivisionError\n")
    with pytest.raises(ZeroDivisionError):
        open_store(f"sqlite:///{path}")
    request.getfixturevalue("monkeypatch").undo()
    store = open_store(f"sqlite:///{path}")
    assert store.results("s") == (samples.result(1),)
    store.close()


OPEN_AND_CREATE = """
import sys, time
from storage.open import open_store
from storage.sql.store import SqlStore  # so that the race is about the file, not about importing
print("ready", flush=True)
sys.stdin.readline()
store = open_store(sys.argv[1])
store.create_study(sys.argv[2], "{}")
store.close()
"""


def test_processes_that_open_a_new_database_together_all_succeed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_AND_CREATE, url, f"s{number}"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        assert child.communicate(timeout=60)[1] == ""
        assert child.returncode == 0
    store = open_store(url)
    assert {study.name for study in store.studies()} == {"s0", "s1", "s2", "s3"}
    store.close()

"""`slimfront store`: a database that is copied is whole, one that is damaged is named."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.slimfront.finished import Finished, finished_in
from tests.slimfront.material import invoke


@pytest.fixture
def home(shared_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a home with a finished study."""
    finished: Finished = finished_in(shared_folder / "front-door")
    folder = tmp_path / "home"
    shutil.copytree(finished.home, folder)
    monkeypatch.setenv("SLIMFRONT_HOME", str(folder))
    return folder


def test_a_copy_is_read_and_exported_like_the_original(home: Path, tmp_path: Path) -> None:
    source, target = f"sqlite:///{home}/slimfront.db", f"sqlite:///{tmp_path}/team.db"
    ran = invoke("store", "copy", source, target)
    assert (ran.code, ran.err.strip()) == (0, f"1 studies are copied from {source} to {target}")
    own, copied = (invoke("front", "tiny", "--json", *extra) for extra in ((), ("--store", target)))
    assert own.code == copied.code == 0
    assert own.out == copied.out
    numbers = sorted(path.name for path in (home / "artifacts" / "tiny").iterdir() if path.name.isdigit())
    (scope,) = (path for path in (home / "artifacts").iterdir() if path.name.startswith(".store-"))
    assert sorted(path.name for path in (scope / "tiny").iterdir() if path.name.isdigit()) == numbers
    again = invoke("store", "copy", source, target)
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert "the target has studies of the same names already (tiny)" in again.err
    exported = invoke("export", "tiny/2", "--store", target, "-o", str(tmp_path / "out"))
    assert exported.code == 0, exported.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("sqlite:///{0}/nothing.db", "sqlite:///{0}/team.db"), "there is no database"),
        (("memory://", "sqlite:///{0}/team.db"), "no database on disk"),
        (("sqlite:///{1}/slimfront.db", "sqlite:///{1}/../home/slimfront.db"), "are one database"),
        (("sqlite:///{1}/slimfront.db", "team.db"), "none that Slimfront opens"),
    ],
)
def test_what_cannot_be_copied_is_said_in_one_line(
    arguments: tuple[str, str], complaint: str, home: Path, tmp_path: Path
) -> None:
    ran = invoke("store", "copy", *(text.format(tmp_path, home) for text in arguments))
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert complaint in ran.err
    assert not (tmp_path / "nothing.db").exists()


def test_a_whole_database_has_no_problems(home: Path) -> None:
    ran = invoke("store", "check")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.strip() == f"sqlite:///{home}/slimfront.db: 1 studies read, 0 problems"
    assert "is at revision" in invoke("store", "upgrade").err


def test_a_damaged_study_is_named_part_by_part(home: Path) -> None:
    with closing(sqlite3.connect(home / "slimfront.db")) as connection, connection:
        connection.execute("UPDATE studies SET config_json = '{}'")
        connection.execute("UPDATE trials SET levels = '[99]' WHERE number = 12")
        connection.execute("UPDATE front_rows SET rung = 'final' WHERE position = 0")
    ran = invoke("store", "check")
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("tiny: its configuration cannot be read (")
    assert lines[1] == "tiny: candidate 12 is none of its search space"
    assert lines[2].startswith("tiny: row 0 of its front, candidate ")
    assert ran.err.endswith("1 studies read, 3 problems\n")

"""A study on PostgreSQL: the same front as on SQLite, and the same commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from searcher.stages.latency_table import FOLDER
from tests.acceptance.test_kill import timeless
from tests.slimfront.finished import Finished, finished_in
from tests.slimfront.material import execute, start, write_study
from tests.storage.postgres import Server


@pytest.fixture
def finished(shared_folder: Path) -> Finished:
    """The same study, run on SQLite."""
    return finished_in(shared_folder / "front-door")


@pytest.mark.slow
def test_a_study_that_is_killed_on_postgresql_ends_as_on_sqlite(
    finished: Finished, postgres: Server, tmp_path: Path
) -> None:
    home, url = tmp_path / "home", postgres.fresh()
    shutil.copytree(finished.home / "cache" / FOLDER, home / "cache" / FOLDER)
    path = write_study(tmp_path, finished.folder)
    with start(home, "run", str(path), "--store", url) as process:
        assert process.stderr is not None
        assert any(line.startswith("quick") for line in process.stderr)
        process.kill()
        process.communicate()
    ran = execute(home, "resume", "tiny", "--store", url)
    assert ran.code == 0, ran.err
    assert timeless(json.loads(execute(home, "front", "tiny", "--store", url, "--json").out)) == timeless(
        finished.front
    )
    listed = json.loads(execute(home, "list", "--store", url, "--json").out)
    assert [study["study"] for study in listed] == ["tiny"]
    assert execute(home, "list").out != execute(home, "list", "--store", url).out  # the home's own database has none
    assert execute(home, "report", "tiny", "--store", url, "-o", str(tmp_path / "report.html")).code == 0
    assert execute(home, "export", "tiny/2", "--store", url, "-o", str(tmp_path / "out")).code == 0
    assert execute(home, "delete", "tiny", "--store", url, "--yes").code == 0
    assert execute(home, "status", "tiny", "--store", url).code == 4


def test_a_server_that_is_not_there_is_said_in_one_line_without_the_password(tmp_path: Path) -> None:
    ran = execute(tmp_path / "home", "list", "--store", "postgresql://ann:secret@127.0.0.1:1/team")
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert "cannot be reached" in line
    assert "secret" not in ran.err

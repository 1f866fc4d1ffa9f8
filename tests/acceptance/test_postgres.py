"""A study on PostgreSQL: the same front as on SQLite, and the same commands."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from benchmarks.timeless import timeless
from searcher.stages.latency_table import FOLDER
from tests.slimfront.finished import Finished, finished_in
from tests.slimfront.material import ROOT, execute, running, start, write_study
from tests.storage.postgres import Server

T = TypeVar("T")
LEASE_SECONDS = 4.0
MOMENT_SECONDS = 4.0  # between two looks at the queue, and what a busy machine takes
WAIT_SECONDS = 120.0


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


@pytest.mark.slow
def test_a_worker_elsewhere_takes_over_within_a_lease(finished: Finished, postgres: Server, tmp_path: Path) -> None:
    """Two homes are two machines: neither sees the other's locks. They share a database and a folder of files."""
    url, homes = postgres.prepared(), [tmp_path / "ann", tmp_path / "ben"]
    for home in homes:  # whichever is the first
        shutil.copytree(finished.home / "cache" / FOLDER, home / "cache" / FOLDER)
    shared = {"SLIMFRONT_FILES": str(tmp_path / "files"), "SLIMFRONT_STORE": url, "SLIMFRONT_LEASE": str(LEASE_SECONDS)}
    path = write_study(tmp_path, finished.folder)
    submitted = execute(homes[0], "submit", str(path), cwd=ROOT, **shared)
    assert submitted.code == 0, submitted.err
    work = ("work", "--trust-code", "--inline")
    with running(homes[0], *work, **shared) as ann, running(homes[1], *work, **shared) as ben:
        lines = {"ann": collected(ann), "ben": collected(ben)}
        owner = wait_for(lambda: next((name for name in lines if said(lines[name], "confirmed")), None))
        victim, other = (ann, "ben") if owner == "ann" else (ben, "ann")
        (child,) = children(victim.pid)
        for process in (child, victim.pid):
            os.kill(process, signal.SIGKILL)
        died = time.monotonic()
        wait_for(lambda: said(lines[other], "claimed, attempt 2"))
        assert time.monotonic() - died < LEASE_SECONDS + MOMENT_SECONDS
        watched = execute(homes[1], "watch", "tiny", cwd=ROOT, **shared)
        assert watched.code == finished.ran.code, watched.err
    front = json.loads(execute(homes[0], "front", "tiny", "--json", cwd=ROOT, **shared).out)
    assert timeless(front) == timeless(finished.front)
    assert (
        execute(homes[0], "export", "tiny/2", "--trust-code", "-o", str(tmp_path / "out"), cwd=ROOT, **shared).code == 0
    )


def collected(process: subprocess.Popen[str]) -> list[str]:
    """The lines of a process's stderr, as they come."""
    lines: list[str] = []
    assert process.stderr is not None
    threading.Thread(target=lines.extend, args=(process.stderr,), daemon=True).start()
    return lines


def said(lines: Sequence[str], text: str) -> bool:
    return any(text in line for line in list(lines))


def wait_for(found: Callable[[], T]) -> T:
    until = time.monotonic() + WAIT_SECONDS
    while not (value := found()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return value


def children(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_a_server_that_is_not_there_is_said_in_one_line_without_the_password(tmp_path: Path) -> None:
    ran = execute(tmp_path / "home", "list", "--store", "postgresql://ann:secret@127.0.0.1:1/team")
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert "cannot be reached" in line
    assert "secret" not in ran.err

"""Studies on Ray workers: the same front as in one process, also when workers and the controller are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import pytest

from benchmarks.timeless import timeless
from searcher.stages.latency_table import FOLDER
from slimfront.cli.codes import FAILED
from tests.learners.pool.raylets import two_raylets
from tests.learners.pool.test_ray_cluster import ours, wait_until_gone
from tests.slimfront.finished import Finished, finished_in
from tests.slimfront.material import ROOT, execute, start, write_study

WAIT_SECONDS = 60.0


@pytest.fixture
def finished(shared_folder: Path) -> Finished:
    """The same study, run in one process."""
    return finished_in(shared_folder / "front-door")


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Where Ray puts its sockets: a short path, by which its processes are known."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def home(tmp_path: Path, finished: Finished) -> Path:
    """A home that knows the latencies of the finished study, which are never measured twice alike, and no library."""
    folder = tmp_path / "home"
    shutil.copytree(finished.home / "cache" / FOLDER, folder / "cache" / FOLDER)
    return folder


class Variables(TypedDict):
    """Of the environment, by which a command runs on Ray."""

    TMPDIR: str
    SLIMFRONT_INLINE: str


def on_ray(temporary: Path) -> Variables:
    """Tests run in one process if nothing else is said."""
    return {"TMPDIR": str(temporary), "SLIMFRONT_INLINE": ""}


def front(home: Path) -> Any:
    """The study's front without what a clock has measured."""
    return timeless(json.loads(execute(home, "front", "tiny", "--json").out))


def same_files(home: Path, finished: Finished) -> bool:
    """Whether the front's files are those of the finished study, byte by byte."""
    folders = (home / "artifacts" / "tiny", finished.home / "artifacts" / "tiny")
    numbers = [str(row["candidate"]) for row in finished.front["front"]]
    ours, theirs = (
        {(number, file.name): file.read_bytes() for number in numbers for file in (folder / number).iterdir()}
        for folder in folders
    )
    return ours == theirs


def workers(temporary: Path) -> list[int]:
    """Numbers of the worker processes, once there are any."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found = [number for number, command in ours(temporary).items() if command.startswith("ray::Actor")]
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("no worker was started")


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_the_front_does_not_depend_on_the_workers(
    count: int, finished: Finished, home: Path, temporary: Path, tmp_path: Path
) -> None:
    path = write_study(tmp_path, finished.folder)
    ran = execute(home, "run", str(path), "--workers", str(count), **on_ray(temporary))
    assert ran.code == 0, ran.err
    assert not any(word in ran.out + ran.err for word in ("ray", "Ray", "raylet", "Warning"))
    assert front(home) == timeless(finished.front)
    assert same_files(home, finished)
    assert wait_until_gone(temporary) == {}


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_counted(
    finished: Finished, home: Path, temporary: Path, tmp_path: Path
) -> None:
    path = write_study(tmp_path, finished.folder)
    with start(home, "run", str(path), "--workers", "2", **on_ray(temporary)) as process:
        assert process.stderr is not None
        # The first figures of the stage come with the first scores: the workers have the rest of the batch.
        assert any(line.startswith("quick") for line in process.stderr)
        for number in workers(temporary):
            os.kill(number, signal.SIGKILL)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert front(home) == timeless(finished.front)
    status = json.loads(execute(home, "status", "tiny", "--json").out)
    assert status["lost_workers"] == sum("a worker has died" in line for line in err.splitlines()) > 0
    assert status["failed"] == 0


@pytest.mark.slow
def test_a_controller_that_is_killed_takes_its_workers_with_it(
    finished: Finished, home: Path, temporary: Path, tmp_path: Path
) -> None:
    path = write_study(tmp_path, finished.folder)
    resume = ("resume", "tiny")
    stages = ("quick", "rescored", "confirmed", "latency")
    for command, stage in ((("run", str(path)), "library 5"), *((resume, stage) for stage in stages)):
        with start(home, *command, "--workers", "2", **on_ray(temporary)) as process:
            assert process.stderr is not None
            assert any(line.startswith(stage) for line in process.stderr)
            assert stage == "latency" or workers(temporary)  # by then they have ended
            process.kill()
            process.communicate()
        assert wait_until_gone(temporary) == {}
    ran = execute(home, "resume", "tiny", "--workers", "2", **on_ray(temporary))
    assert ran.code == 0, ran.err
    assert front(home) == timeless(finished.front)
    assert same_files(home, finished)


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_says_how_to_go_on(
    finished: Finished, home: Path, temporary: Path, tmp_path: Path
) -> None:
    path = write_study(tmp_path, finished.folder)
    with start(home, "run", str(path), "--workers", "2", **on_ray(temporary)) as process:
        assert process.stderr is not None
        assert any(line.startswith("library 5") for line in process.stderr)
        for number in ours(temporary):  # as a terminal does: everybody
            os.kill(number, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "interrupted: `slimfront resume tiny` goes on"
    assert "Traceback" not in err
    assert wait_until_gone(temporary) == {}


def test_a_ray_that_is_not_usable_says_why_and_the_study_goes_on_without(
    finished: Finished, home: Path, temporary: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken" / "ray"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text('raise ImportError("no wheel for this machine")\n')
    path = write_study(tmp_path, finished.folder)
    ran = execute(home, "run", str(path), "--workers", "2", PYTHONPATH=str(broken.parent), **on_ray(temporary))
    assert ran.code == FAILED
    last = ran.err.splitlines()[-1]
    assert last.startswith("error: Ray is not usable here (no wheel for this machine): pip install")
    assert "run with --inline" in last
    assert "Traceback" not in ran.err
    ran = execute(home, "resume", "tiny", "--inline")
    assert ran.code == 0, ran.err
    assert front(home) == timeless(finished.front)


@pytest.mark.slow
def test_a_cluster_of_two_nodes_gives_the_same_front(finished: Finished, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(finished.home / "cache" / FOLDER, home / "cache" / FOLDER)
    path = write_study(tmp_path, finished.folder)
    with two_raylets() as cluster:
        options = ("--ray-address", cluster.address, "--workers", "2")
        ran = execute(home, "run", str(path), *options, cwd=ROOT, **cluster.variables)
        assert ran.code == finished.ran.code, ran.err
        again = execute(home, "resume", "tiny", *options, cwd=ROOT, **cluster.variables)  # it was left running
        assert again.code == finished.ran.code, again.err
    front = json.loads(execute(home, "front", "tiny", "--json").out)
    assert timeless(front) == timeless(finished.front)

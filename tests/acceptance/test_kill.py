"""SIGKILL at any moment, eleven times: the study ends as one that nobody has disturbed."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.timeless import timeless
from searcher.latency_plans import KINDS
from searcher.stages.latency_table import CHECK_STAGE, CHECKED_PLANS, FOLDER
from searcher.stages.latency_table import STAGE as TABLE_STAGE
from tests.slimfront.finished import finished_in
from tests.slimfront.material import execute, invoke, start, write_study

# Each start is killed up to so many seconds after its first line of a stage; at once where a stage is over soon, or the
# next one would be missed.
MOMENTS = (
    ("reading 1", 0.5),
    ("study", 0.1),
    ("library", 0.02),
    ("library", 0.1),
    ("quick", 0.0),
    ("quick", 0.0),
    ("rescored", 0.0),
    ("confirmed", 0.0),
    ("confirmed", 0.1),
    ("latency", 0.05),
    ("latency", 0.2),
)
LAST_STAGE = "latency"  # half a second where a core is fast: whoever comes too late for an earlier one is killed in it


def kill(home: Path, arguments: Sequence[str], stages: tuple[str, ...], seconds: float = 0.0) -> str:
    """Starts the command and kills it some time after its first line of one of `stages`, which is returned."""
    with start(home, *arguments) as process:
        assert process.stderr is not None
        found = next((stage for line in process.stderr for stage in stages if line.startswith(stage)), None)
        assert found is not None
        time.sleep(seconds)
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    return found


@pytest.mark.slow
def test_kills_do_not_change_the_front(shared_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished = finished_in(shared_folder / "front-door")
    home = tmp_path / "home"
    # Latencies are measured once on a machine and never twice alike: the table of the undisturbed study holds.
    shutil.copytree(finished.home / "cache" / FOLDER, home / "cache" / FOLDER)
    monkeypatch.setenv("SLIMFRONT_HOME", str(home))
    path = write_study(tmp_path, finished.folder)
    moments = random.Random(20261122)
    stages: set[str] = set()
    killed_in: set[str] = set()
    for stage, most in MOMENTS:
        command = ["resume", "tiny"] if stages else ["run", str(path)]
        killed_in.add(kill(home, command, (stage, LAST_STAGE), moments.uniform(0, most)))
        shown = invoke("list", "--json")
        assert shown.code == 0, shown.err
        for study in json.loads(shown.out):
            assert study["state"] in ("queued", "interrupted")
            stages.add(study["rung"])
    assert {"allocated", "confirmed"} <= stages
    assert killed_in == {stage for stage, _ in MOMENTS}
    last = execute(home, "resume", "tiny")
    assert last.code == 0, last.err
    front = json.loads(execute(home, "front", "tiny", "--json").out)
    assert timeless(front) == timeless(finished.front)
    for row in front["front"]:
        files = [
            folder / "tiny" / str(row["candidate"]) for folder in (home / "artifacts", finished.home / "artifacts")
        ]
        ours, theirs = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in files)
        assert ours == theirs


@pytest.mark.slow
def test_a_latency_table_survives_kills_while_it_is_made(
    shared_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = finished_in(shared_folder / "front-door")
    home = tmp_path / "home"
    monkeypatch.setenv("SLIMFRONT_HOME", str(home))
    path = write_study(tmp_path, finished.folder)
    for number, stage in enumerate((TABLE_STAGE, CHECK_STAGE)):
        kill(home, ["resume", "tiny"] if number else ["run", str(path)], (stage,))
        assert not list((home / "cache" / FOLDER).glob("table-*.json"))
    last = execute(home, "resume", "tiny")
    assert last.code == 0, last.err
    check = json.loads(execute(home, "front", "tiny", "--json").out)["prediction"]["check"]
    assert check["plans"] >= len(KINDS) * CHECKED_PLANS

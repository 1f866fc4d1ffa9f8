"""SIGKILL at any moment, ten times: the study ends as one that nobody has disturbed."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.slimfront.finished import finished_in
from tests.slimfront.material import execute, start, write_study

KILLS = 10
# What differs between two runs of the same study: the clock and what it measures.
CLOCKED = {"latency_ms", "speedup", "seconds", "hardware"}
MOST_SECONDS = 8.0  # of a start before it is killed: long enough to reach the last stages
LEAST_SECONDS = 2.0  # the imports alone take this long on a busy machine


def timeless(value: Any) -> Any:
    """A JSON document without what a clock has measured."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in CLOCKED}
    return [timeless(item) for item in value] if isinstance(value, list) else value


@pytest.mark.slow
def test_ten_kills_do_not_change_the_front(shared_folder: Path, tmp_path: Path) -> None:
    finished = finished_in(shared_folder / "front-door")
    home = tmp_path / "home"
    path = write_study(tmp_path, finished.folder)
    moments = random.Random(20261122)
    stages: set[str] = set()
    for kill in range(KILLS):
        known = json.loads(execute(home, "list", "--json").out) if kill else []
        with start(home, *(["resume", "tiny"] if known else ["run", str(path)])) as process:
            if kill % 2:  # right behind a line of a stage, else at a moment of the clock's
                assert process.stderr is not None
                wanted = moments.choice(["library", "quick", "confirmed", "latency"])
                next((line for line in process.stderr if line.startswith(wanted)), None)
                time.sleep(moments.uniform(0, 0.1))
            else:
                time.sleep(moments.uniform(LEAST_SECONDS, MOST_SECONDS))
            process.kill()
            process.communicate()
        shown = execute(home, "list", "--json")
        assert shown.code == 0, shown.err
        for study in json.loads(shown.out):
            assert study["state"] in ("queued", "interrupted", "succeeded")
            stages.add(study["rung"])
    assert len(stages) > 1, "the kills have all hit the same stage"
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

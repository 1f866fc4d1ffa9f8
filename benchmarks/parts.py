"""What a long benchmark has measured so far: an interrupted one goes on with the part that is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

from benchmarks.material import REPOSITORY

FOLDER = REPOSITORY / "build" / "benchmarks"  # git leaves it out; parts of different commits do not mix


class Parts:
    """JSON documents by name, in a folder that belongs to one benchmark and one commit."""

    def __init__(self, benchmark: str) -> None:
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
        self.folder = FOLDER / f"{benchmark}-{commit.stdout.strip()}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def get(self, name: str, measure: Callable[[], Any]) -> Any:
        """The part `name`, measured and kept if it is not there."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            unfinished = path.with_suffix(".unfinished")
            unfinished.write_text(json.dumps(measure()))
            unfinished.replace(path)
        return json.loads(path.read_text())

    def remove(self) -> None:
        """Forgets all parts, once their results are written."""
        shutil.rmtree(self.folder)

"""What a long benchmark has measured so far: an interrupted one goes on with the part that is missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

from benchmarks.material import REPOSITORY
from storage.files import atomic_write, content_hash

FOLDER = REPOSITORY / "build" / "benchmarks"  # git leaves it out
SOURCES = ("benchmarks", "dashboards", "learners", "objectives", "searcher", "slimfront", "storage")
HASH_LETTERS = 12


class Parts:
    """JSON documents by name, in a folder that belongs to one benchmark and one state of the sources."""

    def __init__(self, benchmark: str) -> None:
        self._sources = _sources_hash()
        self.folder = FOLDER / f"{benchmark}-{self._sources}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def get(self, name: str, measure: Callable[[], Any]) -> Any:
        """The part `name`, measured and kept if it is not there.

        Ends the benchmark where the sources have changed since it began: studies run in processes of their own, which
        would be of the new ones.
        """
        path = self.folder / f"{name}.json"
        if not path.exists():
            figures = measure()
            if _sources_hash() != self._sources:
                raise SystemExit("the sources have changed while they were measured: run the benchmark again")
            atomic_write(path, json.dumps(figures).encode())
        return json.loads(path.read_text())

    def remove(self) -> None:
        """Forgets all parts, once their results are written."""
        shutil.rmtree(self.folder)


def _sources_hash() -> str:
    files = sorted(path for source in SOURCES for path in (REPOSITORY / source).rglob("*.py"))
    return content_hash(*files)[:HASH_LETTERS]

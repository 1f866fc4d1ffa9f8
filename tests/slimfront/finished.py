"""Studies that have run to their ends, made once for all processes that run the tests."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objectives.workload.factory import load_callable
from slimfront.demo.train import train
from storage.files import file_lock
from tests.slimfront.material import NETS, STUDY, Ran, execute, study_text

FINETUNE = """\
[finetune]
finalists = 2
epochs = 1
final_epochs = 3
baseline = true
"""


@dataclass(frozen=True)
class Finished:
    """A study that has run to its end; tests must leave it as it is."""

    home: Path
    folder: Path  # of the study file
    ran: Ran
    front: dict[str, Any]

    def best(self) -> int:
        """A searched candidate of the front."""
        names = {row["candidate"] for row in self.front["baselines"]}
        return next(int(row["candidate"]) for row in self.front["front"] if row["candidate"] not in names)


def trained_in(base: Path) -> Path:
    """The network and its weights in a folder below `base`, trained if they are not there."""
    folder = base / "trained"
    with file_lock(base / "trained.lock"):
        if not (folder / "tiny.safetensors").exists():
            folder.mkdir(exist_ok=True)
            (folder / "nets.py").write_text(NETS)
            (folder / "study.toml").write_text(STUDY)
            train(load_callable(f"{folder / 'nets.py'}:tiny"), folder / "tiny.safetensors", lambda _done, _of: None)
    return folder


def finished_in(base: Path) -> Finished:
    """The study, run by the command line in a process of its own if that has not been done."""
    folder, home, record = trained_in(base), base / "home", base / "ran.json"
    with file_lock(base / "finished.lock"):
        if not record.exists():
            ran = execute(home, "run", "study.toml", cwd=folder)
            record.write_text(json.dumps([ran.code, ran.out, ran.err]))
        code, out, err = json.loads(record.read_text())
        shown = execute(home, "front", "tiny", "--json")
    assert shown.code == 0, err + shown.err
    return Finished(home, folder, Ran(code, out, err), json.loads(shown.out))


def tuned_in(base: Path) -> Finished:
    """The study "tuned", whose finalists are trained, run in a home of its own with the cache of the finished one."""
    finished, home = finished_in(base), base / "tuned-home"
    file, record = finished.folder / "tuned.toml", base / "tuned.json"
    with file_lock(base / "tuned.lock"):
        if not record.exists():
            shutil.copytree(finished.home / "cache", home / "cache")
            file.write_text(study_text(name='"tuned"', size='"5x"') + FINETUNE)
            ran = execute(home, "run", file.name, cwd=finished.folder)
            record.write_text(json.dumps([ran.code, ran.out, ran.err]))
        code, out, err = json.loads(record.read_text())
        shown = execute(home, "front", "tuned", "--json")
    assert shown.code == 0, err + shown.err
    return Finished(home, finished.folder, Ran(code, out, err), json.loads(shown.out))

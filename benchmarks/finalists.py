"""`python -m benchmarks.finalists [MODEL[:ROW] ...]`: fine-tuned finalists on the test split.

Each beside the uniform plan of the same cost that was trained the same way. Writes
benchmarks/results/finalists/MODEL-ROW.json, a row at a time, and docs/benchmarks.md from those that are there.

A row whose file is there is not run again: remove the file for that. An interrupted row is resumed by its study.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass

from benchmarks import finalists_page
from benchmarks.material import MODELS, REPOSITORY, RESULTS, config
from benchmarks.study import write_study
from dashboards.row import make_row
from dashboards.study import DENSE_NUMBER, StudyData, read_study
from searcher.certify import stored_report
from storage.files import atomic_write
from storage.home import Home
from storage.open import open_store
from storage.records.certificate import Certificate, CertificateReport
from storage.records.config import DEFAULT_CANDIDATES
from storage.records.measurement import Rung

FOLDER = RESULTS / "finalists"
HOME = REPOSITORY / "build" / "finalists"  # git leaves it out
FINETUNE = """
[finetune]
finalists = 2
epochs = 1
final_epochs = {epochs}
baseline = true

[certificate]
"""
DONE = (0, 3)  # exit codes of a study that has come to its end, with or without meeting its target


@dataclass(frozen=True)
class Goal:
    """One row of the table."""

    name: str  # of its file
    target: str
    bound: float  # points of drop on the test split, at most
    aim: float
    epochs: int  # of the finalist and of the uniform plan alike; 10 at most
    what: str  # for people


GOALS = (
    Goal("macs-2.5", "macs=2.5x drop<=0.4", 0.4, 0.0, 10, "2.5 times fewer MACs"),
    Goal("macs-3.3", "macs=3.3x drop<=0.7", 0.7, 0.3, 10, "3.3 times fewer MACs"),
    Goal("size-12", "size=12x drop<=0.5", 0.5, 0.0, 4, "12 times smaller file"),
    Goal("size-16", "size=16x drop<=1.2", 1.2, 0.5, 4, "16 times smaller file"),
    Goal("size-24", "size=24x drop<=3", 3.0, 2.0, 6, "24 times smaller file"),
    Goal("latency-3", "latency=3x drop<=1", 1.0, 0.5, 8, "3 times faster than dense fp32, batch 1"),
)


@dataclass(frozen=True)
class Judged:
    """A file on the test split."""

    candidate: int
    name: str  # of a baseline; empty for what the search has found
    drop_val: float  # points on the confirmation images
    drop: float  # points on the test split
    drop_upper: float  # with the confidence of its certificate
    verdict: str
    n: int
    size_ratio: float
    speedup: float | None
    macs_ratio: float


@dataclass(frozen=True)
class RowResult:
    """What one row has given."""

    model: str
    goal: Goal
    seconds: float  # of the whole study by the clock, over all its attempts
    hardware: str
    untrained: float  # points of drop of the primary finalist's plan on the confirmation images, before any training
    found: Judged
    uniform: Judged | None  # None where no uniform plan costs so little
    test_dense: float  # percent of the dense model on the test split


def main(wanted: Sequence[str]) -> None:
    """Runs those of the rows `wanted`, such as "resnet56:size-12" or "resnet20" for all of its rows, that are missing;
    without any all of them."""
    every = {f"{model}:{goal.name}": (model, goal) for model in ("resnet56", "resnet20") for goal in GOALS}
    unknown = [name for name in wanted if name not in every and name not in MODELS]
    if unknown:
        raise SystemExit(f"{unknown[0]} is not known; there are {', '.join(MODELS)} and {', '.join(every)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in wanted or MODELS[::-1]:
        for key, (model, goal) in every.items():
            if name not in (key, model):
                continue
            path = FOLDER / f"{model}-{goal.name}.json"
            if not path.exists():
                print(f"{model}: {goal.what}", flush=True)
                atomic_write(path, (json.dumps(asdict(_run(model, goal)), indent=1) + "\n").encode())
            finalists_page.write(FOLDER)


def _run(model: str, goal: Goal) -> RowResult:
    """Runs, or resumes, the study of a row, and looks at the test split."""
    HOME.mkdir(parents=True, exist_ok=True)
    name = f"{model}-{goal.name}"
    file = write_study(config(model, name, goal.target), HOME, DEFAULT_CANDIDATES)
    file.write_text(file.read_text() + FINETUNE.format(epochs=goal.epochs))
    with closing(open_store(Home(HOME).database_url)) as store:
        known = {study.name for study in store.studies()}
    _call(["resume", name] if name in known else ["run", str(file)])
    with closing(open_store(Home(HOME).database_url)) as store:
        certified = stored_report(store, name) is not None
    if not certified:  # other rows have used the split before
        _call(["certify", name, "--again"])
    with closing(open_store(Home(HOME).database_url)) as store:
        report, data = stored_report(store, name), read_study(store, name)
    assert report is not None
    return _result(model, goal, data, report)


def _call(arguments: Sequence[str]) -> None:
    """A command of slimfront's, whose progress goes to this one's stderr."""
    variables = {**os.environ, "SLIMFRONT_HOME": str(HOME), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", "slimfront", *arguments], env=variables, check=False)
    if done.returncode not in DONE:
        raise SystemExit(f"slimfront {' '.join(arguments)} ended with {done.returncode}")


def _result(model: str, goal: Goal, data: StudyData, report: CertificateReport) -> RowResult:
    judged = {item.number: _judged(data, item) for item in report.certificates}
    primary = report.certificates[0].number
    origin = data.trials[primary]
    while origin.parent is not None:
        origin = data.trials[origin.parent]
    uniform = [number for number in judged if data.trials[number].baseline is not None]
    dense = data.results[Rung.TESTED][DENSE_NUMBER].value("accuracy")
    return RowResult(
        model=model,
        goal=goal,
        seconds=data.study.seconds,
        hardware=data.hardware or "",
        untrained=data.files[origin.number].value("drop"),
        found=judged[primary],
        uniform=judged[uniform[0]] if uniform else None,
        test_dense=dense,
    )


def _judged(data: StudyData, item: Certificate) -> Judged:
    row = make_row(data, item.number)
    assert row is not None
    assert row.drop is not None
    return Judged(
        candidate=item.number,
        name=data.trials[item.number].baseline or "",
        drop_val=row.drop,
        drop=item.drop,
        drop_upper=item.drop_upper,
        verdict=item.verdict.value,
        n=item.n,
        size_ratio=row.size_ratio,
        speedup=row.speedup,
        macs_ratio=row.macs_ratio,
    )


if __name__ == "__main__":
    main(sys.argv[1:])

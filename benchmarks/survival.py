"""`python -m benchmarks.survival [MODEL ...]`: studies of 300 on the clock, and what of their search survives.

Writes benchmarks/results/survival-MODEL.json and survival.md. Each study runs by the command line with its defaults,
from nothing to files that are confirmed and timed. Quick scores chose the rows on a few images, then a second score on
more; confirmation judges them on others. A seed draws the images of all of them, the calibration's, too.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.material import MODELS, RESULTS, config
from benchmarks.parts import Parts
from benchmarks.study import run, write_study
from objectives.hypervolume import normalised
from searcher.contenders import deciding_scores
from searcher.front import QUICK_OBJECTIVE
from storage.home import Home
from storage.open import open_store
from storage.records.measurement import Result, Rung

SEEDS = (0, 1, 2)
CANDIDATES = 300
TARGET = "size=10x drop<=1"
DENSE = 1  # its trial number


@dataclass(frozen=True)
class Row:
    """A searched row of the front: drops in points below the dense model on the same images."""

    candidate: int
    size_ratio: float
    soft_drop: float  # of the probability of the true class, on the images of both scores: what ranked it
    quick_drop: float  # of the accuracy, on the quick images
    both_drop: float  # of the accuracy, on the images of both scores
    drop: float  # of the accuracy, on the confirmation images


@dataclass(frozen=True)
class Survival:
    """One study."""

    seed: int
    wall_seconds: float
    cpu_seconds: float
    quick_images: int
    both_images: int
    confirmation_images: int
    rows: tuple[Row, ...]
    quick_hypervolume: float  # of the rows, by their drops on the quick images
    both_hypervolume: float  # by those on the images of both scores
    hypervolume: float  # of the same rows, on the confirmation images


def measure(model: str, seed: int) -> Survival:
    """Runs the study in a home of its own."""
    name = f"{model}-{CANDIDATES}"
    settings = config(model, name, TARGET).model_copy(update={"seed": seed})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        done = run(write_study(settings, folder, CANDIDATES), name, folder / "home")
        store = open_store(Home(folder / "home").database_url)
        quick, confirmed = (
            {item.number: item for item in store.results(name, rung)} for rung in (Rung.QUICK, Rung.CONFIRMED)
        )
        both = deciding_scores(store, name)
        searched = {trial.number for trial in store.trials(name) if trial.is_searched}
        numbers = [row.number for row in store.front(name) if row.number in searched]
        store.close()
    dense_quick, dense_both, dense = quick[DENSE], both[DENSE], confirmed[DENSE]
    rows = [
        Row(
            candidate=number,
            size_ratio=dense.value("size") / confirmed[number].value("size"),
            soft_drop=dense_both.value(QUICK_OBJECTIVE) - both[number].value(QUICK_OBJECTIVE),
            quick_drop=dense_quick.value("accuracy") - quick[number].value("accuracy"),
            both_drop=dense_both.value("accuracy") - both[number].value("accuracy"),
            drop=confirmed[number].value("drop"),
        )
        for number in numbers
    ]
    ratios = [row.size_ratio for row in rows]
    by_quick, by_both = ([-row.quick_drop for row in rows], [-row.both_drop for row in rows])
    return Survival(
        seed=seed,
        wall_seconds=done.wall_seconds,
        cpu_seconds=done.cpu_seconds,
        quick_images=_images(dense_quick),
        both_images=_images(dense_both),
        confirmation_images=_images(dense),
        rows=tuple(sorted(rows, key=lambda row: row.size_ratio)),
        quick_hypervolume=normalised(by_quick, 0.0, ratios),
        both_hypervolume=normalised(by_both, 0.0, ratios),
        hypervolume=normalised([-row.drop for row in rows], 0.0, ratios),
    )


def _images(result: Result) -> int:
    return next(item.samples for item in result.measurements if item.objective == "accuracy")


def write_table(folder: Path) -> None:
    """Writes survival.md from every survival-MODEL.json that exists."""
    lines = [
        "# Studies of 300 candidates, and what of the search survives confirmation",
        "",
        "Written by `python -m benchmarks.survival`: `slimfront run` with its defaults from nothing, files exported,",
        "confirmed and timed. A seed draws all images. Quick scores are of a few images; together with the second ones",
        "they chose the rows. Drops in points below the dense model on the same images. Hypervolumes are of the",
        "searched rows, by each of the three; a row loses so much of its accuracy by quick score, and of that by both",
        "scores, when it is confirmed: mean and standard deviation over the rows. What workers compute is not in the",
        "CPU seconds.",
    ]
    for model in MODELS:
        path = folder / f"survival-{model}.json"
        if path.exists():
            document = json.loads(path.read_text())
            lines += ["", f"## {model}", "", f"`{document['command']}`, {document['date']}.", ""]
            lines += _tables([_read(item) for item in document["studies"]])
    (folder / "survival.md").write_text("\n".join(lines) + "\n")


def _read(document: dict[str, Any]) -> Survival:
    return Survival(**{**document, "rows": tuple(Row(**row) for row in document["rows"])})


def _tables(studies: Sequence[Survival]) -> list[str]:
    """A line each study, and the rows of the first one."""
    first = studies[0]
    lines = [
        f"| seed | seconds | CPU-s of the command | rows | by quick score ({first.quick_images} images) "
        f"| by both ({first.both_images}) | confirmed ({first.confirmation_images}) | lost of quick | lost of both |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for study in studies:
        quick, both = (_lost(study.rows, field) for field in ("quick_drop", "both_drop"))
        volumes = (study.quick_hypervolume, study.both_hypervolume, study.hypervolume)
        lines.append(
            f"| {study.seed} | {study.wall_seconds:.0f} | {study.cpu_seconds:.0f} | {len(study.rows)} "
            f"| {' | '.join(f'{volume:.3f}' for volume in volumes)} | {quick} | {both} |"
        )
    lines += [
        "",
        f"The rows of seed {first.seed}:",
        "",
        "| candidate | times smaller | drop of soft accuracy | by quick score | by both scores | confirmed |",
        "|---|---|---|---|---|---|",
    ]
    for row in first.rows:
        drops = " | ".join(f"{drop:.2f}" for drop in (row.soft_drop, row.quick_drop, row.both_drop, row.drop))
        lines.append(f"| {row.candidate} | {row.size_ratio:.1f} | {drops} |")
    return lines


def _lost(rows: Sequence[Row], field: str) -> str:
    found = np.array([row.drop - getattr(row, field) for row in rows])
    return f"{found.mean():.2f} ± {found.std(ddof=1):.2f}"


def main(models: Sequence[str]) -> None:
    """Measures and writes."""
    for model in models or MODELS:
        parts = Parts(f"survival-{model}")
        studies = []
        for seed in SEEDS:
            studies.append(parts.get(str(seed), partial(_document, model, seed)))
            print(f"{model} {seed}: {studies[-1]['wall_seconds']:.0f} s", file=sys.stderr)
        document = {
            "command": f"python -m benchmarks.survival {model}",
            "date": time.strftime("%Y-%m-%d"),
            "studies": studies,
        }
        (RESULTS / f"survival-{model}.json").write_text(json.dumps(document, indent=1) + "\n")
        write_table(RESULTS)
        parts.remove()
    print((RESULTS / "survival.md").read_text())


def _document(model: str, seed: int) -> dict[str, Any]:
    return asdict(measure(model, seed))


if __name__ == "__main__":
    main(sys.argv[1:])

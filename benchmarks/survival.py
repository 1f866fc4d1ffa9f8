"""`python -m benchmarks.survival [MODEL ...]`: a study of 300 candidates on the clock, and what of its search survives.

Writes benchmarks/results/survival-MODEL.json and survival.md. The study runs by the command line with its defaults,
from nothing to files that are confirmed and timed. Quick scores chose the rows on a few images, then a second score on
more; confirmation judges them on others.
"""

from __future__ import annotations

import json
import sys
import tempfile
import textwrap
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.material import MODELS, RESULTS, config
from benchmarks.study import run, write_study
from objectives.hypervolume import normalised
from searcher.contenders import deciding_scores
from searcher.front import QUICK_OBJECTIVE
from storage.home import Home
from storage.open import open_store
from storage.records.measurement import Result, Rung

CANDIDATES = 300
TARGET = "size=10x drop<=1"
DENSE = 1  # its trial number
WIDTH = 110  # of a line of text


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

    wall_seconds: float
    cpu_seconds: float
    quick_images: int
    both_images: int
    confirmation_images: int
    rows: tuple[Row, ...]
    quick_hypervolume: float  # of the rows, by their drops on the quick images
    both_hypervolume: float  # by those on the images of both scores
    hypervolume: float  # of the same rows, on the confirmation images


def measure(model: str) -> Survival:
    """Runs the study in a home of its own."""
    name = f"{model}-{CANDIDATES}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        done = run(write_study(config(model, name, TARGET), folder, CANDIDATES), name, folder / "home")
        store = open_store(Home(folder / "home").database_url)
        quick, confirmed = (
            {item.number: item for item in store.results(name, rung)} for rung in (Rung.QUICK, Rung.CONFIRMED)
        )
        both = deciding_scores(store, name)
        searched = {trial.number for trial in store.trials(name) if trial.baseline is None}
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
        "Written by `python -m benchmarks.survival`: `slimfront run` with its defaults, files exported, confirmed and",
        "timed. Drops in points below the dense model on the same images. Quick scores are of a few images; together",
        "with the second ones they chose the rows.",
    ]
    for model in MODELS:
        path = folder / f"survival-{model}.json"
        if path.exists():
            document = json.loads(path.read_text())
            found = document["figures"]
            rows = [Row(**item) for item in found["rows"]]
            quick, both = (
                np.array([row.drop - getattr(row, field) for row in rows]) for field in ("quick_drop", "both_drop")
            )
            lines += ["", f"## {model}", "", f"`{document['command']}`, {document['date']}.", ""]
            text = (
                f"{found['wall_seconds']:.0f} s on the clock, {found['cpu_seconds']:.0f} CPU-s. "
                f"Hypervolume of the {len(rows)} searched rows by quick score ({found['quick_images']} images) "
                f"{found['quick_hypervolume']:.3f}, by both scores ({found['both_images']} images) "
                f"{found['both_hypervolume']:.3f}, confirmed ({found['confirmation_images']} images) "
                f"{found['hypervolume']:.3f}; a row loses {quick.mean():.2f} ± {quick.std(ddof=1):.2f} points of its "
                f"quick accuracy, {both.mean():.2f} ± {both.std(ddof=1):.2f} of that by both scores."
            )
            lines += [
                *textwrap.wrap(text, WIDTH),
                "",
                "| candidate | times smaller | drop of soft accuracy | by quick score | by both scores | confirmed |",
                "|---|---|---|---|---|---|",
            ]
            for row in rows:
                drops = " | ".join(f"{drop:.2f}" for drop in (row.soft_drop, row.quick_drop, row.both_drop, row.drop))
                lines.append(f"| {row.candidate} | {row.size_ratio:.1f} | {drops} |")
    (folder / "survival.md").write_text("\n".join(lines) + "\n")


def main(models: Sequence[str]) -> None:
    """Measures and writes."""
    for model in models or MODELS:
        document = {
            "command": f"python -m benchmarks.survival {model}",
            "date": time.strftime("%Y-%m-%d"),
            "figures": asdict(measure(model)),
        }
        (RESULTS / f"survival-{model}.json").write_text(json.dumps(document, indent=1) + "\n")
    write_table(RESULTS)
    print((RESULTS / "survival.md").read_text())


if __name__ == "__main__":
    main(sys.argv[1:])

"""`python -m benchmarks [MODEL ...]`: measures, prints, and writes benchmarks/results/MODEL.json and README.md."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import allocation, criteria
from benchmarks.baselines import rounded
from benchmarks.compare import SPEED, compare
from benchmarks.material import REPOSITORY, RESULTS, config
from benchmarks.quick import Silent, measure
from benchmarks.report import write_readme, write_report
from benchmarks.study import StudyRun, at_size, largest_size_error, recomputed, run, write_study
from searcher.latency_check import UNSEEN, check_table
from searcher.stages.prepare import open_library, prepare
from storage.home import Home
from storage.open import open_store
from storage.records.latency import LatencyTable

MODELS = ("resnet20", "resnet56")
PLANS = 100
# The sizes at which Sony's Model Compression Toolkit was run on the same models and val split.
RATIOS = (8, 10, 12)
TARGET = "size=10x drop<=1"
ROUNDED_WIDTHS = (3, 4)
CRITERIA_MODEL = "resnet20"
# Studies beside the joint one, on the same images: learners, and the target.
ALONE: Mapping[str, tuple[tuple[str, ...], str]] = {
    "bits alone": (("quant",), TARGET),
    "channels alone": (("channel",), "macs=1.3x drop<=1"),
    "joint, for speed": (("channel", "quant"), "latency=2x drop<=1"),
    "joint, for MACs": (("channel", "quant"), "macs=1.3x drop<=1"),
}
# Which joint study is to be nowhere worse than which other one, and in what; None is the joint one for size.
COMPARED: tuple[tuple[str | None, str, str], ...] = (
    (None, "bits alone", "size"),
    (None, "channels alone", "size"),
    ("joint, for MACs", "channels alone", "macs"),
    ("joint, for speed", "bits alone", SPEED),
    ("joint, for speed", "channels alone", SPEED),
)


def main(models: list[str]) -> None:
    """Runs everything for each model."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    for model in models or MODELS:
        figures = benchmark(model)
        (RESULTS / f"{model}.json").write_text(json.dumps(figures, indent=1) + "\n")
    write_report(RESULTS, MODELS)
    write_readme(REPOSITORY / "README.md", RESULTS, MODELS)
    print((RESULTS / "README.md").read_text())


def benchmark(model: str) -> dict[str, Any]:
    """All figures of one model."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _say(model, "library and quick scores")
        home = folder / "home"
        quick = measure(model, home)
        _say(model, f"a joint study of {PLANS} plans")
        name = f"{model}-joint"
        study = _study(model, name, TARGET, folder)
        files = recomputed(home, name, study.front)
        sizes = {str(ratio): at_size(home, name, ratio) for ratio in RATIOS}
        alone = {}
        for title, (learners, target) in ALONE.items():
            _say(model, title)
            alone[title] = _study(model, _name(model, title), target, folder, learners)
        _say(model, "latency table and allocation")
        figures = {
            "model": model,
            "command": f"python -m benchmarks {model}",
            "date": time.strftime("%Y-%m-%d"),
            "hardware": study.front["hardware"],
            "quick": {**asdict(quick), "over_rounding": quick.over_rounding, "over_gptq": quick.over_gptq},
            "study": {"plans": PLANS, "wall_seconds": study.wall_seconds, "cpu_seconds": study.cpu_seconds},
            "front": study.front,
            "alone": {title: item.front for title, item in alone.items()},
            "compared": [
                asdict(compare(home, name if ours is None else _name(model, ours), _name(model, other), cost))
                for ours, other, cost in COMPARED
            ],
            "at_size": {ratio: asdict(found) for ratio, found in sizes.items()},
            "rounded": {str(bits): rounded(model, home, bits) for bits in ROUNDED_WIDTHS},
            "size_error": largest_size_error(home, name),
            "recomputed": files,
            **_tables(model, home, name),
        }
        if model == CRITERIA_MODEL:
            _say(model, "criteria")
            figures["criteria"] = [asdict(row) for row in criteria.measure(model, folder / "criteria")]
        return figures


def _study(model: str, name: str, target: str, folder: Path, learners: tuple[str, ...] = ()) -> StudyRun:
    return run(write_study(config(model, name, target), folder, PLANS, learners), name, folder / "home")


def _name(model: str, title: str) -> str:
    return f"{model}-{title.replace(', ', '-').replace(' ', '-')}"


def _tables(model: str, home: Path, study: str) -> dict[str, Any]:
    """The latency table against whole models, and what one allocation under two budgets takes."""
    prepared = prepare(config(model, study, TARGET), Silent())
    library = open_library(prepared, Home(home), lambda *_: None)
    store = open_store(Home(home).database_url)
    analysis = store.analysis(study)
    store.close()
    assert analysis is not None
    assert analysis.latency_json is not None
    table = LatencyTable.from_json(analysis.latency_json)
    check = check_table(library, table, prepared.config.runtime, (UNSEEN, 0))
    return {
        "latency": {kind: asdict(error) for kind, error in check.errors.items()},
        "allocation": asdict(allocation.measure(library.space, table)),
    }


def _say(model: str, text: str) -> None:
    print(f"{model}: {text}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])

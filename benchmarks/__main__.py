"""`python -m benchmarks [MODEL ...]`: measures, prints, and writes benchmarks/results/MODEL.json and README.md.

An interrupted run goes on with the part that it was at.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

from benchmarks import criteria, tables
from benchmarks.baselines import rounded
from benchmarks.compare import BASELINES, SPEED, compare
from benchmarks.fastest import measure_fastest
from benchmarks.material import MODELS, REPOSITORY, RESULTS, config
from benchmarks.parts import Parts
from benchmarks.quick import Silent, measure
from benchmarks.report import write_readme, write_report
from benchmarks.study import StudyRun, at_size, delete, largest_size_error, recomputed, run, write_study
from searcher.stages.prepare import open_library, prepare
from storage.home import Home
from storage.open import open_store
from storage.records.config import DEFAULT_CANDIDATES
from storage.records.latency import LatencyTable

# The sizes at which Sony's Model Compression Toolkit was run on the same models and val split.
RATIOS = (8, 10, 12)
TARGET = "size=10x drop<=1"
ROUNDED_WIDTHS = (3, 4)
CRITERIA_MODEL = "resnet20"
FOR_SPEED = "joint, for speed"
FOR_MACS = "joint, for MACs"


@dataclass(frozen=True)
class Alone:
    """A study beside the joint one, on the same images."""

    learners: tuple[str, ...]
    target: str
    search_seed: int | None = None


BOTH = ("channel", "quant")
# Those again are another throw of a search: what two throws differ by is chance.
ALONE: Mapping[str, Alone] = {
    "bits alone": Alone(("quant",), TARGET),
    "bits alone, again": Alone(("quant",), TARGET, search_seed=1),
    "channels alone": Alone(("channel",), "macs=1.3x drop<=1"),
    "channels alone, again": Alone(("channel",), "macs=1.3x drop<=1", search_seed=1),
    FOR_SPEED: Alone(BOTH, "latency=2x drop<=1"),
    FOR_MACS: Alone(BOTH, "macs=1.3x drop<=1"),
}
BITS = ("bits alone", "bits alone, again")
CHANNELS = ("channels alone", "channels alone, again")
# Which joint study is to be nowhere worse than which other one, and in what; None is the joint one for size. One
# learner beside itself tells how far two throws of one search are apart.
COMPARED: tuple[tuple[str | None, str, str], ...] = (
    *((None, other, "size") for other in BITS),
    *((first, second, "size") for first, second in permutations(BITS)),
    (None, "channels alone", "size"),
    *((FOR_MACS, other, "macs") for other in CHANNELS),
    *((first, second, "macs") for first, second in permutations(CHANNELS)),
    (FOR_SPEED, "bits alone", SPEED),
    (FOR_SPEED, "channels alone", SPEED),
    (None, BASELINES, "size"),
    (FOR_MACS, BASELINES, "macs"),
    (FOR_SPEED, BASELINES, SPEED),
)


def main(models: list[str]) -> None:
    """Runs everything for each model; what an interrupted run of the same sources has measured is not run again."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    for model in models or MODELS:
        parts = Parts(model)
        figures = benchmark(model, parts)
        (RESULTS / f"{model}.json").write_text(json.dumps(figures, indent=1) + "\n")
        write_report(RESULTS, MODELS)
        write_readme(REPOSITORY / "README.md", RESULTS, MODELS)
        parts.remove()
    print((RESULTS / "README.md").read_text())


def benchmark(model: str, parts: Parts) -> dict[str, Any]:
    """All figures of one model."""
    home = parts.folder / "home"
    name = f"{model}-joint"
    return {
        "model": model,
        "command": f"python -m benchmarks {model}",
        "date": time.strftime("%Y-%m-%d"),
        "quick": parts.get("quick", lambda: _quick(model, home)),
        **parts.get("joint", lambda: _joint(model, name, parts.folder)),
        "alone": {
            title: parts.get(_name(model, title), partial(_alone, model, title, parts.folder)) for title in ALONE
        },
        "compared": [
            parts.get(f"compared-{index}", partial(_compared, model, name, home, *pair))
            for index, pair in enumerate(COMPARED)
        ],
        "fastest": parts.get("fastest", lambda: _fastest(home, _name(model, FOR_SPEED))),
        **parts.get("tables", lambda: _tables(model, home, name)),
        **(parts.get("criteria", lambda: _criteria(model, parts.folder)) if model == CRITERIA_MODEL else {}),
    }


def _quick(model: str, home: Path) -> dict[str, Any]:
    _say(model, "library and quick scores")
    shutil.rmtree(home, ignore_errors=True)  # of an interrupted attempt: the library is to be built
    quick = measure(model, home)
    return {**asdict(quick), "over_rounding": quick.over_rounding, "over_gptq": quick.over_gptq}


def _joint(model: str, name: str, folder: Path) -> dict[str, Any]:
    _say(model, f"a joint study of {DEFAULT_CANDIDATES} plans")
    home = folder / "home"
    study = _study(model, name, folder, Alone(BOTH, TARGET))
    return {
        "hardware": study.front["hardware"],
        "study": {"plans": DEFAULT_CANDIDATES, "wall_seconds": study.wall_seconds, "cpu_seconds": study.cpu_seconds},
        "front": study.front,
        "at_size": {str(ratio): asdict(found) for ratio in RATIOS if (found := at_size(home, name, ratio)) is not None},
        "rounded": {str(bits): rounded(model, home, bits) for bits in ROUNDED_WIDTHS},
        "size_error": largest_size_error(home, name),
        "recomputed": recomputed(home, name, study.front),
    }


def _alone(model: str, title: str, folder: Path) -> dict[str, Any]:
    return _study(model, _name(model, title), folder, ALONE[title]).front


def _compared(model: str, joint: str, home: Path, ours: str | None, other: str, cost: str) -> dict[str, Any]:
    name = joint if ours is None else _name(model, ours)
    return asdict(compare(home, name, other if other == BASELINES else _name(model, other), cost))


def _fastest(home: Path, study: str) -> dict[str, Any] | None:
    found = measure_fastest(home, study)
    return None if found is None else {**asdict(found), "ratios": found.ratios}


def _study(model: str, name: str, folder: Path, asked: Alone) -> StudyRun:
    """A study run from its beginning: what an interrupted attempt has left goes, or its times would be of a part."""
    _say(model, f"study {name}")
    delete(name, folder / "home")
    settings = config(model, name, asked.target)
    file = write_study(settings, folder, DEFAULT_CANDIDATES, asked.learners, asked.search_seed)
    return run(file, name, folder / "home")


def _criteria(model: str, folder: Path) -> dict[str, Any]:
    _say(model, "criteria")
    return {"criteria": [asdict(row) for row in criteria.measure(model, folder / "criteria")]}


def _name(model: str, title: str) -> str:
    return f"{model}-{title.replace(', ', '-').replace(' ', '-')}"


def _tables(model: str, home: Path, study: str) -> dict[str, Any]:
    """The latency table against whole models, and what one allocation under two budgets takes."""
    _say(model, "latency table and allocation")
    prepared = prepare(config(model, study, TARGET), Silent())
    library = open_library(prepared, Home(home), lambda *_: None)
    store = open_store(Home(home).database_url)
    analysis = store.analysis(study)
    store.close()
    assert analysis is not None
    assert analysis.latency_json is not None
    table = LatencyTable.from_json(analysis.latency_json)
    return tables.measure(library, prepared.config.runtime, table)


def _say(model: str, text: str) -> None:
    print(f"{model}: {text}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])

"""`python -m benchmarks.tables [MODEL ...]`: a latency table made anew, beside whole models, and allocation by it.

`python -m benchmarks` measures the same with the table of its joint study. This takes minutes, and replaces these
figures alone in benchmarks/results/MODEL.json, which then say so.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import allocation
from benchmarks.material import MODELS, REPOSITORY, RESULTS, config
from benchmarks.quick import Silent
from benchmarks.report import write_readme, write_report
from learners.library.library import Library
from searcher.latency_check import UNSEEN, check_table
from searcher.stages.latency_table import open_or_measure
from searcher.stages.prepare import open_library, prepare
from storage.home import Home
from storage.records.config import RuntimeConfig
from storage.records.latency import LatencyTable

TARGET = "size=10x drop<=1"


def measure(library: Library, runtime: RuntimeConfig, table: LatencyTable) -> dict[str, Any]:
    """How well a table predicts whole models that it has not seen, and what allocation under two budgets takes."""
    check = check_table(library, table, runtime, (UNSEEN, 0))
    return {
        "latency": {kind: asdict(error) for kind, error in check.errors.items()},
        "allocation": asdict(allocation.measure(library.space, table)),
    }


def measure_anew(model: str, home: Home) -> dict[str, Any]:
    """The same, of a table that is made now."""
    prepared = prepare(config(model, f"{model}-tables", TARGET), Silent())
    home.prepare()
    library = open_library(prepared, home, lambda *_: None)
    started = time.monotonic()
    table = open_or_measure(library, prepared.config.runtime, home, Silent())
    seconds = time.monotonic() - started
    made = {
        "command": f"python -m benchmarks.tables {model}",
        "date": time.strftime("%Y-%m-%d"),
        "seconds": seconds,
    }
    return {**measure(library, prepared.config.runtime, table), "tables": made}


def main(models: Sequence[str]) -> None:
    """Measures and writes."""
    for model in models or MODELS:
        with tempfile.TemporaryDirectory() as folder:
            figures = measure_anew(model, Home(Path(folder)))
        path = RESULTS / f"{model}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **figures}, indent=1) + "\n")
        write_report(RESULTS, MODELS)
        write_readme(REPOSITORY / "README.md", RESULTS, MODELS)
        print(json.dumps({"made": figures["tables"], **figures["latency"]}, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])

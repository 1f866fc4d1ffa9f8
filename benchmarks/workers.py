"""`python -m benchmarks.workers [MODEL]`: quick scores a second of this process, of one and of two Ray workers.

The same candidates in the batches of a study, on started workers. Writes benchmarks/results/workers-MODEL.json.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.material import RESULTS, config
from benchmarks.quick import Silent
from learners.pool.base import Pool
from learners.pool.inline import InlinePool
from learners.pool.ray_pool import RayPool
from learners.score import visiting_order
from learners.steps import find_steps
from searcher.samplers.base import SamplerContext
from searcher.samplers.table import sampler
from searcher.stages.prepare import open_library, prepare, score_task
from storage.home import Home

BATCHES = 3
BATCH = 48
POOLS: Mapping[str, Callable[[], Pool]] = {
    "inline": InlinePool,
    "1 worker": lambda: RayPool(1),
    "2 workers": lambda: RayPool(2),
}


def measure(model: str, folder: Path) -> dict[str, object]:
    """Scores a second of wall time by pool, starting not counted, and the seconds that starting took."""
    prepared = prepare(config(model, f"{model}-workers", "size=10x drop<=1"), Silent())
    library = open_library(prepared, Home(folder), lambda *_: None)
    proposer = sampler("allocation", SamplerContext(library.space, library.id, 0, ()))
    steps = find_steps(library)
    batches = []
    for _ in range(BATCHES):
        asked = list(proposer.ask(BATCH))
        batches.append([asked[index] for index in visiting_order(steps, asked)])
    task = score_task(prepared.config, library, prepared.workload.quick)
    rates, starts = {}, {}
    for name, make in POOLS.items():
        with make() as pool:
            started = time.monotonic()
            list(pool.run(task, batches[0][: pool.workers], print))
            starts[name] = time.monotonic() - started
            started = time.monotonic()
            for batch in batches:
                outcomes = list(pool.run(task, batch, print))
                assert all(item.error is None for item in outcomes)
            rates[name] = BATCHES * BATCH / (time.monotonic() - started)
    return {
        "command": f"python -m benchmarks.workers {model}",
        "date": time.strftime("%Y-%m-%d"),
        "scores_a_second": rates,
        "start_seconds": starts,
        "two_over_one": rates["2 workers"] / rates["1 worker"],
    }


def main(models: Sequence[str]) -> None:
    """Measures and writes."""
    for model in models or ("resnet20",):
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(model, Path(folder))
        (RESULTS / f"workers-{model}.json").write_text(json.dumps(figures, indent=1) + "\n")
        print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])

"""`python -m benchmarks.overhead [MODEL]`: what controller, store and front cost a candidate when scores cost nothing.

Runs the stage of quick scores over 5,000 candidates with a pool that makes scores up from the additive error, on a real
SQLite store. The sampler is `random`, whose own time, measured apart, is taken off. Such scores are committed a batch
at a time; real ones every two seconds, for which the front is found more often: `front_ms` is what that takes at the
end, when it is largest, and `total_ms` a candidate's share of it, at five candidates a second, on top of `cpu_ms`.
Writes benchmarks/results/overhead-MODEL.json.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np

from benchmarks.material import RESULTS, config
from benchmarks.quick import Silent
from learners.pool.base import J, Note, Outcome, R, Task
from learners.score import QuickScore
from searcher.front import quick_front, rows
from searcher.samplers.base import SamplerContext, Scored
from searcher.samplers.table import sampler
from searcher.stages.context import Clock, StudyContext
from searcher.stages.latency_table import open_or_measure
from searcher.stages.prepare import analyse_dense, open_library, prepare
from searcher.stages.quick import search as run_search
from searcher.stages.scoring import COMMIT_SECONDS
from storage.home import Home
from storage.open import open_store
from storage.records.candidate import Candidate
from storage.records.dense import DenseFacts
from storage.records.lease import DEFAULT_LEASE_SECONDS, new_process, owner_text
from storage.records.measurement import Rung
from storage.records.space import SearchSpace

CANDIDATES = 5000
IMAGES = 256
SCORES_A_SECOND = 5
SPREAD = 0.03  # of made-up scores around what the error says


class MadeUpPool:
    """Scores in no time."""

    workers = 1

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._generator = np.random.default_rng(0)

    def start(self) -> None:
        """There is nobody to start."""

    def run(
        self,
        task: Task[J, R],  # noqa: ARG002  (nothing is opened)
        jobs: Sequence[J],
        note: Note,  # noqa: ARG002  (no worker dies)
        apart: bool = False,  # noqa: ARG002  (nobody waits)
    ) -> Generator[Outcome[R], None, None]:
        """See `Pool.run`."""
        for index, job in enumerate(jobs):
            assert isinstance(job, Candidate)
            mean = max(0.1, 0.9 - self._space.error(job.levels) / 2)
            soft = np.clip(self._generator.normal(mean, SPREAD, IMAGES), 0, 1).astype(np.float32)
            score = QuickScore(soft=soft, metric=(soft > mean - SPREAD).astype(np.float32))
            yield Outcome(index, cast("R", score), 0.0)

    def close(self) -> None:
        """There is nothing to stop."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def sampler_seconds(context: StudyContext) -> float:
    """CPU seconds that the sampler itself takes for as many candidates."""
    space, search = context.space, context.config.search
    started = time.process_time()
    proposer = sampler(search.sampler, SamplerContext(space, context.library.id, 0, (), latency=context.latency))
    done = 0
    while done < CANDIDATES:
        asked = proposer.ask(min(proposer.batch, CANDIDATES - done))
        proposer.tell([Scored(item, 0.0, 0, 0.0) for item in asked])
        done += len(asked)
    return time.process_time() - started


def made_up_study(
    model: str, folder: Path, url: str | None = None, candidates: int = CANDIDATES, name: str = "random"
) -> StudyContext:
    """A study of which only the scores are made up, before its search, by the sampler of that name."""
    base = config(model, f"{model}-overhead", "size=10x drop<=1")
    search = base.search.model_copy(update={"candidates": candidates, "sampler": name})
    prepared = prepare(base.model_copy(update={"search": search}), Silent())
    home = Home(folder, url)
    home.prepare()
    library = open_library(prepared, home, lambda *_: None)
    analysis, _ = analyse_dense(prepared, library)
    store = open_store(home.database_url)
    study = prepared.config.name
    store.create_study(study, prepared.config.to_json())
    lease = store.claim(study, owner_text(home.place, new_process()), DEFAULT_LEASE_SECONDS)
    return StudyContext(
        name=study,
        config=prepared.config,
        store=store.under(lease),  # as a controller writes
        home=home,
        workload=prepared.workload,
        library=library,
        dense=DenseFacts.from_json(analysis.dense_json),
        progress=Silent(),
        clock=Clock(0.0),
        latency=open_or_measure(library, prepared.config.runtime, home, Silent()),
        pool=MadeUpPool(library.space),
    )


def measure(model: str, folder: Path) -> dict[str, Any]:
    """CPU and wall milliseconds a candidate."""
    context = made_up_study(model, folder)
    store, name, library = context.store, context.name, context.library

    cpu, wall = time.process_time(), time.monotonic()
    run_search(context)
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    own = sampler_seconds(context)
    results = store.results(name, Rung.QUICK)
    front = quick_front(results)
    new = results[-int(COMMIT_SECONDS * SCORES_A_SECOND) :]
    started = time.process_time()
    rows(quick_front([*front, *new]))
    front_ms = 1000 * (time.process_time() - started)
    cpu_ms = 1000 * (cpu - own) / CANDIDATES
    store.close()
    return {
        "command": f"python -m benchmarks.overhead {model}",
        "date": time.strftime("%Y-%m-%d"),
        "sites": len(library.space.sites),
        "candidates": CANDIDATES,
        "cpu_ms": cpu_ms,
        "front_ms": front_ms,
        "total_ms": cpu_ms + front_ms / (COMMIT_SECONDS * SCORES_A_SECOND),
        "wall_ms": 1000 * (wall - own) / CANDIDATES,
        "sampler_cpu_ms": 1000 * own / CANDIDATES,
    }


def main(models: Sequence[str]) -> None:
    """Measures and writes."""
    for model in models or ("resnet56",):
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(model, Path(folder))
        (RESULTS / f"overhead-{model}.json").write_text(json.dumps(figures, indent=1) + "\n")
        print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])

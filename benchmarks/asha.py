"""`python -m benchmarks.asha`: four finalists trained by plain jobs, an epoch each, and by Ray Tune's ASHA.

Needs `pip install 'ray[tune]'` beside Slimfront. Both train on two workers, by the same code from the same checkpoints:
all for one epoch, half of them for four. Writes benchmarks/results/asha.md.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.material import RESULTS, config
from benchmarks.quick import Silent
from learners.finetune.checkpoint import EpochReport
from learners.finetune.options import TrainingOptions
from learners.finetune.task import EpochJob, FinetuneTask
from learners.finetune.trainer import Span
from learners.pool.ray_pool import RayPool
from searcher.stages.context import input_contract
from searcher.stages.prepare import learner_options, open_library, prepare
from storage.artifacts import ArtifactStore
from storage.files import atomic_write
from storage.home import Home
from storage.records.candidate import Candidate

WORKERS = 2
FINALISTS = (8, 6, 4, 3)  # of one width each: what is trained does not matter here
BRIEF, FINAL = 1, 4  # epochs
IMAGES = 2000  # of an epoch
RUNS = 2


@dataclass(frozen=True)
class Run:
    """One way of training them."""

    seconds: float  # by the clock, from nothing started to everything ended
    epochs: int  # trained in all
    epoch_seconds: float  # CPU seconds of all epochs together

    @property
    def overhead(self) -> float:
        """Seconds beyond what the epochs take on the workers where these are always busy."""
        return self.seconds - self.epoch_seconds / WORKERS


def main(arguments: Sequence[str]) -> None:
    """Measures both in turn and writes the page. With a way and a home it measures that one here, and prints it: each
    run has a process of its own, as two Rays with other tokens do not go into one."""
    if arguments:
        way, place, number = arguments
        task, jobs = _task(Home(Path(place)))
        print(json.dumps(asdict(WAYS[way](replace(task, study=f"{way}{number}"), jobs))))
        return
    root = tempfile.mkdtemp(prefix="slimfront-asha-")
    try:
        _task(Home(Path(root)))  # the library, which both find there
        runs: dict[str, list[Run]] = {way: [] for way in WAYS}
        for turn in range(RUNS):
            for way, found in runs.items():
                command = [sys.executable, "-m", "benchmarks.asha", way, root, str(turn)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found.append(Run(**json.loads(done.stdout.splitlines()[-1])))
                print(way, found[-1], flush=True)
        atomic_write(RESULTS / "asha.md", _page(runs).encode())
    finally:
        shutil.rmtree(root)


def _task(home: Home) -> tuple[FinetuneTask, list[EpochJob]]:
    asked = config("resnet20", "asha", "size=8x drop<=1")
    prepared = prepare(asked, Silent())
    library = open_library(prepared, home, lambda *_: None)
    task = FinetuneTask(
        path=library.path,
        library=library.id,
        learners=asked.search.learners,
        learner_options=learner_options(asked),
        training=prepared.workload.training,
        calibration=prepared.workload.calibration.images,
        options=TrainingOptions(0.006, 128, True, "none", "crop+flip", IMAGES, 0),
        artifacts=ArtifactStore(home.artifacts),
        study="",
        contract=input_contract(prepared.workload),
    )
    plans = [Candidate(library.space.uniform_bits(bits), library.id) for bits in FINALISTS]
    return task, [EpochJob(str(index), plan, None, Span(0, FINAL), 0) for index, plan in enumerate(plans)]


def _plain(task: FinetuneTask, jobs: Sequence[EpochJob]) -> Run:
    """As the study does it: an epoch of all that are left at a time."""
    started, reports, left = time.monotonic(), [], list(range(len(jobs)))
    with RayPool(WORKERS) as pool:
        for epoch in range(FINAL):
            now = [replace(jobs[index], epoch=epoch) for index in left]
            losses = {}
            with closing(pool.run(task, now, lambda _: None, apart=True)) as outcomes:
                for outcome in outcomes:
                    assert isinstance(outcome.result, EpochReport)
                    reports.append(outcome.result)
                    losses[left[outcome.index]] = outcome.result.loss
            if epoch + 1 == BRIEF:
                left = sorted(left, key=losses.__getitem__)[: len(left) // 2]
    return _run(started, reports)


def _tune(task: FinetuneTask, jobs: Sequence[EpochJob]) -> Run:
    """The same epochs as the iterations of Tune's trials."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    started = time.monotonic()
    os.environ["RAY_AUTH_MODE"] = "disabled"
    ray.init("local", num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
    try:
        shared = ray.put(task)

        def train(chosen: dict[str, Any]) -> None:
            runner = ray.get(shared).open()
            for epoch in range(FINAL):
                (report,) = runner.run([replace(jobs[chosen["finalist"]], epoch=epoch)])
                assert isinstance(report, EpochReport)
                tune.report({"loss": report.loss, "cpu": report.seconds})

        scheduler = ASHAScheduler(max_t=FINAL, grace_period=BRIEF, reduction_factor=2)
        tuner = tune.Tuner(
            tune.with_resources(train, {"cpu": 1}),
            param_space={"finalist": tune.grid_search(list(range(len(jobs))))},
            tune_config=tune.TuneConfig(metric="loss", mode="min", scheduler=scheduler),
            run_config=tune.RunConfig(storage_path=str(task.artifacts.root), name=task.study, verbose=0),
        )
        found = tuner.fit()
        histories = [found[index].metrics_dataframe for index in range(len(found))]
        reports = [
            EpochReport(row["training_iteration"] - 1, row["loss"], None, row["cpu"])
            for history in histories
            if history is not None
            for _, row in history.iterrows()
        ]
    finally:
        ray.shutdown()
    return _run(started, reports)


def _run(started: float, reports: Sequence[EpochReport]) -> Run:
    return Run(time.monotonic() - started, len(reports), sum(item.seconds for item in reports))


def _page(runs: dict[str, list[Run]]) -> str:
    lines = [
        "# Plain jobs beside Ray Tune's ASHA",
        "",
        f"`python -m benchmarks.asha`: {len(FINALISTS)} finalists of ResNet-20 on {WORKERS} workers, all for {BRIEF} "
        f"epoch of {IMAGES} images,",
        f"half of them for {FINAL}; {RUNS} runs in turn. Overhead is what a run takes beyond the CPU seconds of its",
        "epochs on workers that are never idle: starting Ray, opening the library, waiting.",
        "",
        "| | seconds | epochs | CPU seconds of epochs | overhead, seconds |",
        "|---|---:|---:|---:|---:|",
    ]
    for way, found in runs.items():
        for run in found:
            lines.append(
                f"| {NAMES[way]} | {run.seconds:.1f} | {run.epochs} | {run.epoch_seconds:.1f} | {run.overhead:.1f} |"
            )
    return "\n".join(lines) + "\n"


WAYS: Mapping[str, Callable[[FinetuneTask, Sequence[EpochJob]], Run]] = {"plain": _plain, "tune": _tune}
NAMES: Mapping[str, str] = {"plain": "plain jobs", "tune": "Ray Tune, ASHA"}

if __name__ == "__main__":
    main(sys.argv[1:])

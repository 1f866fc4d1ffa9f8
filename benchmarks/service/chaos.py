"""SIGKILL at random moments over everything that a service consists of, and what has become of its studies."""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.quick import Silent
from benchmarks.service.processes import CONTROLLER, MARK, WORK, WORKER, kill, processes
from benchmarks.timeless import timeless
from searcher.stages.latency_table import FOLDER
from slimfront.demo.study import write_demo
from storage.leases import MOST_DEATHS, deaths
from storage.open import open_store
from storage.records.study import StudyState
from storage.store import StudyStore

ROOT = Path(__file__).resolve().parents[2]
LOG = "SLIMFRONT_CHAOS_LOG"  # variable with the file in which the metric counts evaluations
METRIC = f"""\
import os


def counted(outputs, labels):
    with open(os.environ["{LOG}"], "ab", buffering=0) as log:
        log.write(b".")
    return (outputs.argmax(1) == labels).astype("float32")
"""
STUDY = """\
name = "{name}"
[model]
factory = "nets.py:digits_net"
weights = "digits.safetensors"
input = [1, 8, 8]
[data]
kind = "digits"
metric = "metric.py:counted"
quick = 60
[target]
size = "8x"
max_drop = 2.0
[search]
candidates = {candidates}
seed = {seed}
"""
SEEDS = 2  # different searches on one library and latency table; copies under other names end in the same fronts
LEASE_SECONDS = 4.0
TABLE = "table"  # a study
MEAN_SECONDS = 8.0  # between two kills; a controller takes five to ten to be at work again
LOOPS = 2  # `work` processes at a time
KINDS = (WORK, CONTROLLER, WORKER)
NAMED = ("study", "notes")  # what tells studies of one seed apart, beside the clock
STACK_SECONDS = 3.0  # to write the stacks of all threads, and have them read
END_SECONDS = 20.0  # that processes have to end after the last study


@dataclass
class Chaos:
    """What a run has shown."""

    database: str
    kills: dict[str, int] = field(default_factory=dict)
    studies: int = 0
    seconds: float = 0.0
    candidates: int = 0
    attempts: int = 0  # of all studies, the first ones too
    evaluations: int = 0  # of the metric's calls
    undisturbed: int = 0  # that as many studies take that nobody disturbs
    lost: int = 0  # candidates or results that were committed before a kill and are not there, or are others
    other_fronts: list[str] = field(default_factory=list)  # studies whose front is not that of an undisturbed run
    stuck: list[str] = field(default_factory=list)  # studies that have not ended well, and how they stand
    orphans: list[str] = field(default_factory=list)  # processes that were left

    @property
    def repeated(self) -> int:
        """Evaluations that were made again."""
        return self.evaluations - self.undisturbed

    def to_dict(self) -> dict[str, Any]:
        """For a result's file."""
        return {**asdict(self), "repeated": self.repeated}


class Service:
    """A folder with a home, a database and as many `work` processes as there should be."""

    def __init__(self, folder: Path, url: str | None, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.url = url
        self.mark = secrets.token_hex(8)
        self.log = folder / "evaluations"
        folder.mkdir(parents=True, exist_ok=True)
        self.log.touch()
        kept = {key: value for key, value in os.environ.items() if not key.startswith("SLIMFRONT_")}
        own = {
            "SLIMFRONT_HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "PYTHONFAULTHANDLER": "1",
            MARK: self.mark,
            LOG: str(self.log),
        }
        self._environment = {**kept, **own, **variables}
        self._loops: list[subprocess.Popen[bytes]] = []

    def run(self, *arguments: str) -> str:
        """`slimfront` with these arguments; what it prints. Raises where it fails."""
        command = [sys.executable, "-m", "slimfront", *arguments, *(("--store", self.url) if self.url else ())]
        done = subprocess.run(
            command, check=False, env=self._environment, cwd=self.folder, capture_output=True, text=True
        )
        if done.returncode not in (0, 3):
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def ensure_loops(self, count: int, workers: int) -> None:
        """Starts `work` processes until there are so many; each runs `workers` processes on Ray."""
        self._loops = [loop for loop in self._loops if loop.poll() is None]
        while len(self._loops) < count:
            command = [sys.executable, "-m", "slimfront", "work", "--trust-code", "--lease", str(LEASE_SECONDS)]
            command += ["--workers", str(workers)] if workers else ["--inline"]
            command += ["--store", self.url] if self.url else []
            with (self.folder / "work.log").open("ab") as log:
                self._loops.append(
                    subprocess.Popen(command, env=self._environment, cwd=self.folder, stdout=log, stderr=log)
                )

    def show_stacks(self) -> None:
        """Lets controllers that hang write into the log where they do."""
        for item in processes(self.mark):
            if item.kind == CONTROLLER:
                with suppress(ProcessLookupError):
                    os.kill(item.number, signal.SIGABRT)
        time.sleep(STACK_SECONDS)

    def stop(self) -> None:
        """Ends the loops as their users do."""
        for loop in self._loops:
            loop.terminate()
        for loop in self._loops:
            with suppress(subprocess.TimeoutExpired):
                loop.wait(END_SECONDS)

    def store(self) -> StudyStore:
        """The database, opened here."""
        return open_store(self.url or f"sqlite:///{self.home / 'slimfront.db'}")

    def evaluations(self) -> int:
        """How often the metric was called."""
        return self.log.stat().st_size


@dataclass(frozen=True)
class Undisturbed:
    """What studies are that nobody disturbs."""

    folder: Path  # with the model and the latency table
    fronts: tuple[Any, ...]  # by seed
    evaluations: int  # of all seeds together


def study_file(folder: Path, name: str, seed: int, candidates: int) -> Path:
    """A study of the demo's network."""
    path = folder / f"{name}.toml"
    path.write_text(STUDY.format(name=name, seed=seed, candidates=candidates))
    return path


def undisturbed(folder: Path, candidates: int) -> Undisturbed:
    """Runs each seed's study once, by a loop whose queue nobody disturbs."""
    model = folder / "model"
    write_demo(model, False, Silent())
    (model / "metric.py").write_text(METRIC)
    service = Service(folder / "undisturbed", None, {})
    _make_table(service, model)
    for seed in range(SEEDS):
        service.run("submit", str(study_file(model, f"seed-{seed}", seed, candidates)))
    before = service.evaluations()  # checking the input calls the metric, too
    service.run("work", "--trust-code", "--inline", "--until-empty")
    fronts = tuple(timeless(json.loads(service.run("front", f"seed-{seed}", "--json")), NAMED) for seed in range(SEEDS))
    return Undisturbed(folder, fronts, service.evaluations() - before)


def _make_table(service: Service, model: Path) -> None:
    """Measures latencies once and keeps the table, also where the machine is too busy to check it: all studies must be
    predicted alike, not well."""
    service.run("run", str(study_file(model, TABLE, 0, 1)), "--inline")
    store = service.store()
    analysis = store.analysis(TABLE)
    store.close()
    assert analysis is not None
    assert analysis.latency_json is not None
    (lock,) = (service.home / "cache" / FOLDER).glob("table-*.lock")
    lock.with_suffix(".json").write_text(analysis.latency_json)


def run_chaos(
    reference: Undisturbed, folder: Path, url: str | None, kills: int, candidates: int, seed: int, most_seconds: float
) -> Chaos:
    """Submits studies, kills until it has killed as often as asked, then waits for the studies to end."""
    service = Service(folder, url, {})
    shutil.copytree(  # latencies are measured once on a machine and never twice alike
        reference.folder / "undisturbed" / "home" / "cache" / FOLDER, service.home / "cache" / FOLDER
    )
    chaos = Chaos("postgresql" if url else "sqlite")
    names: list[str] = []
    draws = random.Random(seed)
    killed: Counter[str] = Counter()
    checked = 0  # calls of the metric by the checks of the input
    started = time.monotonic()
    for _ in range(SEEDS * LOOPS):
        checked += _submit(service, reference, names, candidates)
    store = service.store()
    seen = _Seen(store)
    try:
        while time.monotonic() - started < most_seconds:
            service.ensure_loops(LOOPS, workers=2 if sum(killed.values()) % 2 else 1)
            time.sleep(draws.expovariate(1 / MEAN_SECONDS))
            if all(store.study(name).state is StudyState.SUCCEEDED for name in names):
                if sum(killed.values()) >= kills:
                    break
                checked += _submit(service, reference, names, candidates)
            if any(store.study(name).state is StudyState.FAILED for name in names):
                break
            if sum(killed.values()) >= kills or _on_the_brink(store, names):
                continue
            seen.look(names)
            there = [item for item in processes(service.mark) if item.kind in KINDS]
            # Workers are there for a part of the time only: whatever was killed least has its turn first.
            kind = min((item.kind for item in there), key=lambda name: (killed[name], name), default=None)
            found = [item for item in there if item.kind == kind]
            if kind is not None and kill(draws.choice(found)):
                killed[kind] += 1
        unfinished = [study for study in map(store.study, names) if study.state is not StudyState.SUCCEEDED]
        chaos.stuck = [f"{study.name} is {study.state}: {study.error}" for study in unfinished]
        if unfinished:
            service.show_stacks()
        service.stop()
        time.sleep(1.0)
        chaos.orphans = _orphans(service)
        chaos.lost = seen.lost()
        chaos.attempts = sum(store.study(name).attempt for name in names)
        chaos.candidates = sum(len(store.trials(name)) for name in names)
        for index, name in enumerate(names):
            if store.study(name).state is StudyState.SUCCEEDED:
                front = timeless(json.loads(service.run("front", name, "--json")), NAMED)
                if front != reference.fronts[index % SEEDS]:
                    chaos.other_fronts.append(name)
    finally:
        service.stop()
        store.close()
    chaos.kills, chaos.studies = dict(killed), len(names)
    chaos.seconds = time.monotonic() - started
    chaos.evaluations = service.evaluations() - checked
    chaos.undisturbed = round(reference.evaluations * len(names) / SEEDS)
    return chaos


def _on_the_brink(store: StudyStore, names: Sequence[str]) -> bool:
    """Whether one more death would fail a study: five in a row without a step are its own fault, by the rules."""
    return any(deaths(store.events(name)) >= MOST_DEATHS - 1 for name in names)


def _submit(service: Service, reference: Undisturbed, names: list[str], candidates: int) -> int:
    """One more study, of the next seed; how often its checks called the metric. Nothing else runs then."""
    seed, before = len(names) % SEEDS, service.evaluations()
    name = f"study-{len(names)}"
    service.run("submit", str(study_file(reference.folder / "model", name, seed, candidates)))
    names.append(name)
    return service.evaluations() - before


class _Seen:
    """What was committed at some moment, to be looked for at the end."""

    def __init__(self, store: StudyStore) -> None:
        self._store = store
        self._trials: dict[tuple[str, int], object] = {}
        self._results: dict[tuple[str, int, str], object] = {}

    def look(self, names: Sequence[str]) -> None:
        """Remembers all candidates and results that are there now."""
        for name in names:
            self._results.update(self._results_of(name))
            self._trials.update(self._trials_of(name))

    def lost(self) -> int:
        """How many of them are not there, or are others."""
        names = {key[0] for key in self._trials}
        trials = {key: item for name in names for key, item in self._trials_of(name).items()}
        results = {key: item for name in names for key, item in self._results_of(name).items()}
        lost = sum(1 for key, item in self._trials.items() if trials.get(key) != item)
        return lost + sum(1 for key, item in self._results.items() if results.get(key) != item)

    def _trials_of(self, name: str) -> dict[tuple[str, int], object]:
        return {(name, trial.number): trial for trial in self._store.trials(name)}

    def _results_of(self, name: str) -> dict[tuple[str, int, str], object]:
        return {(name, item.number, item.rung.value): item for item in self._store.results(name)}


def _orphans(service: Service) -> list[str]:
    """Processes of the run that go on after it; they have a moment to end."""
    until = time.monotonic() + END_SECONDS
    while (left := list(processes(service.mark))) and time.monotonic() < until:
        time.sleep(0.5)
    return [item.command[:80] for item in left]

"""How many candidates a second one controller finishes, how soon they are dispatched; Optuna's storage beside it."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from unittest import mock

from benchmarks.overhead import MadeUpPool, made_up_study
from learners.pool.base import J, Note, Outcome, R, Task
from searcher.samplers.base import SamplerContext, Scored
from searcher.samplers.table import sampler
from searcher.stages import quick
from searcher.stages.context import StudyContext
from storage.records.candidate import Candidate, Proposal
from storage.records.measurement import Rung
from storage.records.space import SearchSpace

LAST_BATCHES = 20  # of which the time from ask to dispatch is taken, when the others are stored
OPTUNA_TRIALS = 40
OPTUNA_MEASUREMENTS = 5


@dataclass(frozen=True)
class Throughput:
    """Of one sampler on one database."""

    database: str
    sampler: str
    sites: int
    measurements: int  # of a candidate
    candidates: int
    per_second: float  # finished ones, by the clock, what the sampler takes in it
    dispatch_batch_ms: float  # median of the last batches, from the ask to when the pool has the batch
    dispatch_ms: float  # the same for each candidate of it
    batch: int
    dispatch_one_ms: float  # where a batch is one candidate


class Stopwatch:
    """When candidates were asked for, and when the pool got them."""

    def __init__(self) -> None:
        self.asked = 0.0
        self.taken: list[tuple[float, int]] = []  # seconds, candidates


class TimedPool(MadeUpPool):
    """Notes when it gets a batch."""

    def __init__(self, space: SearchSpace, watch: Stopwatch) -> None:
        super().__init__(space)
        self._watch = watch

    def run(
        self, task: Task[J, R], jobs: Sequence[J], note: Note, apart: bool = False
    ) -> Generator[Outcome[R], None, None]:
        """See `Pool.run`."""
        self._watch.taken.append((time.monotonic() - self._watch.asked, len(jobs)))
        yield from super().run(task, jobs, note, apart)


class TimedSampler:
    """The sampler of a name, which notes when it is asked."""

    def __init__(self, watch: Stopwatch, name: str, context: SamplerContext) -> None:
        self._watch = watch
        self._sampler = sampler(name, context)
        self.notes, self.batch = self._sampler.notes, self._sampler.batch

    @property
    def origins(self) -> Mapping[Candidate, str]:
        """See Sampler."""
        return self._sampler.origins

    def ask(self, count: int) -> Sequence[Candidate]:
        """See Sampler."""
        self._watch.asked = time.monotonic()
        return self._sampler.ask(count)

    def tell(self, scored: Sequence[Scored]) -> None:
        """See Sampler."""
        self._sampler.tell(scored)


def measure(model: str, folder: Path, url: str | None, candidates: int, name: str) -> Throughput:
    """Runs the stage of quick scores with scores that cost nothing."""
    context = made_up_study(model, folder, url, candidates, name)
    watch = Stopwatch()
    context = replace(context, pool=TimedPool(context.space, watch))
    with mock.patch.object(quick, "sampler", lambda kind, given: TimedSampler(watch, kind, given)):
        started = time.monotonic()
        quick.search(context)
        seconds = time.monotonic() - started
    last = watch.taken[-LAST_BATCHES:]
    results = context.store.results(context.name, Rung.QUICK)
    searched = sum(1 for trial in context.store.trials(context.name) if trial.is_searched)
    one = _one(context, watch)
    context.store.close()
    return Throughput(
        database="sqlite" if url is None else "postgresql",
        sampler=name,
        sites=len(context.space.sites),
        measurements=len(results[-1].measurements),
        candidates=searched,
        per_second=searched / seconds,
        dispatch_batch_ms=1000 * median(item[0] for item in last),
        dispatch_ms=1000 * median(item[0] / item[1] for item in last),
        batch=last[0][1],
        dispatch_one_ms=one,
    )


def _one(context: StudyContext, watch: Stopwatch) -> float:
    """Median milliseconds from the ask for a single candidate until it is stored, at the end of the study."""
    name, store = context.name, context.store
    asked_of = SamplerContext(context.space, context.library.id, 1, (), latency=context.latency)
    made = TimedSampler(watch, "random", asked_of)
    count = len(store.trials(name))
    taken = []
    for _ in range(LAST_BATCHES):
        (candidate,) = made.ask(1)
        store.add_trials(name, count + 1, [Proposal(candidate, "random")])
        count += 1
        taken.append(time.monotonic() - watch.asked)
    return 1000 * median(taken)


@dataclass(frozen=True)
class Optuna:
    """What Optuna's own storage takes for the same, sampled at random."""

    database: str
    parameters: int
    values: int  # of a trial
    trials: int
    per_second: float
    ask_ms: float  # median, from the ask until all parameters are suggested


def measure_optuna(url: str, parameters: int, trials: int = OPTUNA_TRIALS) -> Optuna:
    """Ask, suggest, tell."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(url)
    study = optuna.create_study(
        storage=storage,
        sampler=optuna.samplers.RandomSampler(seed=0),
        directions=[optuna.study.StudyDirection.MINIMIZE] * OPTUNA_MEASUREMENTS,
    )
    asks = []
    started = time.monotonic()
    for _ in range(trials):
        asked = time.monotonic()
        trial = study.ask()
        for number in range(parameters):
            trial.suggest_int(f"site{number}", 0, 7)
        asks.append(time.monotonic() - asked)
        study.tell(trial, [0.0] * OPTUNA_MEASUREMENTS)
    seconds = time.monotonic() - started
    return Optuna(
        database=url.partition(":")[0].partition("+")[0],
        parameters=parameters,
        values=OPTUNA_MEASUREMENTS,
        trials=trials,
        per_second=trials / seconds,
        ask_ms=1000 * median(asks),
    )

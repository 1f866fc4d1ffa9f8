"""The pool of Ray actors: each a process with one thread that opens the task and then takes jobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Generic, Self

from learners.pool.actor import Actor, Fatal
from learners.pool.base import LEAST_SECONDS, SLOWER, J, Note, Outcome, R, Task, one_line
from learners.pool.ray_cluster import INLINE, REMEDY, LocalCluster
from learners.pool.ray_remote import RemoteCluster
from storage.errors import DiskFullError, GiveUpError, NoWorkersError

SHARES = 2  # of the jobs that are left, what one worker takes at a time: half of its part, so that all end together
MOST_DEATHS = 5  # of workers that one job may cost: then the job is at fault, not the machine
MOST_TIMEOUTS = 2
# Lost workers in a row, without a result between them, for each that runs. Jobs that kill their worker are run last,
# alone: several for each may be at fault, or a study of a few such candidates would never end, but not all of a batch.
MOST_LOSSES = 6 * MOST_DEATHS
MOST_STARTS = 5  # workers in a row, for each that runs, that are lost before they have taken a job
OPEN_SECONDS = 600.0  # for a worker to start, import and open the task
RESOURCES_SECONDS = 5.0  # in which machines of a cluster that has just started may join it
POLL_SECONDS = 1.0  # between two looks at the clock


STREAMED = "streaming"  # results of Ray's, one by one


@dataclass(frozen=True)
class _Chunk:
    """Neighbouring jobs that one worker runs, without those whose outcome is here."""

    jobs: tuple[int, ...]
    deaths: int = 0  # of workers that its first job has cost
    timeouts: int = 0

    def parts(self) -> list[_Chunk]:
        """What its worker was at, by itself, and what comes after it. (Where the worker has died between two jobs, the
        outcome of the first may not have got out: it is then run once more.)"""
        first, rest = self.jobs[:1], self.jobs[1:]
        return [replace(self, jobs=first), *([_Chunk(rest)] if rest else [])]


class _Worker:
    """An actor, and what it is doing."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.opened: object = None  # the task that it is ready for
        self.chunk: _Chunk | None = None
        self.pending: Any = None  # the reference to what is awaited, or the stream of references to outcomes
        self.deadline = 0.0


class RayPool:
    """Workers on Ray, started when they are first needed. `Pool.run` says what becomes of jobs and workers."""

    def __init__(
        self, workers: int, least_seconds: float = LEAST_SECONDS, address: str | None = None, gpus: float = 0.0
    ) -> None:
        """A job of a task whose jobs may hang may take `least_seconds`, and more where others do. `address` is of a Ray
        that runs already; each worker takes `gpus` of its GPUs, which may be a part of one."""
        self.workers = workers
        self.least_seconds = least_seconds
        self._address = address
        self._gpus = gpus
        self._cluster: LocalCluster | RemoteCluster | None = None
        self._idle: list[_Worker] = []
        self._task: tuple[object, Any] | None = None  # the last one, and where Ray keeps it

    def start(self) -> None:
        """See `Pool.start`."""
        if self._cluster is None:
            self._start_ray()
            self._idle = [self._new_worker() for _ in range(self.workers)]

    def run(
        self, task: Task[J, R], jobs: Sequence[J], note: Note, apart: bool = False
    ) -> Generator[Outcome[R], None, None]:
        """See `Pool.run`."""
        if not jobs:
            return
        cluster = self._start_ray() if self._cluster is None else self._cluster
        import ray

        if self._task is None or self._task[0] is not task:
            try:
                self._task = task, ray.put(task)
            except (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError) as error:
                raise DiskFullError(
                    f"no space is left for what workers need below {cluster.place}: free some, or {REMEDY}"
                ) from error
        count = min(max(1, self.workers // (task.threads or 1)), len(jobs))
        workers = [self._idle.pop() if self._idle else self._new_worker() for _ in range(count)]
        allowed = self.least_seconds * task.patience
        run: _Run[J, R] = _Run(workers, self._task, jobs, note, apart, allowed, self._new_worker)
        try:
            yield from run.outcomes()
        finally:
            self._idle += run.leave()

    def _start_ray(self) -> LocalCluster | RemoteCluster:
        # Before it starts: `close` ends what has started.
        cluster = LocalCluster(self.workers) if self._address is None else RemoteCluster(self._address)
        self._cluster = cluster
        try:
            cluster.start()
            self._check_resources()
        except BaseException:
            self.close()
            raise
        return cluster

    def _check_resources(self) -> None:
        """NoWorkersError where workers would wait for ever for what the cluster has not got."""
        import ray

        wanted = {"CPU": float(self.workers), "GPU": self.workers * self._gpus}
        until = time.monotonic() + RESOURCES_SECONDS
        while True:
            has: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
            missing = [kind for kind, amount in wanted.items() if has.get(kind, 0.0) < amount]
            if not missing:
                return
            if time.monotonic() > until:
                break
            time.sleep(POLL_SECONDS)
        kind = missing[0]
        raise NoWorkersError(
            f"{self.workers} workers need {wanted[kind]:g} {kind}s, and Ray has {has.get(kind, 0.0):g}: lower "
            "--workers or --gpus-per-worker, or add machines to the cluster"
        )

    def _new_worker(self) -> _Worker:
        """An actor that is starting."""
        import ray

        # Spread: on several machines each has its part of the memory and of what the processor's caches hold.
        options = {"num_cpus": 1, "max_restarts": 0, "max_task_retries": 0, "scheduling_strategy": "SPREAD"}
        kind = ray.remote(Actor).options(**options, **({"num_gpus": self._gpus} if self._gpus else {}))
        return _Worker(kind.remote())

    def close(self) -> None:
        """See `Pool.close`."""
        self._idle, self._task = [], None
        if self._cluster is not None:
            self._cluster.stop()
            self._cluster = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Run(Generic[J, R]):
    """One run of a task's jobs."""

    def __init__(
        self,
        workers: list[_Worker],
        task: tuple[object, Any],
        jobs: Sequence[J],
        note: Note,
        apart: bool,
        least_seconds: float,
        new_worker: Callable[[], _Worker],
    ) -> None:
        import ray

        self._ray = ray
        self._workers = workers
        self._task, self._reference = task
        self._jobs = jobs
        self._note = note
        self._apart = apart
        self._least_seconds = least_seconds
        self._new_worker = new_worker
        self._slowest = 0.0  # seconds of the job that took longest so far
        self._next = 0  # job that nobody has been given
        self._again: list[_Chunk] = []  # jobs whose worker was lost
        self._losses = 0  # of workers that had a job, in a row, without a result between them
        self._starts = 0  # of workers in a row that were lost before they had one

    def outcomes(self) -> Iterator[Outcome[R]]:
        """All of them."""
        left = len(self._jobs)
        while left:
            for worker in self._workers:
                if worker.pending is None:
                    self._give(worker)
            for outcome in self._take():
                left -= 1
                yield outcome

    def leave(self) -> list[_Worker]:
        """The workers that can be used again; those that are busy are stopped."""
        for worker in self._workers:
            if worker.pending is not None:
                self._ray.kill(worker.actor)
        return [worker for worker in self._workers if worker.pending is None]

    def _give(self, worker: _Worker) -> None:
        """Lets an idle worker open the task, or take jobs if there are any left."""
        if worker.opened is not self._task:
            worker.pending = worker.actor.open.remote(self._reference)
            worker.deadline = time.monotonic() + OPEN_SECONDS
            return
        worker.chunk = self._again.pop(0) if self._again else self._share()
        if worker.chunk is not None:
            run = worker.actor.run.options(num_returns=STREAMED)
            worker.pending = run.remote([self._jobs[job] for job in worker.chunk.jobs])
            worker.deadline = self._deadline()

    def _deadline(self) -> float:
        """Of the next outcome of a worker."""
        return time.monotonic() + max(self._least_seconds, SLOWER * self._slowest)

    def _share(self) -> _Chunk | None:
        left = len(self._jobs) - self._next
        if not left:
            return None
        count = 1 if self._apart else max(1, left // (SHARES * len(self._workers)))
        self._next += count
        return _Chunk(tuple(range(self._next - count, self._next)))

    def _take(self) -> Iterator[Outcome[R]]:
        """What has come in within a moment."""
        busy = {worker.pending: worker for worker in self._workers if worker.pending is not None}
        ready, waiting = self._ray.wait(list(busy), num_returns=1, timeout=POLL_SECONDS)
        now = time.monotonic()
        late = [pending for pending in waiting if now > busy[pending].deadline]
        if late:  # or done, and it is us who are late: the caller had other things to do
            done, late = self._ray.wait(late, num_returns=len(late), timeout=POLL_SECONDS)
            ready += done
        for pending in ready:
            yield from self._receive(busy[pending])
        for pending in late:
            self._ray.kill(busy[pending].actor)
            yield from self._lost(busy[pending], None)

    def _receive(self, worker: _Worker) -> Iterator[Outcome[R]]:
        chunk = worker.chunk
        try:
            found = self._ray.get(worker.pending if chunk is None else next(worker.pending))
        except self._ray.exceptions.RayTaskError as error:
            raise GiveUpError(f"a worker cannot be used ({one_line(error.cause)}): {REMEDY}") from error
        except self._ray.exceptions.RayError as error:
            yield from self._lost(worker, error)
            return
        if isinstance(found, Fatal):
            raise found.error
        if chunk is None:
            worker.pending, worker.opened = None, self._task
            self._starts = 0
            return
        self._losses = 0
        self._slowest = max(self._slowest, found.elapsed)
        worker.chunk = _Chunk(chunk.jobs[1:]) if chunk.jobs[1:] else None
        worker.deadline = self._deadline()
        if worker.chunk is None:
            worker.pending = None
        yield replace(found, index=chunk.jobs[0])

    def _lost(self, worker: _Worker, error: Exception | None) -> Iterator[Outcome[R]]:
        """Replaces a worker that has died of `error`, or was stopped; its jobs are run again, or fail."""
        chunk = worker.chunk
        reason = "took too long" if error is None else "has died"
        running = len(self._workers)
        self._workers.remove(worker)
        if chunk is None:
            self._starts += 1
            lost, hopeless = self._starts, self._starts >= running * MOST_STARTS
        else:
            self._losses += 1
            lost, hopeless = self._losses, self._losses > running * MOST_LOSSES
        if hopeless:
            detail = reason if error is None else one_line(error)
            text = f"{lost} workers were lost one after the other ({detail}): {REMEDY}"
            raise NoWorkersError(text) if chunk is None else GiveUpError(text)
        self._workers.append(self._new_worker())
        if chunk is None:
            self._note(f"a worker {reason} before it took a job: another one is started")
            return
        chunk = replace(chunk, deaths=chunk.deaths + (error is not None), timeouts=chunk.timeouts + (error is None))
        if len(chunk.jobs) == 1 and (chunk.deaths >= MOST_DEATHS or chunk.timeouts >= MOST_TIMEOUTS):
            late = f"took too long, {chunk.timeouts} times: with {INLINE} it is waited for"
            text = late if error is None else f"{chunk.deaths} workers died of it"
            self._note(f"a worker {reason}: its evaluation fails for good")
            yield Outcome(chunk.jobs[0], None, 0.0, text)
            return
        left = "1 evaluation is" if len(chunk.jobs) == 1 else f"{len(chunk.jobs)} evaluations are"
        self._note(f"a worker {reason}: {left} run again on another one")
        self._again += chunk.parts()

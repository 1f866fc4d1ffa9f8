"""What a pool of workers does: runs the jobs of a task, each once, whatever becomes of the workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from storage.errors import GiveUpError, RetryError, SlimfrontError

J = TypeVar("J")  # a job
R = TypeVar("R")  # its result
J_contra = TypeVar("J_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

# A job that may hang may take so long, however fast the others are, and so many times what the slowest one took.
LEAST_SECONDS, SLOWER = 120.0, 20.0
USUAL_SECONDS = LEAST_SECONDS / SLOWER  # of a usual job, at most
FATAL = (GiveUpError, RetryError)  # of the study: no other job would fare better

Note = Callable[[str], None]  # one line for the user, such as that a worker has died


class Runner(Protocol[J_contra, R_co]):
    """An opened task."""

    def run(self, jobs: Sequence[J_contra]) -> Iterator[R_co]:
        """The results in the order of `jobs`. Whatever is raised belongs to the job whose result would be next."""
        ...


class Task(Protocol[J_contra, R_co]):
    """Work of one kind, in terms that mean the same in another process. It travels once to every worker, jobs follow.

    Results depend on the job alone, never on the worker or on the jobs before it.
    """

    def open(self) -> Runner[J_contra, R_co]:
        """Reads what the work needs; called in every worker, once for all runs of this very object in a row."""
        ...

    @property
    def patience(self) -> float:
        """How many times as long as a usual job its jobs may take, however long others take, before they are taken for
        hanging and stopped; infinite where they are waited for. A usual one takes USUAL_SECONDS at most."""
        ...

    @property
    def threads(self) -> int | None:
        """On how many threads a job computes, outside of Python: so many fewer run at a time, and without workers they
        run beside each other on threads of this process. None for jobs of one thread that share one runner, which is
        no other thread's."""
        ...


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """What became of one job: its result, or why there is none."""

    index: int  # of the job
    result: R | None
    seconds: float  # CPU seconds that it took
    error: str | None = None  # one line; the job has failed for good
    elapsed: float = 0.0  # seconds by the clock: what it waited for, such as a file or a server, counts


class Pool(Protocol):
    """Workers. A context: nothing is left running when it is closed."""

    workers: int  # jobs that run at a time

    def start(self) -> None:
        """Lets all workers start, without waiting for them, where the caller has other things to do before `run`, which
        starts them otherwise. NoWorkersError where none can be started."""
        ...

    def run(
        self, task: Task[J, R], jobs: Sequence[J], note: Note, apart: bool = False
    ) -> Generator[Outcome[R], None, None]:
        """The outcome of every job as soon as it is known. Jobs that follow each other are given to one worker, as they
        may share work; not those that are `apart`, which are handed out one by one in their order.

        A job that raises, kills its worker again and again, or takes too long where jobs may hang fails alone, with its
        error; a worker that dies is replaced and its jobs are run again. A GiveUpError that a job raises is the
        study's, not the job's, and is raised here, as is NoWorkersError where no worker can be started.
        """
        ...

    def close(self) -> None:
        """Stops the workers. A pool that was not used has none."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def run_jobs(
    runner: Runner[J, R], jobs: Sequence[J], first: int, cpu: Callable[[], float] = time.process_time
) -> Iterator[Outcome[R]]:
    """Runs jobs, of which the first has index `first`, here; those that raise fail at their second attempt. `cpu` gives
    the CPU seconds so far of whatever runs them."""
    done = 0
    while done < len(jobs):
        results = iter(runner.run(jobs[done:]))
        while done < len(jobs):
            started = cpu(), time.monotonic()
            try:
                result = next(results)
            except FATAL:
                raise
            except Exception:  # noqa: BLE001  (whatever a user's metric or an operator raises)
                yield _again(runner, jobs[done], first + done, cpu)
                done += 1
                break  # the rest with an iterator of its own
            yield _outcome(first + done, started, cpu, result)
            done += 1


def _again(runner: Runner[J, R], job: J, index: int, cpu: Callable[[], float]) -> Outcome[R]:
    started = cpu(), time.monotonic()
    try:
        result = next(iter(runner.run([job])))
    except FATAL:
        raise
    except Exception as error:  # noqa: BLE001  (as above)
        return _outcome(index, started, cpu, None, one_line(error))
    return _outcome(index, started, cpu, result)


def _outcome(
    index: int, started: tuple[float, float], cpu: Callable[[], float], result: R | None, error: str | None = None
) -> Outcome[R]:
    """`started` at so many CPU seconds, and seconds by the clock."""
    return Outcome(index, result, cpu() - started[0], error, time.monotonic() - started[1])


def one_line(error: BaseException) -> str:
    """An error as a line: its kind, and what it says; ours say all themselves."""
    text = " ".join(str(error).split())
    if isinstance(error, SlimfrontError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

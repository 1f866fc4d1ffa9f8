"""Threads that take jobs: results, errors, and jobs that hang."""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial
from threading import Event

import pytest

from learners.pool import threads
from learners.pool.threads import HangingError, Threads


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(threads, "END_SECONDS", 0.2)


def fail(error: BaseException) -> None:
    raise error


def test_jobs_give_their_results_in_any_order() -> None:
    with closing(Threads(2)) as pool:
        jobs = [pool.submit(partial(pow, number, 2)) for number in range(20)]
        assert [job.result(10.0) for job in reversed(jobs)] == [number**2 for number in reversed(range(20))]


@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError("late"), SystemExit(3)])
def test_what_a_job_raises_is_raised(error: BaseException) -> None:
    with closing(Threads(1)) as pool:
        job = pool.submit(lambda: fail(error))
        with pytest.raises(type(error)):
            job.result(10.0)
        assert pool.submit(lambda: 7).result(10.0) == 7  # the thread goes on


def test_a_job_that_hangs_is_given_up_and_the_others_go_on() -> None:
    free = Event()
    with closing(Threads(1)) as pool:
        hanging, waiting = pool.submit(free.wait), pool.submit(lambda: 7)
        with pytest.raises(HangingError, match="hung for"):
            hanging.result(0.05)
        pool.start()
        assert waiting.result(10.0) == 7
        free.set()


def test_time_counts_from_when_a_job_begins() -> None:
    with closing(Threads(1)) as pool:
        slow, last = pool.submit(lambda: time.sleep(0.3)), pool.submit(lambda: 7)
        assert last.result(0.1) == 7
        slow.result(1.0)


def test_an_interruption_waits_for_no_job_that_hangs() -> None:
    free, begun = Event(), time.monotonic()

    def interrupted() -> None:
        with closing(Threads(1)) as pool:
            pool.submit(free.wait)
            pool.submit(lambda: ran.append(7))
            raise KeyboardInterrupt

    ran: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - begun < 5
    free.set()
    time.sleep(0.05)
    assert not ran  # it was cancelled

"""What becomes of jobs whose worker dies or hangs."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from learners.pool import ray_pool
from learners.pool.ray_pool import MOST_DEATHS, POLL_SECONDS, RayPool
from storage.errors import GiveUpError
from tests.learners.pool.tasks import OPENED, Job, Squares, Trouble

LEAST_SECONDS = 2.5


@pytest.fixture(scope="module")
def pool() -> Iterator[RayPool]:
    """Two workers that wait for a job for as long."""
    with RayPool(2, LEAST_SECONDS) as made:
        yield made


def test_workers_may_start_before_there_is_work(tmp_path: Path) -> None:
    with RayPool(2) as early:
        early.start()
        early.start()  # they are there already
        task = Squares(tmp_path)
        assert sorted(item.result or 0 for item in early.run(task, [Job(1), Job(2), Job(3)], print)) == [1, 4, 9]
        assert len((tmp_path / OPENED).read_text()) <= 2
    with RayPool(2) as unused:
        unused.start()


def test_jobs_of_a_worker_that_dies_are_run_again(pool: RayPool, tmp_path: Path) -> None:
    jobs = [Job(number, Trouble.DIE_ONCE if number in (2, 11) else None) for number in range(16)]
    notes: list[str] = []
    outcomes = {item.index: item.result for item in pool.run(Squares(tmp_path), jobs, notes.append)}
    assert outcomes == {number: number**2 for number in range(16)}
    assert len(notes) == 2
    assert all("has died" in note and "run again" in note for note in notes)


def test_a_job_that_kills_every_worker_fails_alone(pool: RayPool, tmp_path: Path) -> None:
    jobs = [Job(1), Job(2, Trouble.DIE), Job(3), Job(4)]
    notes: list[str] = []
    outcomes = {item.index: item for item in pool.run(Squares(tmp_path), jobs, notes.append)}
    assert [outcomes[index].result for index in range(4)] == [1, None, 9, 16]
    assert outcomes[1].error == f"{MOST_DEATHS} workers died of it"
    assert len(notes) == MOST_DEATHS
    assert notes[-1] == "a worker has died: its evaluation fails for good"
    assert (tmp_path / "2").read_text() == MOST_DEATHS * "x"


def test_workers_that_die_whatever_they_do_end_the_run(
    pool: RayPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_pool, "MOST_LOSSES", 1)
    notes: list[str] = []
    with pytest.raises(GiveUpError, match=r"^3 workers were lost one after the other .*--inline"):
        list(pool.run(Squares(tmp_path), [Job(number, Trouble.DIE) for number in range(4)], notes.append))
    assert len(notes) == 2


def test_a_job_that_hangs_is_stopped_and_fails_alone(pool: RayPool, tmp_path: Path) -> None:
    notes: list[str] = []
    jobs = [Job(1), Job(2, Trouble.HANG), Job(3)]
    outcomes = {item.index: item for item in pool.run(Squares(tmp_path), jobs, notes.append)}
    assert [outcomes[index].result for index in range(3)] == [1, None, 9]
    assert outcomes[1].error == "took too long, 2 times: with --inline (workers=1 in Python) it is waited for"
    assert [note.partition(":")[0] for note in notes] == ["a worker took too long"] * 2


def test_one_of_many_that_hangs_is_found_as_soon_as_one_alone(pool: RayPool, tmp_path: Path) -> None:
    """However many jobs its worker has been given; what these have brought before is not run again."""
    jobs = [Job(number, Trouble.HANG if number == 3 else None) for number in range(40)]
    notes: list[str] = []
    started = time.monotonic()
    outcomes = {item.index: item for item in pool.run(Squares(tmp_path), jobs, notes.append)}
    assert time.monotonic() - started < 10 * LEAST_SECONDS  # it is given that time twice, and workers start anew
    assert {index for index, item in outcomes.items() if item.result is None} == {3}
    assert all(item.result == index**2 for index, item in outcomes.items() if index != 3)
    (first, _) = notes
    assert first == "a worker took too long: 7 evaluations are run again on another one"  # of ten, three are done


def test_a_worker_that_dies_after_its_deadline_is_lost_once(pool: RayPool, tmp_path: Path) -> None:
    notes: list[str] = []
    between_looks = LEAST_SECONDS + POLL_SECONDS / 4  # the clock is looked at half a second after the deadline
    jobs = [Job(2, Trouble.DIE_ONCE, between_looks)]
    assert [item.result for item in pool.run(Squares(tmp_path), jobs, notes.append)] == [4]
    assert len(notes) == 1


def test_jobs_that_are_done_while_nobody_looks_are_not_late(pool: RayPool, tmp_path: Path) -> None:
    notes: list[str] = []
    jobs = [Job(number, seconds=POLL_SECONDS / 2) for number in range(8)]
    found = {}
    for item in pool.run(Squares(tmp_path), jobs, notes.append, apart=True):
        found[item.index] = item.result
        if len(found) == len(jobs) // 2:  # by then both workers have one
            time.sleep(LEAST_SECONDS + POLL_SECONDS)
    assert found == {number: number**2 for number in range(8)}
    assert notes == []


def test_a_slow_job_of_a_task_that_cannot_hang_is_waited_for(pool: RayPool, tmp_path: Path) -> None:
    notes: list[str] = []
    jobs = [Job(1), Job(2, seconds=LEAST_SECONDS + 2 * POLL_SECONDS), Job(3)]
    outcomes = {item.index: item.result for item in pool.run(Squares(tmp_path, patience=math.inf), jobs, notes.append)}
    assert outcomes == {0: 1, 1: 4, 2: 9}
    assert notes == []


def test_jobs_that_wait_have_as_much_time_as_their_like(pool: RayPool, tmp_path: Path) -> None:
    notes: list[str] = []
    short, longer = POLL_SECONDS / 2, LEAST_SECONDS + 2 * POLL_SECONDS  # next to no CPU seconds
    jobs = [Job(number, seconds=longer if number == 2 else short) for number in range(3)]
    outcomes = {item.index: item for item in pool.run(Squares(tmp_path), jobs, notes.append, apart=True)}
    assert [outcomes[index].result for index in range(3)] == [0, 1, 4]
    assert outcomes[2].elapsed >= longer > outcomes[2].seconds
    assert notes == []


def test_a_task_that_no_worker_can_open_ends_the_run(pool: RayPool, tmp_path: Path) -> None:
    with pytest.raises(GiveUpError, match=r"the task does not open here.*--inline"):
        list(pool.run(Squares(tmp_path, fails_to_open=True), [Job(1)], lambda _: None))

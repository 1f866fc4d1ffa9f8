"""Every pool gives the same outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from learners.base import LearnerOptions
from learners.pool.base import Pool
from learners.pool.inline import InlinePool
from learners.pool.ray_pool import RayPool
from learners.score import QuickScorer, visiting_order
from learners.scoring import ScoreTask
from learners.steps import find_steps
from learners.table import LEARNERS
from objectives.metric import Top1
from storage.errors import GiveUpError
from storage.records.candidate import Candidate
from tests.built import Built
from tests.learners.pool.tasks import OPENED, Job, Squares, Trouble
from tests.learners.test_score import candidates, subset

POOLS: dict[str, Callable[[], Pool]] = {
    "inline": InlinePool,
    "one worker": lambda: RayPool(1),
    "two workers": lambda: RayPool(2),
}


@pytest.fixture(scope="module", params=POOLS)
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    """Each pool in turn."""
    with POOLS[request.param]() as made:
        yield made


def silent(text: str) -> None:
    raise AssertionError(f"nothing is worth a note: {text}")


def test_every_job_has_one_outcome(pool: Pool, tmp_path: Path) -> None:
    jobs = [Job(number) for number in range(25)]
    for apart, threads in ((False, None), (True, None), (True, 1), (True, 1000)):
        outcomes = list(pool.run(Squares(tmp_path, threads=threads), jobs, silent, apart))
        assert sorted(item.index for item in outcomes) == list(range(25))
        assert all(item.result == item.index**2 and item.error is None for item in outcomes)
        assert all(item.seconds >= 0 and item.elapsed >= 0 for item in outcomes)
    assert list(pool.run(Squares(tmp_path), [], silent)) == []


def test_a_task_is_opened_once_in_every_worker(pool: Pool, tmp_path: Path) -> None:
    task = Squares(tmp_path)
    for _ in range(3):
        assert len(list(pool.run(task, [Job(number) for number in range(8)], silent))) == 8
    assert len((tmp_path / OPENED).read_text()) <= pool.workers
    list(pool.run(Squares(tmp_path), [Job(1)], silent))
    list(pool.run(task, [Job(1)], silent))
    assert len((tmp_path / OPENED).read_text()) >= 3


@pytest.mark.parametrize("threads", [None, 1])
def test_a_job_that_raises_fails_alone(threads: int | None, pool: Pool, tmp_path: Path) -> None:
    troubles = {3: Trouble.RAISE, 4: Trouble.RAISE, 6: Trouble.RAISE_ONCE}
    jobs = [Job(number, troubles.get(number)) for number in range(9)]
    outcomes = {item.index: item for item in pool.run(Squares(tmp_path, threads=threads), jobs, silent)}
    for number in range(9):
        if number in (3, 4):
            assert outcomes[number].result is None
            assert outcomes[number].error == f"ValueError: no square of {number} and a second line"
        else:
            assert outcomes[number].result == number**2


@pytest.mark.parametrize("threads", [None, 1])
def test_an_error_of_the_study_is_raised_as_it_is(threads: int | None, pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(GiveUpError, match=r"^the library is damaged: delete it$"):
        list(pool.run(Squares(tmp_path, threads=threads), [Job(1), Job(2, Trouble.END_STUDY)], silent))
    assert [item.result for item in pool.run(Squares(tmp_path), [Job(5)], silent)] == [25]


def test_jobs_of_many_threads_run_on_fewer_workers(pool: Pool, tmp_path: Path) -> None:
    jobs = [Job(number) for number in range(8)]
    assert len(list(pool.run(Squares(tmp_path, threads=pool.workers), jobs, silent, apart=True))) == 8
    assert (tmp_path / OPENED).read_text() == "x"


def test_a_run_that_is_left_early_disturbs_no_other(pool: Pool, tmp_path: Path) -> None:
    run = pool.run(Squares(tmp_path), [Job(number) for number in range(50)], silent)
    next(run)
    run.close()
    outcomes = list(pool.run(Squares(tmp_path), [Job(7), Job(8)], silent))
    assert sorted((item.index, item.result) for item in outcomes) == [(0, 49), (1, 64)]


def test_quick_scores_are_the_same_bits(pool: Pool, built: Callable[[str], Built]) -> None:
    network = built("resnet-pad")
    library, part = network.library, subset(network)
    asked = candidates(network, 6)
    asked = [asked[index] for index in visiting_order(find_steps(library), asked)]
    task = ScoreTask(library.path, library.id, tuple(LEARNERS), LearnerOptions(), part, "top1")
    found = {item.index: item.result for item in pool.run(task, asked, silent)}
    wanted = QuickScorer(library, part, Top1()).score(asked)
    for index, own in enumerate(wanted):
        score = found[index]
        assert score is not None
        np.testing.assert_array_equal(score.soft, own.soft)
        np.testing.assert_array_equal(score.metric, own.metric)


def test_candidates_of_another_library_fail(pool: Pool, built: Callable[[str], Built]) -> None:
    network = built("resnet-pad")
    library, part = network.library, subset(network)
    task = ScoreTask(library.path, library.id, tuple(LEARNERS), LearnerOptions(), part, None)
    strange = Candidate((0,) * len(library.space.sites), "another")
    (outcome,) = pool.run(task, [strange], silent)
    assert outcome.error is not None
    assert "not of library" in outcome.error

"""A Ray that runs already: its nodes work for us, and it stays as it was."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.learners.pool.raylets import Cluster, two_raylets
from tests.slimfront.material import ROOT

# Joins, works, and says on which nodes; then once more, so that leaving is seen to leave it running.
SCRIPT = """
    import sys
    from pathlib import Path
    from learners.pool.ray_pool import RayPool
    from storage.errors import NoWorkersError
    from tests.learners.pool.tasks import Job, Squares, Where

    address, folder = sys.argv[1], Path(sys.argv[2])
    for _ in range(2):
        with RayPool(2, address=address) as pool:
            print(sorted(item.result for item in pool.run(Squares(folder), [Job(n) for n in range(6)], print)))
            print(len({item.result for item in pool.run(Where(), list(range(12)), print, apart=True)}), "nodes")
    for workers, gpus in ((3, 0.0), (1, 1.0)):
        try:
            with RayPool(workers, address=address, gpus=gpus) as pool:
                pool.start()
        except NoWorkersError as error:
            print(error)
"""
NOBODY = """
    import sys
    from learners.pool.ray_pool import RayPool
    from storage.errors import NoWorkersError
    try:
        RayPool(1, address="127.0.0.1:1").start()
    except NoWorkersError as error:
        print(error)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with two_raylets() as running:
        yield running


def python(text: str, cluster: Cluster | None, *arguments: str) -> list[str]:
    variables = {} if cluster is None else cluster.variables
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_both_nodes_work_and_are_left_running(cluster: Cluster, tmp_path: Path) -> None:
    lines = python(SCRIPT, cluster, cluster.address, str(tmp_path))
    assert lines[:4] == ["[0, 1, 4, 9, 16, 25]", "2 nodes"] * 2
    assert "3 workers need 3 CPUs, and Ray has 2" in lines[4]
    assert "1 workers need 1 GPUs, and Ray has 0" in lines[5]


@pytest.mark.slow
def test_an_address_where_nobody_answers_is_said_in_a_line() -> None:
    (line,) = python(NOBODY, None)
    assert line.startswith("the Ray at 127.0.0.1:1 cannot be joined (")
    assert "RAY_AUTH_TOKEN" in line

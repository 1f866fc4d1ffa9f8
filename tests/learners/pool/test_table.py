"""Which pool opens where."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from learners.pool import table
from learners.pool.inline import InlinePool
from learners.pool.ray_pool import RayPool
from learners.pool.table import open_pool
from tests.slimfront.material import ROOT


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "available_cores", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_there_is_a_worker_for_each_core() -> None:
    pool = open_pool(None, inline=False)
    assert isinstance(pool, RayPool)
    assert pool.workers == 4


def test_where_one_core_is_all_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "available_cores", lambda: 1)
    assert isinstance(open_pool(None, inline=False), InlinePool)


def test_with_a_gpu_there_are_none_unless_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert isinstance(open_pool(None, inline=False), InlinePool)
    asked = open_pool(3, inline=False)
    assert isinstance(asked, RayPool)
    assert asked.workers == 3


@pytest.mark.parametrize("workers", [None, 1, 4])
def test_inline_has_none(workers: int | None) -> None:
    assert isinstance(open_pool(workers, inline=True), InlinePool)


def test_one_worker_that_is_asked_for_is_a_process() -> None:
    assert isinstance(open_pool(1, inline=False), RayPool)


def test_the_table_is_there_without_torch() -> None:
    script = "import sys, learners.pool.table; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0

"""Ten SIGKILLs over loops, controllers and workers: every study ends as one that nobody has disturbed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.service.chaos import run_chaos, undisturbed

KILLS, CANDIDATES, SEED = 10, 200, 20261201
PROGRESS = re.compile(r"Z study-\d+: [\w ]+ \d+/\d+")
MOST_SECONDS = 900.0  # beside other tests on two cores; a quarter of it alone


@pytest.mark.slow
def test_whatever_is_killed_nothing_is_lost(tmp_path: Path) -> None:
    reference = undisturbed(tmp_path / "reference", CANDIDATES)
    chaos = run_chaos(reference, tmp_path / "chaos", None, KILLS, CANDIDATES, SEED, MOST_SECONDS)
    log = _told((tmp_path / "chaos" / "work.log").read_text())
    assert (chaos.stuck, chaos.other_fronts, chaos.orphans, chaos.lost) == ([], [], [], 0), log
    assert sum(chaos.kills.values()) >= KILLS, (chaos, log)
    assert chaos.attempts > chaos.studies


def _told(log: str) -> str:
    """The log without its lines of progress, which would hide the others."""
    return "\n".join(line for line in log.splitlines() if not PROGRESS.search(line))

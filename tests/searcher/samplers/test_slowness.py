"""What samplers take for speed."""

from __future__ import annotations

import pytest

from searcher.allocation.budget import Budget
from searcher.samplers.base import Scored, slowness
from storage.records.candidate import Candidate
from storage.records.target import Objective


@pytest.mark.parametrize(
    ("wanted", "latency", "expected"),
    [
        ((), 2.0, 2.0),
        ((), None, 5.0),
        (("size",), 2.0, 2.0),
        (("macs",), 2.0, 5.0),
        (("size", "macs"), 2.0, 5.0),
        (("macs", "latency"), 2.0, 2.0),
    ],
)
def test_speed_is_latency_unless_it_is_unknown_or_only_macs_are_wanted(
    wanted: tuple[Objective, ...], latency: float | None, expected: float
) -> None:
    item = Scored(Candidate((0,), "library"), 90.0, 100, macs=5.0, latency_ms=latency)
    assert slowness(item, [Budget(objective, 1.0) for objective in wanted]) == expected

"""Only plans whose speed is known tell of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from objectives.latency import Latency, Model, Reference
from searcher import latency_check
from searcher.latency_check import ALL, SPARE_PLANS, check_table
from searcher.latency_plans import KINDS
from storage.errors import RetryError
from storage.records.config import RuntimeConfig
from storage.records.latency import LatencyTable
from tests.built import Built

TABLE = LatencyTable("onnxruntime", "machine", 1.0, 2.0, (), quiet_ms=2.0)
PLANS = 4  # of each kind, at least
ALL_PLANS = PLANS + SPARE_PLANS


def timed(quiet: int) -> Callable[..., dict[str, Latency]]:
    """Every plan is as fast as the table says if it is among the first `quiet` of its kind, and else half as fast."""

    def measure(reference: Reference, candidates: Mapping[str, Model], *_: object) -> dict[str, Latency]:
        assert reference.is_trusted
        assert len(candidates) == ALL_PLANS * len(KINDS)
        return {
            name: Latency(1.0, 2.0, 2.0, 2.0, 3, True, 0.01)
            if int(name) % ALL_PLANS < quiet
            else Latency(1, 1, 1, 1, 3, False, 0.1)
            for name in candidates
        }

    return measure


@pytest.mark.parametrize("quiet", [PLANS, ALL_PLANS])
def test_disturbed_plans_do_not_count(
    quiet: int, built: Callable[[str], Built], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency_check, "measure", timed(quiet))
    found = check_table(built("vgg").library, TABLE, RuntimeConfig(), 0, PLANS, quiet_ms=TABLE.quiet_ms)
    assert len(found.plans) == quiet * len(KINDS)
    assert found.errors[ALL].median_error == 0


def test_a_check_that_was_disturbed_says_so(built: Callable[[str], Built], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency_check, "measure", timed(3))
    with pytest.raises(RetryError, match="only 3 of 7 random plans on the runtime's grid could be measured"):
        check_table(built("vgg").library, TABLE, RuntimeConfig(), 0, PLANS, quiet_ms=TABLE.quiet_ms)

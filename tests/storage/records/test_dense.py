"""DenseFacts: JSON round trip and the values it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.records.dense import DenseFacts

POSITIVE = st.floats(min_value=1e-6, max_value=1e9, allow_nan=False)
FACTS = st.builds(
    DenseFacts,
    accuracy=st.floats(min_value=0, max_value=100),
    size_bytes=st.integers(min_value=1, max_value=2**40),
    latency_ms=st.none() | POSITIVE,
    macs=st.integers(min_value=0, max_value=2**50),
)


@settings(deadline=None)
@given(FACTS)
def test_json_round_trip_gives_an_equal_value_on_one_line(facts: DenseFacts) -> None:
    text = facts.to_json()
    assert "\n" not in text
    assert DenseFacts.from_json(text) == facts


@pytest.mark.parametrize(
    "wrong",
    [
        {"accuracy": float("nan")},
        {"size_bytes": 0},
        {"macs": -1},
        {"latency_ms": 0.0},
        {"latency_ms": float("inf")},
    ],
)
def test_impossible_values_are_refused(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"accuracy": 88.0, "size_bytes": 1000, "latency_ms": 1.0, "macs": 10}
    DenseFacts(**right)
    with pytest.raises(ValueError, match="dense"):
        DenseFacts(**{**right, **wrong})

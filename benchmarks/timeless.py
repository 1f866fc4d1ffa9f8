"""What two runs of the same study have in common."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

# What differs between them: the clock and what it measures.
CLOCKED = frozenset({"latency_ms", "speedup", "speedup_low", "speedup_high", "median_error", "seconds", "hardware"})


def timeless(value: Any, without: Collection[str] = ()) -> Any:
    """A JSON document without what a clock has measured, and without the fields named in `without`."""
    if isinstance(value, dict):
        return {
            key: timeless(item, without) for key, item in value.items() if key not in CLOCKED and key not in without
        }
    return [timeless(item, without) for item in value] if isinstance(value, list) else value

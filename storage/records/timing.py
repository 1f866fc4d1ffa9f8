"""Latencies of a front, measured in one session on one machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TimedRow:
    """One candidate beside the dense model."""

    number: int  # of the trial
    latency_ms: float  # of one call
    speedup: float  # dense over candidate
    speedup_low: float  # 5th and 95th percentile of the turns
    speedup_high: float
    speedup_error: float | None = None  # relative standard error; None if it was not kept


@dataclass(frozen=True)
class Timing:
    """What `slimfront measure` found. Only rows of one timing compare."""

    runtime: str  # key into objectives.runtimes.table.RUNTIMES
    hardware: str  # as `objectives.hardware.describe` says it
    threads: int
    batch: int
    rows: tuple[TimedRow, ...]

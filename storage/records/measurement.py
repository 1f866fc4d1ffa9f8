"""Measurements and the rung at which they were taken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """Which way an objective improves."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


class Rung(StrEnum):
    """How carefully a candidate has been evaluated so far (design section 4), in rising order."""

    ALLOCATED = "allocated"
    QUICK = "quick"
    RESCORED = "rescored"  # the best by quick score once more, on other and more images
    CONFIRMED = "confirmed"
    TIMED = "timed"  # the confirmed file's latency; kept apart, as measuring it again gives another value
    TUNED = "tuned"
    FINAL = "final"
    TESTED = "tested"  # the certificate's look at the test split

    @property
    def order(self) -> int:
        """0 for the cheapest rung."""
        return list(Rung).index(self)

    @property
    def is_of_file(self) -> bool:
        """Whether its results are of a file on the confirmation images; a trial has one such result at the most."""
        return self in (Rung.CONFIRMED, Rung.TUNED, Rung.FINAL)


@dataclass(frozen=True)
class Measurement:
    """One measured property: a finite number with unit, direction, sample count and interval."""

    objective: str  # "accuracy", "soft_accuracy", "drop", "size", "onnx_size", "latency", "speedup", "macs"
    value: float
    unit: str  # "%", "points", "bytes", "ms", "x", "macs"
    direction: Direction
    samples: int = 1  # images, turns of timing; 1 for a count
    low: float | None = None  # interval, where there is one
    high: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"{self.objective} is {self.value}: a measurement must be finite")


@dataclass(frozen=True)
class Result:
    """What one evaluation of one trial at one rung gave; idempotent by (study, number, rung)."""

    number: int
    rung: Rung
    measurements: tuple[Measurement, ...]
    per_image: bytes | None = None  # little-endian float32 score of each image in [0, 1], zlib-compressed
    artifact: str | None = None  # folder name of the exported files under the artifact area
    seconds: float = 0.0  # CPU seconds that the evaluation took

    def get(self, objective: str) -> Measurement | None:
        """The measurement of `objective`, or None if this evaluation has none."""
        return next((item for item in self.measurements if item.objective == objective), None)

    def value(self, objective: str) -> float:
        """The value of `objective`; KeyError if this evaluation has none."""
        found = self.get(objective)
        if found is None:
            raise KeyError(objective)
        return found.value

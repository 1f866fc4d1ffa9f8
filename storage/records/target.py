"""What the user wants: ceilings on the costs and on the loss of accuracy."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Objective = Literal["size", "latency", "macs"]
Kind = Literal["ratio", "absolute"]

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
TARGET_KEYS = (*OBJECTIVES, "max_drop")
MAX_DROP_POINTS = 100.0  # an accuracy in percent cannot drop further

# What each unit is worth in the unit in which the objective is measured: bytes, milliseconds, MACs. Decimal
# (1 KB = 1000 bytes), as on the label of a flash chip.
UNITS: Mapping[Objective, Mapping[str, float]] = {
    "size": {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9},
    "latency": {"us": 1e-3, "\u00b5s": 1e-3, "\u03bcs": 1e-3, "ms": 1.0, "s": 1e3},
    "macs": {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12},
}
EXAMPLES: Mapping[Objective, str] = {
    "size": '"8x", "25%" or "400KB"',
    "latency": '"2x", "50%" or "3ms"',
    "macs": '"2x", "50%" or "40M"',
}

_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?\s*([a-z\u00b5\u03bc%]*)", re.ASCII | re.IGNORECASE)
_WISH = re.compile(r"([A-Za-z_]+)(<=|=)([^\s,<=]+)", re.ASCII)


@dataclass(frozen=True)
class CostTarget:
    """A ceiling on one cost. Lower costs are better, so every cost target is an upper limit."""

    objective: Objective
    kind: Kind
    value: float  # ratio: dense over candidate, at least this; absolute: bytes, ms or MACs, at most this
    text: str  # as the user wrote it

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and self.value > 0):
            raise ValueError(f"{self.objective} = {self.text!r} must be greater than 0 and finite")

    def limit(self, dense: float) -> float:
        """The most a candidate may cost where the dense model costs `dense`, both in the objective's unit."""
        return dense / self.value if self.kind == "ratio" else self.value


@dataclass(frozen=True)
class Target:
    """All that a study aims at; every part must hold.

    `max_drop` alone asks for the smallest model within it; without `max_drop` only the costs are targets.
    """

    costs: tuple[CostTarget, ...] = ()
    max_drop: float | None = None  # percentage points of the metric, in [0, 100]

    def __post_init__(self) -> None:
        if len({cost.objective for cost in self.costs}) != len(self.costs):
            raise ValueError("a target names one cost twice")
        if self.max_drop is not None and not 0 <= self.max_drop <= MAX_DROP_POINTS:  # also refuses NaN
            raise ValueError(
                f"max_drop = {self.max_drop} is not in [0, {MAX_DROP_POINTS:g}] percentage points; "
                "write a number such as 1.0"
            )
        if self.max_drop is not None:
            object.__setattr__(self, "max_drop", float(self.max_drop))  # 1 and 1.0 are one target, and one JSON

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all is asked for."""
        return not self.costs and self.max_drop is None

    def cost(self, objective: Objective) -> CostTarget | None:
        """The ceiling on `objective`, or None if there is none."""
        return next((cost for cost in self.costs if cost.objective == objective), None)

    @classmethod
    def parse(
        cls,
        size: str | None = None,
        latency: str | None = None,
        macs: str | int | None = None,
        max_drop: float | None = None,
    ) -> Target:
        """Read each part as `parse_cost` does; ValueError names the part that is wrong."""
        texts: Mapping[Objective, str | int | None] = {"size": size, "latency": latency, "macs": macs}
        costs = tuple(parse_cost(key, text) for key, text in texts.items() if text is not None)
        if isinstance(max_drop, bool) or not isinstance(max_drop, int | float | None):
            raise ValueError(f"max_drop = {max_drop!r} is not a number of percentage points such as 1.0")
        return cls(costs=costs, max_drop=max_drop)

    @classmethod
    def from_text(cls, text: str) -> Target:
        """Read the short form, such as "size=8x drop<=1": parts of the form KEY=VALUE or KEY<=VALUE.

        The keys are size, latency, macs and drop (or max_drop), the parts are separated by spaces or commas.
        ValueError says which part is wrong.
        """
        advice = 'write for example "size=8x drop<=1" or "latency<=3ms macs=50%"'
        parts = [part for part in re.split(r"[\s,]+", re.sub(r"\s*(<=|=)\s*", r"\1", text.strip())) if part]
        wishes: dict[str, str] = {}
        for part in parts:
            match = _WISH.fullmatch(part)
            key = match[1].lower() if match else ""
            key = "max_drop" if key == "drop" else key
            if match is None or key not in TARGET_KEYS:
                raise ValueError(f"{part!r} is not a target; {advice}")
            if key in wishes:
                raise ValueError(f"{part!r} sets a target for the second time; give each once")
            wishes[key] = match[3]
        if not wishes:
            raise ValueError(f"the target is empty; {advice}")
        drop = wishes.get("max_drop")
        return cls.parse(
            size=wishes.get("size"),
            latency=wishes.get("latency"),
            macs=wishes.get("macs"),
            max_drop=None if drop is None else _number(drop),
        )

    @classmethod
    def from_dict(cls, parts: Mapping[str, Any]) -> Target:
        """Inverse of `to_dict`; ValueError for a key that is no target or a value that `parse` refuses."""
        unknown = [key for key in parts if key not in TARGET_KEYS]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not a target; the targets are {', '.join(TARGET_KEYS)}")
        return cls.parse(**parts)

    def to_dict(self) -> dict[str, str | float]:
        """Only what was set, such as {"size": "8x", "max_drop": 1.0}; `from_dict` gives it back."""
        shown: dict[str, str | float] = {cost.objective: cost.text for cost in self.costs}
        if self.max_drop is not None:
            shown["max_drop"] = self.max_drop
        return shown


def parse_cost(objective: Objective, text: str | int) -> CostTarget:
    """Read one cost: "8x" (dense over candidate at least 8), "25%" (at most a quarter), or such as "3ms".

    Sizes take B, KB, MB, GB (1 KB = 1000 bytes), latencies us, ms, s, and MACs K, M, G, T or a plain count,
    which may also be an integer. Capitals do not matter. ValueError gives examples of what is legal.
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"{objective!r} is not a cost; the costs are {', '.join(OBJECTIVES)}")
    written = str(text).strip() if isinstance(text, int) and not isinstance(text, bool) else text
    match = _AMOUNT.fullmatch(written.strip()) if isinstance(written, str) else None
    if match is None or not isinstance(written, str):
        raise ValueError(_illegal(objective, text))
    amount, unit = float(match[1] + (match[2] or "")), match[3].lower()
    kind: Kind = "absolute"
    if unit == "x":
        if not amount >= 1:
            raise ValueError(f"{objective} = {written!r} asks for more than the dense model has; write 1x or more")
        kind, value = "ratio", amount
    elif unit == "%":
        if not 0 < amount <= 100:
            raise ValueError(f"{objective} = {written!r} is not in (0 %, 100 %] of the dense model")
        kind, value = "ratio", 100 / amount
    elif unit in UNITS[objective]:
        value = amount * UNITS[objective][unit]
    else:
        raise ValueError(_illegal(objective, text))
    return CostTarget(objective=objective, kind=kind, value=value, text=written.strip())


def _illegal(objective: Objective, given: object) -> str:
    return f"{objective} = {given!r} is not understood; write for example {EXAMPLES[objective]}"


def _number(text: str) -> float:
    match = _AMOUNT.fullmatch(text)
    if match is None or match[3]:
        raise ValueError(f"drop = {text!r} is not a number of percentage points such as 1.0")
    return float(text)

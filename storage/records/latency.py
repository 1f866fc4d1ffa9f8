"""What single layers take on one machine, from which the latency of any candidate is predicted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import prod

from storage.records.space import SearchSpace

LEAST_SHARE = 0.01  # differences of measured times may come out at nothing or below


@dataclass(frozen=True)
class LatencyFactor:
    """Milliseconds of a layer, or of what stands between layers, as a few sites decide them together."""

    name: str  # of the layer
    sites: tuple[int, ...]  # indices into the space's sites
    milliseconds: tuple[float, ...]  # row-major over the levels of `sites`


@dataclass(frozen=True)
class TableCheck:
    """How well a table predicts whole models: random plans of its space, measured when the table was made."""

    plans: int
    spearman: float  # rank correlation, -1 to 1, higher is better
    median_error: float  # of |predicted / measured - 1|; lower is better
    largest_error: float


@dataclass(frozen=True)
class LatencyTable:
    """Measured once for a model, a runtime and a machine, and kept with the study, so that predictions repeat."""

    runtime: str
    hardware: str  # as `objectives.hardware.describe` says it
    fixed_ms: float  # what no site decides: a call, protected layers
    dense_ms: float  # predicted for the dense model, to which predicted speed-ups refer
    factors: tuple[LatencyFactor, ...]
    checked: TableCheck | None = None  # None in tables that nobody has checked
    unchecked: str | None = None  # why; None also in tables of versions that did not say
    is_floored: bool = False  # whether no prediction is below `fixed_ms`; False in tables of versions before
    # What a call of the dense file took in a quiet moment when the table was made; None where that is not known.
    quiet_ms: float | None = None

    def check(self, space: SearchSpace) -> None:
        """Raises ValueError if the table is not one of this space."""
        for factor in self.factors:
            known = all(0 <= site < len(space.sites) for site in factor.sites)
            if not known or len(factor.milliseconds) != prod(len(space.sites[site].levels) for site in factor.sites):
                raise ValueError(f"the latency table's {factor.name} does not fit the search space")

    @property
    def least_ms(self) -> float:
        """No prediction is below it, whatever noise adds up to: a call, and LEAST_SHARE of the dense model's."""
        return max(LEAST_SHARE * self.dense_ms, self.fixed_ms if self.is_floored else 0.0)

    def milliseconds(self, space: SearchSpace, levels: Sequence[int]) -> float:
        """Predicted latency of one call, at least `least_ms`."""
        total = self.fixed_ms + sum(item.milliseconds[space.cell(item.sites, levels)] for item in self.factors)
        return max(total, self.least_ms)

    def speedup(self, space: SearchSpace, levels: Sequence[int]) -> float:
        """Predicted ratio of the dense model's latency to the candidate's; above 1 is faster."""
        return self.dense_ms / self.milliseconds(space, levels)

    def on_clock(self) -> LatencyTable:
        """The same speed-ups in milliseconds as the dense file takes them in quiet, where that is known: single layers
        are timed beside another model than whole files."""
        if self.quiet_ms is None:
            return self
        scale = self.quiet_ms / self.dense_ms
        return replace(
            self,
            fixed_ms=scale * self.fixed_ms,
            dense_ms=self.quiet_ms,
            factors=tuple(
                replace(item, milliseconds=tuple(scale * own for own in item.milliseconds)) for item in self.factors
            ),
        )

    def quiet_on(self, hardware: str) -> float | None:
        """What a call of the dense file takes on `hardware` in a quiet moment, at the batch of the study, where that is
        known."""
        return self.quiet_ms if self.hardware == hardware else None

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back to an equal value."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> LatencyTable:
        """Inverse of `to_json`."""
        raw = json.loads(text)
        factors = tuple(
            LatencyFactor(item["name"], tuple(item["sites"]), tuple(item["milliseconds"])) for item in raw["factors"]
        )
        checked = None if raw.get("checked") is None else TableCheck(**raw["checked"])
        return cls(**{**raw, "factors": factors, "checked": checked})

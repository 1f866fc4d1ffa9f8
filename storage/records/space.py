"""Sites, their levels, and the search space they span (design section 1)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

FORMAT_VERSION = 2
CHANNEL, QUANT = "channel", "quant"  # learners, by the names of `learners.table.LEARNERS`
FLOAT_BITS = 32


@dataclass(frozen=True)
class Level:
    """One choice at a site."""

    name: str  # of a precision "fp32", "w8", "w4", ...; of a channel group what remains, such as "c48"
    bits: int = FLOAT_BITS  # width of a stored weight; 32 is unquantised
    channels: int | None = None  # channels that remain, of a channel group only
    method: str = "unchanged"  # how the weights were adapted: "gptq", "round to nearest", "obs", ...


@dataclass(frozen=True)
class Site:
    """One place where a decision is taken: the channels of a coupled group, or the precision of a layer."""

    name: str  # a layer's name in the user's model, such as "layer1.0.conv1"; of a group that of its widest layer
    learner: str  # key into learners.LEARNERS
    kind: str  # "convolution", "grouped convolution", "depthwise convolution", "linear"; "channels" of a group
    macs: int  # multiply-accumulates of one sample in the dense model, of `layers` together
    weights: int  # number of weights of `layers`, biases not counted
    levels: tuple[Level, ...]  # ordered from the original to the smallest
    layers: tuple[str, ...] = ()  # whose output channels or whose precision is decided

    def __post_init__(self) -> None:
        if not self.levels:
            raise ValueError(f"site {self.name} has no levels")
        if len({level.name for level in self.levels}) != len(self.levels):
            raise ValueError(f"site {self.name} names a level twice")

    def level_index(self, name: str) -> int:
        """Position of the level called `name`; ValueError if the site has none of that name."""
        for index, level in enumerate(self.levels):
            if level.name == name:
                return index
        raise ValueError(f"site {self.name} has no level {name}; it has {[level.name for level in self.levels]}")


@dataclass(frozen=True)
class Factor:
    """Costs and error of a layer, or of a share of them, as a few sites decide them together.

    Each table holds one number for every combination of levels of `sites`, row-major in their order.
    """

    layer: str
    sites: tuple[int, ...]  # indices into the space's sites
    size_bytes: tuple[float, ...]  # what the layer adds to `model.slim`
    macs: tuple[float, ...]  # multiply-accumulates of one sample
    error: tuple[float, ...]  # squared output error relative to the output's variance, >= 0; 0 is exact


@dataclass(frozen=True)
class LayerFigures:
    """What a candidate makes of one layer."""

    size_bytes: float
    macs: float
    error: float


@dataclass(frozen=True)
class LayerShape:
    """A layer that the search may change, as it is in the dense model."""

    name: str
    kind: str  # as of its site
    weights: int  # biases not counted
    macs: int  # multiply-accumulates of one sample
    group: int | None = None  # site that decides on its output channels
    channels: tuple[int, ...] = ()  # output channels at each level of `group`; one number without; empty: unknown


@dataclass(frozen=True)
class Protected:
    """A layer that is left as it is, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class SearchSpace:
    """The ordered sites of one model with their legal levels, and what they cost together.

    Every cost is a fixed part plus one entry of each factor's table.
    """

    sites: tuple[Site, ...]
    protected: tuple[Protected, ...]
    fixed_bytes: int  # `model.slim` without any site: header, graph, protected layers
    factors: tuple[Factor, ...]
    fixed_macs: int = 0  # of protected layers
    kept_channels: tuple[Protected, ...] = ()  # layers that keep all their channels, and why
    layers: tuple[LayerShape, ...] = ()  # in the order of the graph

    def __post_init__(self) -> None:
        for factor in self.factors:
            cells = prod(len(self.sites[site].levels) for site in factor.sites)
            if {len(factor.size_bytes), len(factor.macs), len(factor.error)} != {cells}:
                raise ValueError(f"the tables of layer {factor.layer} do not have {cells} entries")

    def contains(self, levels: Sequence[int]) -> bool:
        """Whether `levels` names one legal level for every site, in order."""
        return len(levels) == len(self.sites) and all(
            0 <= level < len(site.levels) for level, site in zip(levels, self.sites, strict=True)
        )

    def choose(self, levels: Sequence[int]) -> tuple[Level, ...]:
        """The levels that a candidate stands for; ValueError if it is not of this space."""
        if not self.contains(levels):
            raise ValueError(f"{tuple(levels)} is not a candidate of this space of {len(self.sites)} sites")
        return tuple(site.levels[level] for level, site in zip(levels, self.sites, strict=True))

    def cell(self, sites: Sequence[int], levels: Sequence[int] | Mapping[int, int]) -> int:
        """Where the tables over `sites` hold what candidate `levels` costs; those of other sites need not be there."""
        index = 0
        for site in sites:
            index = index * len(self.sites[site].levels) + levels[site]
        return index

    def size_bytes(self, levels: Sequence[int]) -> int:
        """Predicted bytes of `model.slim`."""
        self.choose(levels)
        return round(self.fixed_bytes + sum(f.size_bytes[self.cell(f.sites, levels)] for f in self.factors))

    def macs(self, levels: Sequence[int]) -> int:
        """Multiply-accumulates of one sample, exactly."""
        self.choose(levels)
        return round(self.fixed_macs + sum(f.macs[self.cell(f.sites, levels)] for f in self.factors))

    def error(self, levels: Sequence[int]) -> float:
        """Sum of the relative errors: the free score of rung 0, lower is better."""
        self.choose(levels)
        return sum(f.error[self.cell(f.sites, levels)] for f in self.factors)

    def layer_figures(self, levels: Sequence[int]) -> dict[str, LayerFigures]:
        """Size, MACs and error of each layer of a candidate, in the order of the graph."""
        self.choose(levels)
        found: dict[str, LayerFigures] = {}
        for factor in self.factors:
            cell = self.cell(factor.sites, levels)
            before = found.get(factor.layer, LayerFigures(0.0, 0.0, 0.0))
            found[factor.layer] = LayerFigures(
                before.size_bytes + factor.size_bytes[cell],
                before.macs + factor.macs[cell],
                before.error + factor.error[cell],
            )
        return found

    def uniform_bits(self, bits: int) -> tuple[int, ...]:
        """The candidate of `bits` wherever a site has that width, and of the original elsewhere."""
        return tuple(
            next((index for index, level in enumerate(site.levels) if level.bits == bits), 0) for site in self.sites
        )

    @cached_property
    def smallest_bytes(self) -> int:
        """Bytes of the smallest file: every site at its last level."""
        return self.size_bytes(tuple(len(site.levels) - 1 for site in self.sites))

    def with_first_level(self, sites: Collection[int]) -> SearchSpace:
        """The same space where `sites` have nothing but their first level, the original. Its candidates hold here."""
        counts = [1 if place in sites else len(site.levels) for place, site in enumerate(self.sites)]

        def fewer(factor: Factor) -> Factor:
            choices = product(*(range(counts[site]) for site in factor.sites))
            cells = [self.cell(factor.sites, dict(zip(factor.sites, chosen, strict=True))) for chosen in choices]
            size, macs, error = (
                tuple(t[cell] for cell in cells) for t in (factor.size_bytes, factor.macs, factor.error)
            )
            return replace(factor, size_bytes=size, macs=macs, error=error)

        kept = [replace(site, levels=site.levels[:count]) for site, count in zip(self.sites, counts, strict=True)]
        return replace(self, sites=tuple(kept), factors=tuple(map(fewer, self.factors)))

    def with_rest(self, fixed_bytes: int, factors: Sequence[Factor]) -> SearchSpace:
        """The same space with another fixed part, and more tables."""
        return replace(self, fixed_bytes=fixed_bytes, factors=(*self.factors, *factors))

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back to an equal value."""
        return json.dumps({"version": FORMAT_VERSION, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> SearchSpace:
        """Inverse of `to_json`; reads what version 0.1 wrote, too."""
        raw = json.loads(text)
        if "version" not in raw:
            raw = _from_first_version(raw)
        sites = tuple(
            Site(
                **{
                    **site,
                    "levels": tuple(Level(**level) for level in site["levels"]),
                    "layers": tuple(site["layers"]),
                }
            )
            for site in raw["sites"]
        )
        factors = tuple(
            Factor(item["layer"], *(tuple(item[key]) for key in ("sites", "size_bytes", "macs", "error")))
            for item in raw["factors"]
        )
        protected = tuple(Protected(**entry) for entry in raw["protected"])
        kept = tuple(Protected(**entry) for entry in raw["kept_channels"])
        layers = tuple(LayerShape(**{**item, "channels": tuple(item["channels"])}) for item in raw["layers"])
        return cls(sites, protected, raw["fixed_bytes"], factors, raw["fixed_macs"], kept, layers)


def _from_first_version(raw: dict[str, Any]) -> dict[str, Any]:
    """The document of a space whose levels each held their own size and error, as it is written now."""
    factors = []
    for index, site in enumerate(raw["sites"]):
        levels = site["levels"]
        factors.append(
            {
                "layer": site["name"],
                "sites": [index],
                "size_bytes": [level.pop("size_bytes") for level in levels],
                "macs": [site["macs"]] * len(levels),
                "error": [level.pop("error") for level in levels],
            }
        )
        site["layers"] = [site["name"]]
    layers = [
        {**{key: site[key] for key in ("name", "kind", "weights", "macs")}, "channels": []} for site in raw["sites"]
    ]
    return {**raw, "factors": factors, "fixed_macs": 0, "kept_channels": [], "layers": layers}

"""Sites, their levels, and the search space they span (design section 1)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Level:
    """One choice at a site, with its exact costs and its error, all known before any candidate is evaluated."""

    name: str  # "fp32", "w8", "w4", ...
    bits: int  # width of a stored weight; 32 is unquantised
    size_bytes: int  # what the site adds to `model.slim` at this level
    error: float  # squared output error relative to the output's variance, >= 0; 0 is exact
    method: str  # how the weights were adapted: "gptq", "round to nearest", "unchanged"


@dataclass(frozen=True)
class Site:
    """One place where a decision is taken."""

    name: str  # the layer's name in the user's model, such as "layer1.0.conv1"
    learner: str  # key into learners.LEARNERS
    kind: str  # "convolution", "grouped convolution", "depthwise convolution", "linear"
    macs: int  # multiply-accumulates of one sample in the dense model
    weights: int  # number of weights, biases not counted
    levels: tuple[Level, ...]  # ordered from the original to the smallest

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
class Protected:
    """A layer that is left as it is, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class SearchSpace:
    """The ordered sites of one model with their legal levels, and what they cost together."""

    sites: tuple[Site, ...]
    protected: tuple[Protected, ...]
    fixed_bytes: int  # `model.slim` without any site: header, graph, protected layers

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

    def size_bytes(self, levels: Sequence[int]) -> int:
        """Predicted bytes of `model.slim`."""
        return self.fixed_bytes + sum(level.size_bytes for level in self.choose(levels))

    def error(self, levels: Sequence[int]) -> float:
        """Sum of the relative errors: the free score of rung 0, lower is better."""
        return sum(level.error for level in self.choose(levels))

    def uniform(self, name: str) -> tuple[int, ...]:
        """The candidate that takes the level called `name` at every site."""
        return tuple(site.level_index(name) for site in self.sites)

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back to an equal value."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> SearchSpace:
        """Inverse of `to_json`."""
        raw = json.loads(text)
        sites = tuple(
            Site(**{**site, "levels": tuple(Level(**level) for level in site["levels"])}) for site in raw["sites"]
        )
        protected = tuple(Protected(**entry) for entry in raw["protected"])
        return cls(sites=sites, protected=protected, fixed_bytes=raw["fixed_bytes"])

"""How much each level of each site matters, and what limits each target. The fields of `sensitivity STUDY --json`.

Everything follows from the tables that the store keeps with the study; no model is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dashboards.changes import Changes
from dashboards.limits import TargetLimit, target_limits
from dashboards.study import StudyData
from storage.records.space import CHANNEL, SearchSpace, Site


@dataclass(frozen=True)
class LevelSensitivity:
    """One level of one site, all other sites at their originals."""

    level: str
    channels: int | None  # that remain, of a channel group
    bits: int | None  # of a weight, of a precision
    error: float  # sum of the relative output errors of the layers that the site decides
    saved_bytes: int  # of model.slim
    saved_macs: int  # of one sample


@dataclass(frozen=True)
class SiteSensitivity:
    """One site with all its levels, the original first."""

    site: str
    learner: str
    layers: tuple[str, ...]
    levels: tuple[LevelSensitivity, ...]


@dataclass(frozen=True)
class SensitivityView:
    """Everything that `sensitivity` shows."""

    study: str
    sites: tuple[SiteSensitivity, ...]  # channel groups first, then precisions in the order of the layers
    targets: tuple[TargetLimit, ...]

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return asdict(self)


def sensitivity_view(data: StudyData) -> SensitivityView:
    """The view of a study. FixInputError before its model is analysed."""
    space = data.known_space
    changes = Changes(space, data.latency)
    return SensitivityView(
        study=data.study.name, sites=_sites(space, changes), targets=target_limits(data, space, changes)
    )


def site_sensitivities(data: StudyData) -> tuple[SiteSensitivity, ...]:
    """The sites of the view alone, in a moment for any model. FixInputError before the model is analysed."""
    space = data.known_space
    return _sites(space, Changes(space, None))


def _sites(space: SearchSpace, changes: Changes) -> tuple[SiteSensitivity, ...]:
    originals = (0,) * len(space.sites)
    return tuple(_site(site, index, changes, originals) for index, site in enumerate(space.sites))


def _site(site: Site, index: int, changes: Changes, originals: Sequence[int]) -> SiteSensitivity:
    found = []
    for place, level in enumerate(site.levels):
        change = changes.of(originals, index, place)
        bits = None if site.learner == CHANNEL else level.bits
        saved = round(0.0 - change.size_bytes), round(0.0 - change.macs)
        found.append(LevelSensitivity(level.name, level.channels, bits, change.error, *saved))
    return SiteSensitivity(site.name, site.learner, site.layers, tuple(found))

"""What a study would do, found out without storing anything. The fields of `slimfront plan FILE --json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from searcher.baselines import UNIFORM_SHARES, UNIFORM_WIDTHS, uniform_channels
from searcher.stages.prepare import Prepared, notes
from slimfront.estimate import PlannedTime, planned_time
from storage.records.space import CHANNEL, QUANT, Protected, SearchSpace
from storage.records.target import CostTarget


@dataclass(frozen=True)
class PlannedSite:
    """A layer that the search may change."""

    name: str
    kind: str
    channels: int  # output channels
    weights: int
    macs: int
    levels: tuple[str, ...]  # of its precision


@dataclass(frozen=True)
class PlannedGroup:
    """Channels that the search may take away, in several layers at once."""

    name: str  # of the widest layer that makes them
    layers: tuple[str, ...]  # that make them
    levels: tuple[int, ...]  # output channels of that layer that remain


@dataclass(frozen=True)
class PlannedSize:
    """A size that can be reached, before entropy coding takes some off, and the MACs that go with it."""

    name: str
    size_bytes: int
    size_ratio: float  # dense over this
    macs: int
    macs_ratio: float  # dense over this; 1 for a model without any


@dataclass(frozen=True)
class PlannedTarget:
    """A cost target in its own unit."""

    objective: str
    text: str  # as it was written
    dense: float | None  # None for a latency: it is measured at the end of the study
    limit: float | None  # bytes, MACs or milliseconds


@dataclass(frozen=True)
class PlanView:
    """Everything that `plan` shows."""

    study: str
    images: dict[str, int]  # of each subset
    sites: tuple[PlannedSite, ...]
    groups: tuple[PlannedGroup, ...]  # none where channels are not searched
    protected: tuple[Protected, ...]
    kept_channels: tuple[Protected, ...]  # layers that keep all their output channels, and why
    sizes: tuple[PlannedSize, ...]  # the dense file first, then falling
    target: dict[str, str | float]
    costs: tuple[PlannedTarget, ...]
    candidates: int | None  # None where the study is given minutes
    seconds: PlannedTime
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return asdict(self)


def plan_view(prepared: Prepared) -> PlanView:
    """The view of a study whose input has been checked."""
    config, workload, space = prepared.config, prepared.workload, prepared.space
    macs = prepared.analysis.macs
    return PlanView(
        study=config.name,
        images={
            name: len(getattr(workload, name) or ()) for name in ("calibration", "quick", "rescoring", "confirmation")
        },
        sites=_sites(space),
        groups=tuple(
            PlannedGroup(site.name, site.layers, tuple(level.channels or 0 for level in site.levels))
            for site in space.sites
            if site.learner == CHANNEL
        ),
        protected=space.protected,
        kept_channels=space.kept_channels if CHANNEL in config.search.learners else (),
        sizes=_sizes(prepared),
        target=config.target.to_dict(),
        costs=tuple(_cost(cost, prepared.dense_bytes, macs) for cost in config.target.costs),
        candidates=config.search.candidates,
        seconds=planned_time(prepared),
        notes=notes(prepared),
    )


def _sites(space: SearchSpace) -> tuple[PlannedSite, ...]:
    widths = {site.name: site.levels for site in space.sites if site.learner == QUANT}
    return tuple(
        PlannedSite(
            name=layer.name,
            kind=layer.kind,
            channels=layer.channels[0],
            weights=layer.weights,
            macs=layer.macs,
            levels=tuple(level.name for level in widths.get(layer.name, ())) or ("fp32",),
        )
        for layer in space.layers
    )


def _sizes(prepared: Prepared) -> tuple[PlannedSize, ...]:
    space, macs = prepared.space, prepared.analysis.macs
    learners = {site.learner for site in space.sites}
    plans: dict[str, tuple[int, ...]] = {}
    if QUANT in learners:
        plans |= {f"uniform w{bits}": space.uniform_bits(bits) for bits in UNIFORM_WIDTHS}
    if CHANNEL in learners:
        plans |= {f"uniform c{100 * share:g}": uniform_channels(space, share) for share in UNIFORM_SHARES}
    plans["smallest"] = tuple(len(site.levels) - 1 for site in space.sites)
    costs = {"dense": (prepared.dense_bytes, macs)}
    costs |= {name: (space.size_bytes(plan), space.macs(plan)) for name, plan in plans.items()}
    return tuple(
        PlannedSize(name, size, prepared.dense_bytes / size, left, macs / left if left else 1.0)
        for name, (size, left) in costs.items()
    )


def _cost(cost: CostTarget, size: int, macs: int) -> PlannedTarget:
    dense = {"size": float(size), "macs": float(macs)}.get(cost.objective)
    if dense is None:
        return PlannedTarget(cost.objective, cost.text, None, cost.value if cost.kind == "absolute" else None)
    return PlannedTarget(cost.objective, cost.text, dense, cost.limit(dense))

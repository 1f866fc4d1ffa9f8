"""What a study would do, found out without storing anything. The fields of `slimfront plan FILE --json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from objectives.hardware import available_cores
from objectives.pareto import FRONT_ROWS
from searcher.baselines import ROUNDED_WIDTHS, UNIFORM_WIDTHS, uniform
from searcher.stages.prepare import Prepared, notes
from storage.records.config import StudyConfig
from storage.records.space import Protected, Site
from storage.records.target import CostTarget

# Rough costs of one core of a laptop, for "about"; a machine is easily twice as fast or slow.
FIT_SECONDS_PER_COLUMN = 0.5e-3  # of a layer's weight matrix, all widths together
COLUMN_POWER_SECONDS = 1e-12  # GPTQ's inverse, a column cubed
MACS_PER_SECOND = 5e10  # of a forward pass, quick scores and files alike
OVERHEAD_SECONDS = 2.0  # traces, sessions, the store
TIMING_SECONDS = 30.0  # at most: latency.SECONDS
TIMED_CALLS = 1200  # of a model and as many of the dense one: 3 rounds of at most 200 calls each
CALL_SECONDS = 2e-5  # of the smallest model


@dataclass(frozen=True)
class PlannedSite:
    """A layer that the search may change."""

    name: str
    kind: str
    weights: int
    macs: int
    levels: tuple[str, ...]


@dataclass(frozen=True)
class PlannedSize:
    """A size that can be reached."""

    name: str
    size_bytes: int
    size_ratio: float  # dense over this


@dataclass(frozen=True)
class PlannedTarget:
    """A cost target in its own unit."""

    objective: str
    text: str  # as it was written
    dense: float | None  # None for a latency: it is measured at the end of the study
    limit: float | None  # bytes, MACs or milliseconds


@dataclass(frozen=True)
class PlannedTime:
    """Estimated wall seconds."""

    library: float
    quick: float
    confirmed: float
    latency: float
    total: float


@dataclass(frozen=True)
class PlanView:
    """Everything that `plan` shows."""

    study: str
    images: dict[str, int]  # of each subset
    sites: tuple[PlannedSite, ...]
    protected: tuple[Protected, ...]
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
        images={name: len(getattr(workload, name)) for name in ("calibration", "quick", "confirmation")},
        sites=tuple(_site(site) for site in space.sites),
        protected=space.protected,
        sizes=_sizes(prepared),
        target=config.target.to_dict(),
        costs=tuple(_cost(cost, prepared.dense_bytes, macs) for cost in config.target.costs),
        candidates=config.search.candidates,
        seconds=_time(prepared),
        notes=notes(prepared),
    )


def _site(site: Site) -> PlannedSite:
    return PlannedSite(site.name, site.kind, site.weights, site.macs, tuple(level.name for level in site.levels))


def _sizes(prepared: Prepared) -> tuple[PlannedSize, ...]:
    space, dense = prepared.space, prepared.dense_bytes
    found = {"dense": dense}
    for bits in UNIFORM_WIDTHS:
        found[f"uniform w{bits}"] = space.size_bytes(uniform(space, bits))
    smallest = tuple(min(range(len(site.levels)), key=lambda i: site.levels[i].size_bytes) for site in space.sites)
    found["smallest"] = space.size_bytes(smallest)
    return tuple(PlannedSize(name, count, dense / count) for name, count in found.items())


def _cost(cost: CostTarget, size: int, macs: int) -> PlannedTarget:
    dense = {"size": float(size), "macs": float(macs)}.get(cost.objective)
    if dense is None:
        return PlannedTarget(cost.objective, cost.text, None, cost.value if cost.kind == "absolute" else None)
    return PlannedTarget(cost.objective, cost.text, dense, cost.limit(dense))


def _time(prepared: Prepared) -> PlannedTime:
    workload, config = prepared.workload, prepared.config
    pass_seconds = prepared.analysis.macs / MACS_PER_SECOND  # of one image
    columns: Sequence[tuple[int, int]] = [(layer.groups, layer.columns) for layer in prepared.analysis.layers]
    library = OVERHEAD_SECONDS + len(workload.calibration) * pass_seconds
    library += sum(
        groups * (width * FIT_SECONDS_PER_COLUMN + width**3 * COLUMN_POWER_SECONDS) for groups, width in columns
    )
    files = len(UNIFORM_WIDTHS) + len(ROUNDED_WIDTHS) + min(FRONT_ROWS, config.search.candidates or FRONT_ROWS)
    confirmed = OVERHEAD_SECONDS + files * len(workload.confirmation) * pass_seconds / available_cores()
    calls = files * TIMED_CALLS * max(CALL_SECONDS, config.runtime.batch * pass_seconds)
    quick, latency = _search_seconds(config, len(workload.quick) * pass_seconds), min(TIMING_SECONDS, calls)
    return PlannedTime(library, quick, confirmed, latency, library + quick + confirmed + latency)


def _search_seconds(config: StudyConfig, candidate: float) -> float:
    search = config.search
    return 60.0 * (search.minutes or 0.0) if search.candidates is None else search.candidates * candidate

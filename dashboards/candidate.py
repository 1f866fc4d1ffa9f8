"""One candidate layer by layer: its plan. The fields of `slimfront show STUDY/N --json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from dashboards.row import Row, make_row
from dashboards.study import StudyData
from storage.errors import FixInputError
from storage.records.candidate import Trial
from storage.records.measurement import Result, Rung
from storage.records.space import Level, Protected, Site
from storage.rules import no_trial_error

ROUNDED = "rounded:"  # begins the id of weights that plain rounding gives, in place of the library's
ROUND_METHOD = "round to nearest"
FLOAT_BITS = 32


@dataclass(frozen=True)
class LayerPlan:
    """What a candidate does to one layer."""

    name: str
    kind: str
    level: str
    bits: int
    method: str
    error: float | None  # squared output error relative to the output's variance; None where nobody measured it
    size_bytes: int  # of the layer in model.slim
    weights: int
    macs: int


@dataclass(frozen=True)
class CandidateView:
    """A candidate's plan and figures."""

    study: str
    candidate: int
    name: str | None  # of a baseline
    origin: str  # the sampler's name, or "baseline"
    error: str | None  # why its evaluation failed
    row: Row | None  # None until it has been evaluated
    layers: tuple[LayerPlan, ...]  # empty for a baseline that another tool has made
    protected: tuple[Protected, ...]  # layers that are left alone, and why
    fixed_bytes: int  # of model.slim beside the layers: graph, activation grids, protected layers
    mean_bits: float | None  # a weight of the layers, on average
    speedup_interval: tuple[float, float] | None = None  # lowest and highest ratio of one round of timing

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return asdict(self)


def candidate_view(data: StudyData, number: int) -> CandidateView:
    """The view of trial `number`. NotFoundError if there is none; FixInputError before the model is analysed."""
    trial = data.trials.get(number)
    if trial is None:
        raise no_trial_error(data.study.name, number, len(data.trials))
    space = data.space
    if space is None:
        raise FixInputError(f"the model of study {data.study.name} is not analysed yet: try again in a moment")
    layers = _layers(space.sites, trial, space.choose(trial.candidate.levels)) if trial.candidate.levels else ()
    weights = sum(layer.weights for layer in layers)
    return CandidateView(
        study=data.study.name,
        candidate=number,
        name=trial.baseline,
        origin=trial.origin,
        error=trial.error,
        row=make_row(data, number),
        layers=layers,
        protected=space.protected,
        fixed_bytes=space.fixed_bytes,
        mean_bits=sum(layer.bits * layer.weights for layer in layers) / weights if weights else None,
        speedup_interval=_speedup_interval(data.result(number, Rung.TIMED)),
    )


def _speedup_interval(timed: Result | None) -> tuple[float, float] | None:
    speedup = timed.get("speedup") if timed is not None else None
    if speedup is None or speedup.low is None or speedup.high is None:
        return None
    return speedup.low, speedup.high


def _layers(sites: tuple[Site, ...], trial: Trial, levels: tuple[Level, ...]) -> tuple[LayerPlan, ...]:
    rounded = trial.candidate.weights.startswith(ROUNDED)
    return tuple(
        _layer(site, level, rounded and level.bits < FLOAT_BITS) for site, level in zip(sites, levels, strict=True)
    )


def _layer(site: Site, level: Level, rounded: bool) -> LayerPlan:
    return LayerPlan(
        name=site.name,
        kind=site.kind,
        level=level.name,
        bits=level.bits,
        method=ROUND_METHOD if rounded else level.method,
        error=None if rounded else level.error,
        size_bytes=level.size_bytes,
        weights=site.weights,
        macs=site.macs,
    )

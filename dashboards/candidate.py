"""One candidate layer by layer: its plan. The fields of `slimfront show STUDY/N --json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dashboards.certificate import RowCertificate, row_certificate
from dashboards.row import Row, make_row
from dashboards.study import StudyData
from storage.records.candidate import Trial
from storage.records.measurement import Result, Rung
from storage.records.space import CHANNEL, FLOAT_BITS, QUANT, LayerFigures, LayerShape, Level, Protected, SearchSpace
from storage.rules import no_trial_error

ROUNDED = "rounded:"  # begins the id of weights that plain rounding gives, in place of the library's
ROUND_METHOD = "round to nearest"
TRAINED_METHOD = "fine-tuned"
ORIGINAL = Level("fp32")  # of a layer whose precision no site decides


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
    weights: int  # that remain
    macs: int  # of one sample, that remain
    channels: int | None  # output channels that remain; None for a study of version 0.1
    dense_channels: int | None  # of how many


@dataclass(frozen=True)
class GroupPlan:
    """What a candidate leaves of channels that are decided on together."""

    name: str  # of the widest layer that makes them
    layers: tuple[str, ...]
    level: str
    channels: int  # output channels of that layer that remain
    dense_channels: int  # of how many
    method: str


@dataclass(frozen=True)
class CandidateView:
    """A candidate's plan and figures."""

    study: str
    candidate: int
    name: str | None  # of a baseline
    origin: str  # the sampler's name, "baseline", or "finetune"
    parent: int | None  # number of the candidate that it was trained from
    error: str | None  # why its evaluation failed
    row: Row | None  # None until it has been evaluated
    layers: tuple[LayerPlan, ...]  # empty for a baseline that another tool has made
    groups: tuple[GroupPlan, ...]  # likewise
    protected: tuple[Protected, ...]  # layers that are left alone, and why
    kept_channels: tuple[Protected, ...]  # layers that keep all their channels, and why
    fixed_bytes: int  # of model.slim beside the layers: graph, activation grids, protected layers, index maps
    mean_bits: float | None  # a weight of the layers, on average
    speedup_interval: tuple[float, float] | None = None  # 5th and 95th percentile of the turns
    certificate: RowCertificate | None = None
    looks: int | None = None  # how often the test split had been looked at by then; None without a certificate

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return {**asdict(self), "row": None if self.row is None else self.row.to_dict()}


def candidate_view(data: StudyData, number: int) -> CandidateView:
    """The view of trial `number`. NotFoundError if there is none; FixInputError before the model is analysed."""
    trial = data.trials.get(number)
    if trial is None:
        raise no_trial_error(data.study.name, number, len(data.trials))
    space = data.known_space
    levels = trial.candidate.levels
    layers = _layers(space, trial) if levels else ()
    weights = sum(layer.weights for layer in layers)
    total = space.size_bytes(levels) if levels else space.fixed_bytes
    return CandidateView(
        study=data.study.name,
        candidate=number,
        name=trial.baseline,
        origin=trial.origin,
        parent=trial.parent,
        error=trial.error,
        row=make_row(data, number),
        layers=layers,
        groups=_groups(space, levels) if levels else (),
        protected=space.protected,
        kept_channels=space.kept_channels,
        fixed_bytes=total - sum(layer.size_bytes for layer in layers),
        mean_bits=sum(layer.bits * layer.weights for layer in layers) / weights if weights else None,
        speedup_interval=_speedup_interval(data.result(number, Rung.TIMED)),
        certificate=row_certificate(data, number),
        looks=None if row_certificate(data, number) is None or data.certificate is None else data.certificate.looks,
    )


def _speedup_interval(timed: Result | None) -> tuple[float, float] | None:
    speedup = timed.get("speedup") if timed is not None else None
    if speedup is None or speedup.low is None or speedup.high is None:
        return None
    return speedup.low, speedup.high


def _layers(space: SearchSpace, trial: Trial) -> tuple[LayerPlan, ...]:
    levels = trial.candidate.levels
    widths = {
        site.name: site.levels[level] for site, level in zip(space.sites, levels, strict=True) if site.learner == QUANT
    }
    figures = space.layer_figures(levels)
    nothing = LayerFigures(0.0, 0.0, 0.0)
    return tuple(
        _layer(shape, widths.get(shape.name, ORIGINAL), figures.get(shape.name, nothing), trial)
        for shape in space.layers
    )


def _layer(shape: LayerShape, level: Level, figures: LayerFigures, trial: Trial) -> LayerPlan:
    other = _other_method(trial, level)
    kept = trial.candidate.levels[shape.group] if shape.group is not None else 0
    return LayerPlan(
        name=shape.name,
        kind=shape.kind,
        level=level.name,
        bits=level.bits,
        method=level.method if other is None else other,
        error=figures.error if other is None else None,
        size_bytes=round(figures.size_bytes),
        weights=remaining(shape.weights, figures.macs, shape.macs),
        macs=round(figures.macs),
        channels=shape.channels[kept] if shape.channels else None,
        dense_channels=shape.channels[0] if shape.channels else None,
    )


def _other_method(trial: Trial, level: Level) -> str | None:
    """What has made a layer's weights in place of the library, which alone knows their error; None if it has."""
    if trial.parent is not None:
        return TRAINED_METHOD
    rounded = trial.candidate.weights.startswith(ROUNDED) and level.bits < FLOAT_BITS
    return ROUND_METHOD if rounded else None


def remaining(weights: int, macs: float, dense_macs: int) -> int:
    """How many of a layer's weights remain where `macs` of its `dense_macs` do: each is used equally often."""
    return round(weights * macs / dense_macs) if dense_macs else weights


def _groups(space: SearchSpace, levels: Sequence[int]) -> tuple[GroupPlan, ...]:
    return tuple(
        GroupPlan(
            name=site.name,
            layers=site.layers,
            level=site.levels[level].name,
            channels=site.levels[level].channels or 0,
            dense_channels=site.levels[0].channels or 0,
            method=site.levels[level].method,
        )
        for site, level in zip(space.sites, levels, strict=True)
        if site.learner == CHANNEL
    )

"""How the hypervolume of a study grew while candidates were scored, on the whole and by sampler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboards.study import DENSE_NUMBER, StudyData
from objectives.hypervolume import normalised_so_far
from storage.records.measurement import Result, Rung


@dataclass(frozen=True)
class Growth:
    """A hypervolume after each candidate that has changed it: a step curve that never falls."""

    scored: tuple[int, ...]  # how many candidates had been scored, baselines not counted; the first and last are in it
    values: tuple[float, ...]  # of accuracy and size, see `objectives.hypervolume.normalised`


@dataclass(frozen=True)
class SamplerGrowth(Growth):
    """The same of what one sampler has proposed, and nothing else."""

    origin: str  # the sampler's name
    candidates: int  # that it has proposed, of those scored


@dataclass(frozen=True)
class HypervolumeView:
    """Of quick scores: those that the search went by."""

    study: str
    images: int  # that the scores are of
    baselines: float  # of the baselines alone
    all: Growth  # of baselines and candidates together
    samplers: tuple[SamplerGrowth, ...]  # in the order in which they first proposed


def hypervolume_view(data: StudyData) -> HypervolumeView | None:
    """The view of a study; None before the dense model and one candidate have their quick scores."""
    quick, dense = data.results.get(Rung.QUICK, {}), data.dense
    reference = quick.get(DENSE_NUMBER)
    known = [quick[number] for number in sorted(quick) if number in data.trials]
    searched = [item for item in known if data.trials[item.number].baseline is None]
    if dense is None or reference is None or not searched:
        return None
    accuracy = reference.get("accuracy")
    assert accuracy is not None

    def growth(results: Sequence[Result]) -> list[float]:
        ratios = [dense.size_bytes / item.value("size") for item in results]
        values: list[float] = normalised_so_far(
            [item.value("accuracy") for item in results], accuracy.value, ratios
        ).tolist()
        return values

    baselines = [item for item in known if data.trials[item.number].baseline is not None]
    start = growth(baselines)[-1] if baselines else 0.0
    after = growth([*baselines, *searched])[len(baselines) :]
    places = {item.number: place for place, item in enumerate(searched, 1)}
    origins = dict.fromkeys(data.trials[item.number].origin for item in searched)
    samplers = []
    for origin in origins:
        own = [item for item in searched if data.trials[item.number].origin == origin]
        steps = _steps([places[item.number] for item in own], growth(own))
        samplers.append(SamplerGrowth(*steps, origin, len(own)))
    return HypervolumeView(
        study=data.study.name,
        images=accuracy.samples,
        baselines=start,
        all=Growth(*_steps([0, *places.values()], [start, *after])),
        samplers=tuple(samplers),
    )


def _steps(scored: Sequence[int], values: Sequence[float]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The first and the last point and those that rise."""
    last = len(values) - 1
    kept = [index for index in range(len(values)) if index in (0, last) or values[index] > values[index - 1]]
    return tuple(scored[index] for index in kept), tuple(values[index] for index in kept)

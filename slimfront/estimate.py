"""About how long a study takes on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from objectives.hardware import available_cores
from objectives.latency import BURST, FEWEST_TURNS, LEAST_SECONDS, SECONDS, WARM_UP
from objectives.pareto import FRONT_ROWS
from searcher.baselines import ROUNDED_WIDTHS, UNIFORM_SHARES, UNIFORM_WIDTHS
from searcher.contenders import MOST_CONTENDERS
from searcher.latency_check import SPARE_PLANS
from searcher.latency_plans import KINDS
from searcher.stages.confirm import COVER_ROWS, SPREAD_ROWS, TARGET_ROWS
from searcher.stages.latency_table import CHECK_SECONDS, CHECKED_PLANS, MOST_CHECK_SECONDS
from searcher.stages.prepare import Prepared
from searcher.stages.whole_models import PLANS as FITTED_PLANS
from searcher.stages.whole_models import SECONDS as FIT_SECONDS
from storage.records.config import StudyConfig
from storage.records.space import CHANNEL, LayerShape, SearchSpace

# Rough costs of one core of a laptop, for "about"; a machine is easily twice as fast or slow.
FIT_SECONDS_PER_COLUMN = 0.8e-3  # of a layer's weight matrix, all widths together
COLUMN_POWER_SECONDS = 1e-12  # GPTQ's inverse, a column cubed
MACS_PER_SECOND = 5e10  # of a forward pass, quick scores and files alike
OVERHEAD_SECONDS = 2.0  # traces, sessions, the store
# Of a model or of the dense one: ten turns of two bursts, as often again where others disturb.
TIMED_CALLS = 120
LEAST_CALLS = WARM_UP + 2 * BURST * FEWEST_TURNS  # whatever they take
CALL_SECONDS = 2e-5  # of the smallest model
PROBE_SECONDS = 0.05  # of a single-layer model of the latency table, loading and all turns
PROBE_PRECISIONS = 2  # float and int8


@dataclass(frozen=True)
class PlannedTime:
    """Estimated wall seconds."""

    library: float
    table: float
    quick: float
    rescored: float
    confirmed: float
    latency: float
    total: float


def planned_time(prepared: Prepared) -> PlannedTime:
    """The estimate for a study whose input has been checked."""
    workload, config = prepared.workload, prepared.config
    pass_seconds = prepared.analysis.macs / MACS_PER_SECOND  # of one image
    library = OVERHEAD_SECONDS + len(workload.calibration) * pass_seconds
    library += sum(
        layer.groups * (width * FIT_SECONDS_PER_COLUMN + width**3 * COLUMN_POWER_SECONDS)
        for layer in prepared.analysis.layers
        for width in (share * layer.columns for share in built_shares(prepared.space, layer.name))
    )
    baselines = len(UNIFORM_WIDTHS) + len(ROUNDED_WIDTHS) + len(UNIFORM_SHARES) + bool(config.target.costs)
    most_searched = SPREAD_ROWS + COVER_ROWS + TARGET_ROWS
    evaluated = baselines + min(most_searched, config.search.candidates or most_searched)
    files = baselines + min(FRONT_ROWS, config.search.candidates or FRONT_ROWS)
    confirmed = OVERHEAD_SECONDS + evaluated * len(workload.confirmation) * pass_seconds / available_cores()
    call_seconds = max(CALL_SECONDS, config.runtime.batch * pass_seconds)
    table = _probes(prepared.space) * PROBE_SECONDS + LEAST_SECONDS + _whole_seconds(call_seconds)
    latency = max(files * LEAST_CALLS * call_seconds, min(SECONDS, files * TIMED_CALLS * call_seconds))
    quick = _search_seconds(config, len(workload.quick) * pass_seconds)
    again = 1 + min(MOST_CONTENDERS, config.search.candidates or MOST_CONTENDERS)  # the dense model, too
    rescored = again * len(workload.rescoring or ()) * pass_seconds
    total = library + table + quick + rescored + confirmed + latency
    return PlannedTime(library, table, quick, rescored, confirmed, latency, total)


def _whole_seconds(call_seconds: float) -> float:
    """Of the whole models of the latency table: those that correct it, watched for a while, and those that check it,
    none where a single round would take too long."""
    fitted, checked = len(KINDS) * FITTED_PLANS, len(KINDS) * (CHECKED_PLANS + SPARE_PLANS)
    fit = min(FIT_SECONDS, max(LEAST_SECONDS, fitted * TIMED_CALLS * call_seconds))
    check_round = (WARM_UP + 2 * BURST) * checked * call_seconds
    check = max(check_round, min(CHECK_SECONDS, checked * TIMED_CALLS * call_seconds))
    return fit + (check if check_round <= MOST_CHECK_SECONDS else 0.0)


def _probes(space: SearchSpace) -> int:
    """Single-layer models of the latency table: of equal layers one for every combination of channels. A layer that
    reads several groups is timed for one after the other."""
    found: dict[tuple[str, int, int], int] = {}
    for layer in space.layers:
        of_layer = (factor for factor in space.factors if factor.layer == layer.name)
        count = sum(
            prod(len(space.sites[site].levels) for site in factor.sites if space.sites[site].learner == CHANNEL)
            for factor in of_layer
        )
        key = (layer.kind, layer.weights, layer.macs)
        found[key] = max(found.get(key, 0), PROBE_PRECISIONS * count)
    return sum(found.values())


def built_shares(space: SearchSpace, layer: str) -> tuple[float, ...]:
    """Of a layer's inputs, those that are left in each variant that the library fits: one for every level of the
    channels that it reads. A layer that reads several groups is fitted whole; the rest is made when it is asked for.
    """
    shape = next(item for item in space.layers if item.name == layer)
    read = [shares for site in _channel_sites(space, layer) if len(set(shares := _shares(space, shape, site))) > 1]
    return read[0] if len(read) == 1 else (1.0,)


def _channel_sites(space: SearchSpace, layer: str) -> Iterator[int]:
    found = {site for factor in space.factors if factor.layer == layer for site in factor.sites}
    yield from sorted(site for site in found if space.sites[site].learner == CHANNEL)


def _shares(space: SearchSpace, shape: LayerShape, site: int) -> tuple[float, ...]:
    """Of the layer's inputs, those left at each level of one site: its MACs tell, without what its own outputs lose."""
    originals = [0] * len(space.sites)
    found = []
    for level in range(len(space.sites[site].levels)):
        macs = space.layer_figures([*originals[:site], level, *originals[site + 1 :]])[shape.name].macs
        outputs = shape.channels[level] / shape.channels[0] if shape.group == site else 1.0
        found.append(round(macs / shape.macs / outputs, 9) if shape.macs else 1.0)
    return tuple(found)


def _search_seconds(config: StudyConfig, candidate: float) -> float:
    search = config.search
    return 60.0 * (search.minutes or 0.0) if search.candidates is None else search.candidates * candidate

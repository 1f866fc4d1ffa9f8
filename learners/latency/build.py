"""The latency table of a model on a machine: every layer and every operation between layers, timed alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from learners.latency.blocks import (
    Difference,
    TimedGlue,
    TimedLayer,
    glue_difference,
    layer_difference,
)
from learners.latency.models import NARROW, Layer, Opening, Probe
from learners.latency.timing import ProbeTimes, Progress
from storage.records.latency import LatencyFactor, LatencyTable
from storage.records.space import FLOAT_BITS, SearchSpace


def build_table(
    layers: Sequence[TimedLayer],
    glue: Sequence[TimedGlue],
    space: SearchSpace,
    times: ProbeTimes,
    input_shape: tuple[int, ...],
    progress: Progress,
    again: bool = False,
) -> LatencyTable:
    """Time what occurs in the cells of `layers` and `glue`, each different model once.

    A network's time is that of a call, plus for every layer the difference between a small model with it and the same
    model without it. Both ends of the small models are layers, so the differences hold conversions of precision and of
    memory layout, and they add up: what one leaves behind is what the next one starts from.

    Args:
        layers: in any order; an operation that is in neither list counts as free.
        glue: likewise.
        space: whose sites the cells run over; level 0 everywhere is the dense model.
        times: of the runtime that the files will run on, with what is known already.
        input_shape: of one sample.
        progress: called with a stage, how many models are timed and how many there are.
        again: whether models that the cache has are timed anew.

    Raises:
        ValueError: cells that do not fit the space.
        GiveUpError: the runtime refuses a model.
    """
    items = [(item.name, item.sites, tuple(layer_difference(item, cell) for cell in item.cells)) for item in layers]
    items += [(item.name, item.sites, tuple(glue_difference(item, cell) for cell in item.cells)) for item in glue]
    for name, sites, cells in items:
        if len(cells) != prod(len(space.sites[site].levels) for site in sites):
            raise ValueError(f"the cells of {name} do not fit the search space")
    call, end = Probe(_model_input(input_shape)), _end()
    wanted = [probe for _, _, cells in items for pair in cells for probe in (pair.whole, pair.without)]
    times.measure([call, end.whole, end.without, *wanted], progress, again)

    def cost(pair: Difference) -> float:
        return times[pair.whole] - times[pair.without]

    def layer_cost(pair: Difference) -> float:
        # No layer takes less than nothing: that is noise. An operation may, on paper: what follows it is smaller, or in
        # another precision, than what the small model without it ends with, and the next difference starts from there.
        return max(0.0, cost(pair))

    extra = [*(item.extra for item in layers), *(item.extra for item in glue)]
    factors = tuple(
        LatencyFactor(name, sites, _extra(costs, space, sites) if only else costs)
        for place, ((name, sites, cells), only) in enumerate(zip(items, extra, strict=True))
        for costs in [tuple(map(layer_cost if place < len(layers) else cost, cells))]
    )
    # The last tensor of the sum is still closed as that of every small model is.
    fixed = times[call] - cost(end)
    # Level 0 everywhere is the first cell of every factor.
    dense = fixed + max(0.0, sum(item.milliseconds[0] for item in factors))
    setting = times.setting
    return LatencyTable(setting.runtime.name, setting.hardware, fixed, dense, factors, is_floored=True)


def _extra(costs: tuple[float, ...], space: SearchSpace, sites: tuple[int, ...]) -> tuple[float, ...]:
    """What each cell takes more than the one with its first site at the first level."""
    stride = len(costs) // len(space.sites[sites[0]].levels)
    return tuple(cost - costs[index % stride] for index, cost in enumerate(costs))


def _model_input(shape: tuple[int, ...]) -> Opening:
    """The input of the model: [tokens, features], or channels and what else there is."""
    if len(shape) == 2:
        return Opening(shape[:1], shape[1], FLOAT_BITS, is_input=True)
    return Opening(shape[1:], shape[0], FLOAT_BITS, is_input=True)


def _end() -> Difference:
    """What reading features at the end of a small model takes, as one more such layer."""
    opening = Opening((), NARROW, FLOAT_BITS)
    return Difference(Probe(opening, (Layer(NARROW, FLOAT_BITS),)), Probe(opening))

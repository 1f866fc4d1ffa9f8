"""A plan in two numbers, for many plans at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage.records.space import FLOAT_BITS, QUANT, SearchSpace


@dataclass(frozen=True)
class PlanSummary:
    """What a candidate makes of the layers that the search may change, taken together."""

    mean_bits: float  # a weight that remains
    weights_left: float  # share of the dense model's weights, in (0, 1]


def plan_summaries(space: SearchSpace, plans: Sequence[Sequence[int]]) -> tuple[PlanSummary, ...]:
    """One for each of `plans`, which are candidates of `space`: its levels, one for every site.

    Empty for no plans. Weights in proportion to MACs, as in `dashboards.candidate`: each of a layer's weights is used
    equally often.
    """
    if not plans or not space.layers:
        return ()
    levels = np.array(plans, dtype=np.int64)
    macs: dict[str, npt.NDArray[np.float64]] = {}
    for factor in space.factors:
        cell = np.zeros(len(levels), dtype=np.int64)
        for site in factor.sites:
            cell = cell * len(space.sites[site].levels) + levels[:, site]
        macs[factor.layer] = macs.get(factor.layer, 0.0) + np.array(factor.macs)[cell]
    widths = {
        site.name: np.array([level.bits for level in site.levels])[levels[:, index]]
        for index, site in enumerate(space.sites)
        if site.learner == QUANT
    }
    original = np.full(len(levels), FLOAT_BITS)
    weights = bits = np.zeros(len(levels))
    for layer in space.layers:
        share = macs[layer.name] / layer.macs if layer.macs and layer.name in macs else np.ones(len(levels))
        left = layer.weights * share
        weights = weights + left
        bits = bits + left * widths.get(layer.name, original)
    total = sum(layer.weights for layer in space.layers)
    pairs = zip((bits / weights).tolist(), (weights / total).tolist(), strict=True)
    return tuple(PlanSummary(mean, share) for mean, share in pairs)

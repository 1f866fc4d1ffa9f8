"""Tree-structured Parzen estimator (Bergstra 2011; multi-objective: Ozaki 2022), by Optuna."""

from __future__ import annotations

from optuna.samplers import TPESampler

from searcher.samplers.allocation import AllocationSampler
from searcher.samplers.base import SamplerContext
from searcher.samplers.optuna_study import OptunaProposer
from searcher.samplers.seeded import SeededSampler

MOST_TRIALS = 1000  # 94 ms of an ask at 60 sites; five times as many take nearly a second


class TpeSampler(OptunaProposer):
    """Multivariate: sites are modelled together. Plans of a batch that are not scored yet count as bad ones, so that it
    does not propose the same place again and again."""

    def __init__(self, context: SamplerContext, speed: bool = True) -> None:
        """`speed` as in `OptunaProposer`."""
        super().__init__(
            context, lambda seed: TPESampler(seed=seed, multivariate=True, constant_liar=True), MOST_TRIALS, speed
        )


class SeededTpeSampler(SeededSampler):
    """TPE that starts from allocations."""

    def __init__(self, context: SamplerContext) -> None:
        super().__init__({"allocation": AllocationSampler(context), "tpe": TpeSampler(context)})

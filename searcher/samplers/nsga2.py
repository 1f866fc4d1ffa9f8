"""NSGA-II (Deb 2002), by Optuna."""

from __future__ import annotations

from optuna.samplers import NSGAIISampler

from searcher.samplers.allocation import AllocationSampler
from searcher.samplers.base import SamplerContext, Scored
from searcher.samplers.optuna_study import OptunaProposer
from searcher.samplers.seeded import SeededSampler

POPULATION = 48  # plans of a generation, as many as are asked for at a time


class Nsga2Sampler(OptunaProposer):
    """Non-dominated sorting with crowding distance, uniform crossover, one mutation a child in the mean.

    It needs no cap of its history: only the latest generation has children.
    """

    def __init__(self, context: SamplerContext, speed: bool = True) -> None:
        """`speed` as in `OptunaProposer`."""
        super().__init__(context, lambda seed: NSGAIISampler(population_size=POPULATION, seed=seed), speed=speed)

    def _add(self, item: Scored) -> None:
        """As a trial of the current generation: NSGA-II takes no notice of trials that belong to none."""
        if item.score is None:
            return
        self._study.enqueue_trial(self._parameters(item.candidate.levels))
        trial, _ = self._trial()
        # Optuna puts a trial in a generation when it draws for it, and for this one it has not drawn.
        assert isinstance(self._sampler, NSGAIISampler)
        self._sampler.get_trial_generation(self._study, self._study.get_trials(deepcopy=False)[trial.number])
        self._study.tell(trial, self._values(item, item.score))


class SeededNsga2Sampler(SeededSampler):
    """NSGA-II whose first generation are allocations."""

    def __init__(self, context: SamplerContext) -> None:
        super().__init__({"allocation": AllocationSampler(context), "nsga2": Nsga2Sampler(context)})

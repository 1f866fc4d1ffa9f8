"""NSGA-II (Deb 2002), by Optuna."""

from __future__ import annotations

from optuna.samplers import NSGAIISampler

from searcher.samplers.base import SamplerContext
from searcher.samplers.optuna_study import OptunaProposer

POPULATION = 48  # plans of a generation, as many as are asked for at a time


class Nsga2Sampler(OptunaProposer):
    """Non-dominated sorting with crowding distance, uniform crossover, one mutation a child in the mean."""

    def __init__(self, context: SamplerContext) -> None:
        super().__init__(context, lambda seed: NSGAIISampler(population_size=POPULATION, seed=seed))

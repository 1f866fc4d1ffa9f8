"""Studies of the size that nobody waits for in a test: thousands of candidates, hundreds of layers."""

from __future__ import annotations

import numpy as np

from storage.records.candidate import Candidate, Proposal
from storage.records.measurement import Rung
from storage.records.space import QUANT, Factor, LayerShape, Level, SearchSpace, Site
from storage.records.study import FrontRow
from storage.store import StudyStore
from tests.dashboards import samples

LEVELS = (Level("fp32"), *(Level(f"w{bits}", bits, method="gptq") for bits in (8, 6, 4, 3, 2)))
WIDE_NAME = "backbone.stage{}.block.with.a.long.name.convolution"


def deep_space(layers: int) -> SearchSpace:
    """A model of many layers, each with a site of its own."""
    names = [WIDE_NAME.format(index) for index in range(layers)]
    errors = (0.0, *(10.0 ** (power - 5) for power in range(5)))
    return SearchSpace(
        sites=tuple(Site(name, QUANT, "convolution", 400, 1000, LEVELS, (name,)) for name in names),
        protected=(),
        fixed_bytes=100,
        factors=tuple(
            Factor(name, (index,), (4000.0, 1100.0, 900.0, 600.0, 480.0, 350.0), (400.0,) * 6, errors)
            for index, name in enumerate(names)
        ),
        layers=tuple(LayerShape(name, "convolution", 1000, 400, None, (8,)) for name in names),
    )


def searched(candidates: int, layers: int, origins: tuple[str, ...] = ("allocation",)) -> StudyStore:
    """A study whose candidates have quick scores; every hundredth is called its front."""
    store = samples.new_store()
    samples.analyse(store, deep_space(layers))
    random = np.random.default_rng(0)
    levels = random.integers(0, len(LEVELS), size=(candidates, layers))
    proposals = [
        Proposal(Candidate(tuple(row), samples.LIBRARY), origins[index * len(origins) // candidates])
        for index, row in enumerate(levels.tolist())
    ]
    store.add_trials(samples.NAME, 1, [Proposal(Candidate((0,) * layers, samples.LIBRARY), "baseline", "dense")])
    store.add_trials(samples.NAME, 2, proposals)
    hits, sizes = random.integers(40, 95, candidates), random.integers(700, 8000, candidates)
    results = [samples.quick(1, 92, 8000, 1.0)]
    results += [
        samples.quick(number, int(hit), int(size), 1.0 + size / 8000)
        for number, (hit, size) in enumerate(zip(hits, sizes, strict=True), 2)
    ]
    numbers = range(2, candidates + 2, max(1, candidates // 20))
    store.record_batch(samples.NAME, results, [FrontRow(i, n, Rung.QUICK) for i, n in enumerate(numbers)])
    return store

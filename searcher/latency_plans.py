"""Random plans of a search space, from which a latency table learns how layers add up, and by which it is checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learners.export.packing import assemble_onnx, pack_candidate
from learners.library.library import Library
from objectives.runtimes.base import Session
from objectives.runtimes.table import runtime
from storage.records.config import RuntimeConfig
from storage.records.space import CHANNEL, FLOAT_BITS, SearchSpace, Site
from storage.slim import InputContract

RUNTIME_GRID = 8  # channels: the kernels of ONNX Runtime and OpenVINO work in blocks of it
KINDS = ("runtime's grid", "finer grid")
# What the layers of a random plan run in: mostly int8 as the plans of a search do, some float, some both.
PRECISIONS = ("int8", "int8", "int8", "int8", "float", "mixed")


@dataclass(frozen=True)
class RandomPlan:
    """Levels of all sites."""

    kind: str  # of KINDS
    levels: tuple[int, ...]


def random_plans(space: SearchSpace, each: int, seed: int | Sequence[int]) -> tuple[RandomPlan, ...]:
    """`each` plans of each kind; equal for equal seeds."""
    generator = np.random.default_rng(seed)
    return tuple(
        RandomPlan(kind, _levels(space, kind, PRECISIONS[index % len(PRECISIONS)], generator))
        for kind in KINDS
        for index in range(each)
    )


def load_plan(library: Library, config: RuntimeConfig, levels: Sequence[int]) -> Session:
    """The file of a plan in the study's runtime. GiveUpError if the runtime refuses it."""
    contract = InputContract(library.analysis.input_shape, (0.0,), (1.0,))
    packed = pack_candidate(library.analysis, library.choose(levels, library.id), library.ranges, contract)
    return runtime(config.name).session(assemble_onnx(packed), config.threads)


def _levels(space: SearchSpace, kind: str, precision: str, generator: np.random.Generator) -> tuple[int, ...]:
    return tuple(
        int(generator.choice(_channels(site, kind) if site.learner == CHANNEL else _widths(site, precision)))
        for site in space.sites
    )


def _channels(site: Site, kind: str) -> list[int]:
    on_grid = [index for index, level in enumerate(site.levels) if (level.channels or 0) % RUNTIME_GRID == 0]
    return on_grid if kind == KINDS[0] and on_grid else list(range(len(site.levels)))


def _widths(site: Site, precision: str) -> list[int]:
    wanted = {"int8": (False,), "float": (True,), "mixed": (False, True)}[precision]
    found = [index for index, level in enumerate(site.levels) if (level.bits == FLOAT_BITS) in wanted]
    return found or list(range(len(site.levels)))

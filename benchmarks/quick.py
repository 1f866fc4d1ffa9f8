"""The library's CPU time, and quick scores per CPU-second beside the naive ways, in one process on the same images."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.material import config
from learners.base import LearnerOptions
from learners.gram import AnyGram, collect_grams
from learners.library.library import Library
from learners.quant.learner import QuantLearner
from learners.quant.rounding import round_to_nearest
from learners.score import QuickScorer
from searcher.samplers.allocation import AllocationSampler
from searcher.samplers.base import SamplerContext
from searcher.stages.prepare import Prepared, open_library, prepare
from storage.home import Home
from storage.records.candidate import Candidate
from storage.records.space import QUANT, Level

PLANS = 100
BITS_ALONE = 4  # every so many plans of the sampler leaves the channels alone
NAIVE_PLANS = 3  # each takes many seconds; they vary by a few per cent


class Silent:
    """A progress that says nothing."""

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """See `searcher.progress.Progress`."""

    def event(self, text: str) -> None:
        """See `searcher.progress.Progress`."""

    def check(self) -> None:
        """See `searcher.progress.Progress`."""


@dataclass(frozen=True)
class QuickFigures:
    """CPU seconds, and scores per CPU-second."""

    prepare_seconds: float  # reading, tracing and exporting the dense model
    library_seconds: float
    plans: int
    joint_scores_per_second: float  # of plans that take channels away, too
    scores_per_second: float  # of plans of bits alone, as the naive ways below
    naive_rounding_per_second: float  # deepcopy, plain rounding, float32 evaluation
    naive_gptq_per_second: float  # deepcopy, the same quantiser with its statistics at hand, float32 evaluation
    precision: str

    @property
    def over_rounding(self) -> float:
        """How many times faster than the naive way with plain rounding."""
        return self.scores_per_second / self.naive_rounding_per_second

    @property
    def over_gptq(self) -> float:
        """How many times faster than the naive way that gives the same weights."""
        return self.scores_per_second / self.naive_gptq_per_second


def measure(model: str, folder: Path) -> QuickFigures:
    """`folder` is an empty home: the library is built in it."""
    torch.set_num_threads(1)
    start = time.process_time()
    prepared = prepare(config(model, model, "size=8x drop<=1"), Silent())
    prepared_at = time.process_time()
    library = open_library(prepared, Home(folder), lambda *_: None)
    built_at = time.process_time()
    asked = AllocationSampler(SamplerContext(library.space, library.id, 0, ())).ask(BITS_ALONE * PLANS)
    groups = len(library.groups)
    plans = [plan for plan in asked if not any(plan.levels[:groups])][:PLANS]
    scorer = QuickScorer(library, prepared.workload.quick, prepared.workload.metric)
    scorer.score(plans[:1])
    quick = len(plans) / _cpu(lambda: scorer.score(plans))
    joint = PLANS / _cpu(lambda: scorer.score(asked[:PLANS]))
    images = torch.from_numpy(prepared.workload.calibration.images)
    analysis = library.analysis
    grams = collect_grams(analysis.graph, analysis.tensors, analysis.layers, images, 0)
    some = plans[:: len(plans) // NAIVE_PLANS]
    original = prepared.workload.model()
    rounding = _cpu(lambda: [_naive(original, prepared, library, plan, None) for plan in some]) / len(some)
    gptq = _cpu(lambda: [_naive(original, prepared, library, plan, grams) for plan in some]) / len(some)
    return QuickFigures(
        prepare_seconds=prepared_at - start,
        library_seconds=built_at - prepared_at,
        plans=len(plans),
        joint_scores_per_second=joint,
        scores_per_second=quick,
        naive_rounding_per_second=1 / rounding,
        naive_gptq_per_second=1 / gptq,
        precision=scorer.precision,
    )


def _cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _precisions(library: Library, plan: Candidate) -> list[Level]:
    """The precision of each layer."""
    sites = zip(library.space.sites, plan.levels, strict=True)
    return [site.levels[index] for site, index in sites if site.learner == QUANT]


def _naive(
    original: torch.nn.Module,
    prepared: Prepared,
    library: Library,
    plan: Candidate,
    grams: dict[str, AnyGram] | None,
) -> float:
    """What a script does for one candidate: copy the model, quantise its layers, evaluate it."""
    model = copy.deepcopy(original)
    modules = dict(model.named_modules())
    with torch.no_grad():
        for layer, level_of in zip(library.analysis.layers, _precisions(library, plan), strict=True):
            bits = level_of.bits
            if bits > 8:
                continue
            module = modules[layer.name]
            weight = module.weight
            assert isinstance(weight, torch.Tensor)
            if grams is None:
                level = round_to_nearest(weight, None, bits)
            else:
                level = QuantLearner(LearnerOptions(), (bits,)).adapt(layer, weight, None, grams[layer.name])[1]
            weight.copy_(level.weight())
        quick = prepared.workload.quick
        outputs = model(torch.from_numpy(quick.images)).numpy()
    return float(prepared.workload.metric.per_image(outputs, quick.labels, outputs).mean())

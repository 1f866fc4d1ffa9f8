"""The library's CPU time, and quick scores per CPU-second beside the naive ways, in one process on the same images."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.material import config
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

PLANS = 100
NAIVE_PLANS = 5  # each takes up to seconds; they vary by a few per cent


class Silent:
    """A progress that says nothing."""

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """See `searcher.progress.Progress`."""

    def event(self, text: str) -> None:
        """See `searcher.progress.Progress`."""


@dataclass(frozen=True)
class QuickFigures:
    """CPU seconds, and scores per CPU-second."""

    prepare_seconds: float  # reading, tracing and exporting the dense model
    library_seconds: float
    plans: int
    scores_per_second: float
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
    plans = AllocationSampler(SamplerContext(library.space, library.id, 0, ())).ask(PLANS)
    scorer = QuickScorer(library, prepared.workload.quick, prepared.workload.metric)
    scorer.score(plans[:1])
    quick = PLANS / _cpu(lambda: scorer.score(plans))
    images = torch.from_numpy(prepared.workload.calibration.images)
    analysis = library.analysis
    grams = collect_grams(analysis.graph, analysis.tensors, analysis.layers, images, 0)
    some = plans[:: PLANS // NAIVE_PLANS]
    original = prepared.workload.model()
    rounding = _cpu(lambda: [_naive(original, prepared, library, plan, None) for plan in some]) / len(some)
    gptq = _cpu(lambda: [_naive(original, prepared, library, plan, grams) for plan in some]) / len(some)
    return QuickFigures(
        prepare_seconds=prepared_at - start,
        library_seconds=built_at - prepared_at,
        plans=PLANS,
        scores_per_second=quick,
        naive_rounding_per_second=1 / rounding,
        naive_gptq_per_second=1 / gptq,
        precision=scorer.precision,
    )


def _cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


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
        for layer, site, index in zip(library.analysis.layers, library.space.sites, plan.levels, strict=True):
            bits = site.levels[index].bits
            if bits > 8:
                continue
            module = modules[layer.name]
            weight = module.weight
            assert isinstance(weight, torch.Tensor)
            if grams is None:
                level = round_to_nearest(weight, None, bits)
            else:
                level = QuantLearner((bits,)).adapt(layer, weight, None, grams[layer.name])[1]
            weight.copy_(level.weight(weight))
        quick = prepared.workload.quick
        outputs = model(torch.from_numpy(quick.images)).numpy()
    return float(prepared.workload.metric.per_image(outputs, quick.labels, outputs).mean())

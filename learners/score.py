"""Rung 1, the quick score: one forward pass of stitched weights, and less where candidates begin alike.

Candidates are visited in the order of their levels, so that those that agree on the first layers follow each other;
the values at the first layer where the next one differs are kept and the pass goes on from there. This changes no bit
of any score: every value is still computed by the same operations from the same inputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from learners.device import pick_device, single_thread
from learners.graph.run import Program, Values
from learners.library.library import Library
from objectives.hardware import CPUINFO, parse_cpuinfo
from objectives.metric import Metric, soft_score
from objectives.workload.subsets import Subset
from storage.records.candidate import Candidate

REPORT_EVERY = 8  # passes between two reports of progress
CHUNK = 128  # images of one pass; larger ones leave the processor's cache, smaller ones cost more calls
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})  # without one of them bfloat16 is slower than float32
# How far bfloat16 may move the dense model's scores before float32 is used: well below what tells candidates apart.
BF16_SCORE_TOLERANCE = 0.005
BF16_LEAST_AGREEMENT = 0.98


@dataclass(frozen=True)
class QuickScore:
    """Scores of one candidate on the quick images."""

    soft: npt.NDArray[np.float32]  # [n] probability of the true class
    metric: npt.NDArray[np.float32]  # [n] the study's metric


class QuickScorer:
    """Scores candidates of one library on the quick images. Deterministic for one type of processor."""

    def __init__(self, library: Library, subset: Subset, metric: Metric) -> None:
        self._library = library
        self._subset = subset
        self._metric = metric
        self._device = pick_device()
        analysis = library.analysis
        self._program = Program(analysis.graph)
        positions = {node.name: index for index, node in enumerate(analysis.graph.nodes)}
        self._starts = [positions[layer.node] for layer in analysis.layers]
        self._order = sorted(range(len(self._starts)), key=self._starts.__getitem__)
        self._cache: dict[tuple[int, int, str], dict[str, torch.Tensor]] = {}
        self._dtype = torch.float32
        dense = (0,) * len(analysis.layers)
        with single_thread(), torch.no_grad():
            self._prepare()
            self._dense = self._outputs([Candidate(dense, library.id)])[0]
            if self._dense.ndim == 2 and _bf16_is_fast(self._device):
                self._try_bf16(Candidate(dense, library.id))

    @property
    def precision(self) -> str:
        """What the scores are computed in: "bfloat16" or "float32"."""
        return str(self._dtype).removeprefix("torch.")

    def score(self, candidates: Sequence[Candidate], report: Callable[[float], None] | None = None) -> list[QuickScore]:
        """Scores in the order of `candidates`; one that is scored alone gets the same bits.

        `report` is told the share of the work that is done, in [0, 1], now and then.
        """
        with single_thread(), torch.no_grad():
            outputs = self._outputs(candidates, report)
        return [self._judge(output) for output in outputs]

    def _judge(self, output: npt.NDArray[np.float32]) -> QuickScore:
        labels = self._subset.labels
        metric = self._metric.per_image(output, labels, self._dense)
        # Only a classifier has a probability of the true class; others are ranked by their metric.
        return QuickScore(soft=soft_score(output, labels, self._dense) if output.ndim == 2 else metric, metric=metric)

    def _prepare(self) -> None:
        """Moves the dense tensors and the images to the device, in the working precision."""
        self._cache.clear()
        self._tensors = {name: self._place(item) for name, item in self._library.analysis.tensors.items()}
        images = torch.from_numpy(self._subset.images)
        self._chunks = [self._place(chunk) for chunk in torch.split(images, CHUNK)]

    def _place(self, tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_floating_point():
            return tensor.to(self._device)
        tensor = tensor.to(self._device, self._dtype)
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor

    def _try_bf16(self, dense: Candidate) -> None:
        exact = self._dense
        self._dtype = torch.bfloat16
        self._prepare()
        rough = self._outputs([dense])[0]
        labels = self._subset.labels
        shift = np.abs(soft_score(rough, labels, exact).mean() - soft_score(exact, labels, exact).mean())
        agreement = (rough.argmax(1) == exact.argmax(1)).mean()
        if shift > BF16_SCORE_TOLERANCE or agreement < BF16_LEAST_AGREEMENT:
            self._dtype = torch.float32
            self._prepare()

    def _outputs(
        self, candidates: Sequence[Candidate], report: Callable[[float], None] | None = None
    ) -> list[npt.NDArray[np.float32]]:
        visits = sorted(range(len(candidates)), key=lambda index: self._sort_key(candidates[index]))
        shared = [
            _common(self._sort_key(candidates[a]), self._sort_key(candidates[b])) for a, b in itertools.pairwise(visits)
        ]
        parts: list[list[npt.NDArray[np.float32]]] = [[] for _ in candidates]
        for number, chunk in enumerate(self._chunks):
            kept: list[tuple[int, Values]] = [(0, self._program.begin(chunk))]
            for place, index in enumerate(visits):
                output = self._pass(candidates[index], kept, shared[place:])
                parts[index].append(output.float().cpu().numpy())
                if report is not None and place % REPORT_EVERY == 0:
                    report((number + place / len(visits)) / len(self._chunks))
                if place < len(shared):
                    while kept[-1][0] > shared[place]:
                        kept.pop()
        return [np.concatenate(part) for part in parts]

    def _pass(self, candidate: Candidate, kept: list[tuple[int, Values]], shared: Sequence[int]) -> torch.Tensor:
        """One candidate from the deepest kept values on; keeps those that the following candidates begin with."""
        wanted: set[int] = set()
        least = len(self._order)
        for count in shared:
            if count < least:
                wanted.add(count)
                least = count
        parameters = self._parameters(candidate)
        done, values = kept[-1]
        values = dict(values)
        position = self._starts[self._order[done]] if done else 0
        for count in range(done, len(self._order)):
            start = self._starts[self._order[count]]
            self._program.advance(values, parameters, position, start)
            position = start
            if count in wanted and count > kept[-1][0]:
                kept.append((count, dict(values)))
        self._program.advance(values, parameters, position, len(self._program.graph.nodes))
        return self._program.output(values)

    def _sort_key(self, candidate: Candidate) -> tuple[int | str, ...]:
        """Levels in the order of execution; candidates of other weights share nothing."""
        return (candidate.weights, *(candidate.levels[index] for index in self._order))

    def _parameters(self, candidate: Candidate) -> dict[str, torch.Tensor]:
        parameters = dict(self._tensors)
        for index, level in enumerate(candidate.levels):
            key = (index, level, candidate.weights)
            if key not in self._cache:
                self._cache[key] = self._stitch(index, level, candidate.weights)
            parameters.update(self._cache[key])
        return parameters

    def _stitch(self, index: int, level: int, weights: str) -> dict[str, torch.Tensor]:
        layer = self._library.analysis.layers[index]
        chosen = self._library.adapted(index, level, weights)
        found = {layer.weight: self._place(chosen.weight(self._library.analysis.tensors[layer.weight]))}
        if layer.bias is not None and chosen.bias is not None:
            found[layer.bias] = self._place(chosen.bias)
        return found


def _common(first: Sequence[int | str], second: Sequence[int | str]) -> int:
    """How many layers, in the order of execution, two candidates have in common from the start on."""
    for count, (a, b) in enumerate(zip(first, second, strict=True)):
        if a != b:
            return max(0, count - 1)  # the first entry names the weights
    return len(first) - 2


def _bf16_is_fast(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return CPUINFO.exists() and bool(BF16_FLAGS & parse_cpuinfo(CPUINFO.read_text()).flags)

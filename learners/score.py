"""Rung 1, the quick score: one forward pass of stitched weights, and less where candidates begin alike.

Candidates are visited in the order of their levels, so that those that agree on the first steps follow each other; the
values at the first step where the next one differs are kept and the pass goes on from there. This changes no bit
of any score: every value is still computed by the same operations from the same inputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from learners.device import pick_device, single_thread
from learners.graph.run import Program, Values
from learners.library.library import Library
from learners.precision import BF16_LEAST_AGREEMENT, bf16_is_fast
from learners.steps import Step, Stitcher, find_steps
from objectives.metric import Metric, soft_score
from objectives.workload.subsets import Subset
from storage.records.candidate import Candidate

MOST_CHUNK = 128  # images of one pass; larger ones leave the processor's cache, smaller ones cost more calls
CHUNK_BYTES = 2**30  # of the inputs of all layers for one chunk; what a pass needs at a time is a part of it
KEPT_BYTES = 2**31  # of the values kept for candidates that begin alike; beyond, every pass starts from the images
# How far bfloat16 may move the dense model's scores before float32 is used: well below what tells candidates apart.
BF16_SCORE_TOLERANCE = 0.005
CLASSES = 2  # outputs of a model that says how probable each class is
AGREEMENT = "agreement"


Key = tuple[tuple[int, ...] | str, ...]  # what decides on each step, after the name of the weights


@dataclass(frozen=True)
class QuickScore:
    """Scores of one candidate on the quick images."""

    soft: npt.NDArray[np.float32]  # [n] probability of the true class
    metric: npt.NDArray[np.float32]  # [n] the study's metric


class QuickScorer:
    """Scores candidates of one library on the quick images. Deterministic for one type of processor."""

    def __init__(self, library: Library, images: Subset, metric: Metric) -> None:
        self._library = library
        self._images = images
        self._metric = metric
        self._device = pick_device()
        self._program = Program(library.analysis.graph)
        self._steps = find_steps(library)
        self._stitcher = Stitcher(library, self._steps, self._place)
        self._dtype = torch.float32
        self._chunks: Sequence[torch.Tensor] = ()  # of the images
        self._last: Key | None = None  # the candidate of which values are kept
        self._kept: list[list[tuple[int, Values]]] = []  # of each chunk
        dense = Candidate((0,) * len(library.space.sites), library.id)
        with single_thread(), torch.no_grad():
            each = self._bytes_per_image()
            self._chunk = max(1, min(MOST_CHUNK, CHUNK_BYTES // each))
            self._keeps = each * len(images) <= KEPT_BYTES
            self._prepare()
            self._dense = self._outputs(dense)
            if self._dense.ndim == 2 and bf16_is_fast(self._device):
                self._try_bf16(dense)

    @property
    def precision(self) -> str:
        """What the scores are computed in: "bfloat16" or "float32"."""
        return str(self._dtype).removeprefix("torch.")

    def score(self, candidates: Sequence[Candidate]) -> list[QuickScore]:
        """Scores in the order of `candidates`; one that is scored alone gets the same bits."""
        order = visiting_order(self._steps, candidates)
        found = dict(zip(order, self.visit([candidates[index] for index in order]), strict=True))
        return [found[index] for index in range(len(candidates))]

    def visit(self, candidates: Sequence[Candidate]) -> Iterator[QuickScore]:
        """The score of each candidate as soon as it is known. In their `visiting_order` they share most work."""
        keys = [_sort_key(self._steps, candidate) for candidate in candidates]
        shared = [_common(first, second) if self._keeps else 0 for first, second in itertools.pairwise(keys)]
        for place, candidate in enumerate(candidates):
            kept = self._kept_for(keys[place])
            self._last = None  # until the pass is through
            with single_thread(), torch.no_grad():
                parts = [self._pass(candidate, stack, shared[place:]) for stack in kept]
            self._last = keys[place]
            output = np.concatenate([part.float().cpu().numpy() for part in parts])
            yield judge(output, self._images.labels, self._dense, self._metric)

    def _kept_for(self, key: Key) -> list[list[tuple[int, Values]]]:
        """For each chunk of images the values, at ever later steps, that a candidate has in common with the last one,
        also with that of the call before: workers get neighbours in several calls."""
        if self._last is None:
            self._kept = [[(0, self._program.begin(chunk))] for chunk in self._chunks]
        common = 0 if self._last is None else _common(self._last, key)
        for stack in self._kept:
            while stack[-1][0] > common:
                stack.pop()
        return self._kept

    def _bytes_per_image(self) -> int:
        """Bytes of the inputs of all layers for one image in float32."""
        sources = {layer.source for layer in self._library.analysis.layers}
        images = self._images.images
        sizes = {self._program.graph.input: images[0].nbytes}
        image = torch.from_numpy(images[:1])
        tensors = self._library.analysis.tensors
        self._program(tensors, image, lambda node, value: sizes.__setitem__(node.name, 4 * value.numel()))
        return max(1, sum(int(sizes[source]) for source in sources))

    def _prepare(self) -> None:
        """Moves the dense tensors and the images to the device, in the working precision."""
        self._stitcher.clear()
        self._last = None
        self._tensors = {name: self._place(item) for name, item in self._library.analysis.tensors.items()}
        self._chunks = [self._place(chunk) for chunk in torch.split(torch.from_numpy(self._images.images), self._chunk)]

    def _place(self, tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_floating_point():
            return tensor.to(self._device)
        tensor = tensor.to(self._device, self._dtype)
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor

    def _try_bf16(self, dense: Candidate) -> None:
        """Changes to bfloat16 if the dense model runs in it and its scores hardly move."""
        exact, labels = self._dense, self._images.labels
        self._dtype = torch.bfloat16
        self._prepare()
        try:
            rough = self._outputs(dense)
        except RuntimeError:  # the forward makes float32 tensors of its own, which do not go with bfloat16 ones
            close = False
        else:
            close = rough.shape == exact.shape and (rough.argmax(1) == exact.argmax(1)).mean() >= BF16_LEAST_AGREEMENT
        if close and exact.shape[1] >= CLASSES:
            shift = soft_score(rough, labels, exact).mean() - soft_score(exact, labels, exact).mean()
            close = abs(float(shift)) <= BF16_SCORE_TOLERANCE
        if not close:
            self._dtype = torch.float32
            self._prepare()

    def _outputs(self, candidate: Candidate) -> npt.NDArray[np.float32]:
        """Outputs [n, ...] of one candidate; the caller holds one thread and no gradients."""
        program, parameters = self._stitched(candidate)
        parts = [program(parameters, chunk) for chunk in self._chunks]
        return np.concatenate([part.float().cpu().numpy() for part in parts])

    def _pass(self, candidate: Candidate, kept: list[tuple[int, Values]], shared: Sequence[int]) -> torch.Tensor:
        """One candidate from the deepest kept values on; keeps those that the following candidates begin with."""
        wanted: set[int] = set()
        least = len(self._steps)
        for count in shared:
            if count < least:
                wanted.add(count)
                least = count
        program, parameters = self._stitched(candidate)
        done, values = kept[-1]
        values = dict(values)
        position = self._steps[done].position if done else 0
        for count in range(done, len(self._steps)):
            start = self._steps[count].position
            program.advance(values, parameters, position, start)
            position = start
            if count in wanted and count > kept[-1][0]:
                kept.append((count, dict(values)))
        program.advance(values, parameters, position, len(program.graph.nodes))
        return program.output(values)

    def _stitched(self, candidate: Candidate) -> tuple[Program, dict[str, torch.Tensor]]:
        graph = self._stitcher.graph(candidate)
        program = self._program if graph is self._program.graph else Program(graph)
        return program, {**self._tensors, **self._stitcher.tensors(candidate)}


def visiting_order(steps: Sequence[Step], candidates: Sequence[Candidate]) -> list[int]:
    """Indices of the candidates in the order in which those that begin alike follow each other."""
    return sorted(range(len(candidates)), key=lambda index: _sort_key(steps, candidates[index]))


def _sort_key(steps: Sequence[Step], candidate: Candidate) -> Key:
    """What decides on each step, in the order of execution; candidates of other weights share nothing."""
    return (candidate.weights, *(step.key(candidate.levels) for step in steps))


def judge(
    output: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64] | None,
    dense: npt.NDArray[np.float32],
    metric: Metric,
) -> QuickScore:
    """Scores of outputs [n, ...] beside the dense model's.

    Only a classifier has a probability of the true class, which for agreement is the dense model's class; others are
    ranked by their metric.
    """
    scores = metric.per_image(output, labels, dense)
    if output.ndim != 2 or output.shape[1] < CLASSES:
        return QuickScore(soft=scores, metric=scores)
    truth = None if metric.name == AGREEMENT else labels
    return QuickScore(soft=soft_score(output, truth, dense), metric=scores)


def _common(first: Key, second: Key) -> int:
    """How many steps, in the order of execution, two candidates have in common from the start on."""
    for count, (a, b) in enumerate(zip(first, second, strict=True)):
        if a != b:
            return max(0, count - 1)  # the first entry names the weights
    return len(first) - 2

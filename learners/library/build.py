"""Builds a level library once for a model, its calibration images and the learners' recipes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from learners import gram
from learners.analysis import Analysis
from learners.base import Learner, LevelWeights, level_bits
from learners.device import pick_device, single_thread
from learners.export import activations
from learners.export.activations import Range, activation_ranges
from learners.export.packing import FLOAT_BITS, level_bytes, pack_candidate
from learners.export.qdq import float_tensors
from learners.gram import collect_grams
from learners.graph.layers import Layer
from learners.library.library import FORMAT, Library, LibraryContent, write_library
from storage.files import file_lock
from storage.records.space import Level, SearchSpace, Site
from storage.slim import InputContract, pack

Progress = Callable[[str, int, int], None]  # what is being done, how many steps are done, of how many


def library_id(analysis: Analysis, images: npt.NDArray[np.float32], learners: Sequence[Learner], seed: int) -> str:
    """Address of the library: everything that its content depends on, hashed."""
    digest = hashlib.sha256()
    parts = [FORMAT, gram.RECIPE, activations.RECIPE, analysis.graph.to_json(), str(seed), pick_device().type]
    parts += [learner.recipe for learner in learners]
    parts += [layer.name for layer in analysis.layers]
    for part in parts:
        digest.update(hashlib.sha256(part.encode()).digest())
    for name in sorted(analysis.tensors):
        digest.update(hashlib.sha256(name.encode()).digest())
        digest.update(hashlib.sha256(analysis.tensors[name].numpy().tobytes()).digest())
    digest.update(hashlib.sha256(np.ascontiguousarray(images).tobytes()).digest())
    return digest.hexdigest()[:32]


def open_or_build(
    folder: Path,
    analysis: Analysis,
    images: npt.NDArray[np.float32],
    learners: Sequence[Learner],
    seed: int,
    progress: Progress,
) -> Library:
    """The library of this model from `folder`, built first if it is not there.

    A lock lets one process build while others wait for it; a killed build leaves nothing behind.
    """
    identifier = library_id(analysis, images, learners, seed)
    path = library_path(folder, identifier)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with file_lock(path.with_suffix(".lock"), wait=True):
            if not path.exists():
                write_library(path, build(analysis, images, learners, seed, progress))
    return Library(path, identifier)


def library_path(folder: Path, identifier: str) -> Path:
    """Where the library of this id lies."""
    return folder / f"{identifier}.safetensors"


def build(
    analysis: Analysis,
    images: npt.NDArray[np.float32],
    learners: Sequence[Learner],
    seed: int,
    progress: Progress,
) -> LibraryContent:
    """Calibrates and adapts every layer to every level. `images` are calibration images [n, ...]."""
    device = pick_device()
    (learner,) = learners  # one learner so far; a second one takes the first one's weights here
    total = len(analysis.layers) + 2
    with single_thread(), torch.no_grad():
        progress("calibrating activations", 0, total)
        ranges = activation_ranges(analysis.dense, float_tensors(analysis.dense, analysis.nodes), images)
        progress("collecting statistics", 1, total)
        tensors = {name: tensor.to(device) for name, tensor in analysis.tensors.items()}
        grams = collect_grams(analysis.graph, tensors, analysis.layers, torch.from_numpy(images).to(device), seed)
        levels: dict[str, tuple[LevelWeights, ...]] = {}
        for index, layer in enumerate(analysis.layers):
            progress(f"fitting {layer.name}", index + 2, total)
            bias = tensors[layer.bias] if layer.bias is not None else None
            found = learner.adapt(layer, tensors[layer.weight], bias, grams[layer.name])
            levels[layer.name] = tuple(_on_cpu(level) for level in found)
    space = search_space(analysis, learner.name, levels, ranges)
    return LibraryContent(analysis, ranges, levels, space)


def planned_space(analysis: Analysis, learner: Learner) -> SearchSpace:
    """The space before anything is built: exact costs, errors all zero."""
    blank = {layer.name: tuple(_blank(layer, name) for name in learner.levels(layer)) for layer in analysis.layers}
    unit = dict.fromkeys(float_tensors(analysis.dense, analysis.nodes), Range(0.0, 1.0))
    return search_space(analysis, learner.name, blank, unit)


def search_space(
    analysis: Analysis,
    learner: str,
    levels: dict[str, tuple[LevelWeights, ...]],
    ranges: dict[str, Range],
) -> SearchSpace:
    """The sites with exact costs. What a file costs besides is read off one that is packed for the purpose."""
    sites = tuple(_site(layer, learner, levels[layer.name]) for layer in analysis.layers)
    middle = {name: found[len(found) // 2] for name, found in levels.items()}
    contract = InputContract(analysis.input_shape, (0.0,), (1.0,))
    packed = len(pack(pack_candidate(analysis, middle, ranges, contract)))
    fixed = packed - sum(site.levels[len(site.levels) // 2].size_bytes for site in sites)
    return SearchSpace(sites, analysis.protected, fixed)


def _blank(layer: Layer, level: str) -> LevelWeights:
    """A level with weights of zero, for its size."""
    bits = level_bits(level)
    rows = layer.shape[0]
    if bits == FLOAT_BITS:
        return LevelWeights(level, bits, None, None, None, None, 0.0, "")
    return LevelWeights(
        level=level,
        bits=bits,
        codes=torch.zeros(layer.shape, dtype=torch.uint8),
        scale=torch.ones(rows, dtype=torch.float16),
        zero=torch.zeros(rows, dtype=torch.uint8),
        bias=torch.zeros(rows),
        error=0.0,
        method="",
    )


def _site(layer: Layer, learner: str, levels: Sequence[LevelWeights]) -> Site:
    rows = layer.rows * layer.groups
    return Site(
        name=layer.name,
        learner=learner,
        kind=layer.kind,
        macs=layer.macs,
        weights=prod(layer.shape),
        levels=tuple(
            Level(
                item.level,
                item.bits,
                level_bytes(item.bits, rows, prod(layer.shape)),
                item.error,
                item.method,
            )
            for item in levels
        ),
    )


def _on_cpu(level: LevelWeights) -> LevelWeights:
    def move(tensor: torch.Tensor | None) -> torch.Tensor | None:
        return None if tensor is None else tensor.cpu()

    return LevelWeights(
        level.level,
        level.bits,
        move(level.codes),
        move(level.scale),
        move(level.zero),
        move(level.bias),
        level.error,
        level.method,
        level.exponent,
        level.bias_exponent,
    )

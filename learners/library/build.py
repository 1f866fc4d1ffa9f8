"""Builds a level library once for a model, its calibration images and the learners' recipes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from learners import gram
from learners.analysis import Analysis
from learners.base import GroupLearner, Learner, LevelWeights, WeightLearner, split
from learners.channel.consumers import find_consumers, row_powers, unit_columns
from learners.channel.criteria.base import CriterionInput
from learners.channel.plan import GroupLevels
from learners.device import pick_device, single_thread
from learners.export import activations
from learners.export.activations import activation_ranges
from learners.export.qdq import float_tensors
from learners.gram import AnyGram, collect_grams, on_device
from learners.library.adapt import Variant, adapt_layer, consumer_of
from learners.library.costs import LayerErrors
from learners.library.gradients import taylor_products
from learners.library.library import FORMAT, Library, LibraryContent, write_library
from learners.library.space import precision_sites, search_space
from learners.library.wiring import Wiring, kept_columns, wire
from storage.files import file_lock

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
    return Library(path, identifier, learners)


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
    channels, weights = split(learners)
    total = len(analysis.producers) + len(analysis.groups) * (channels is not None) + 2
    steps = iter(range(total))
    with single_thread(), torch.no_grad():
        progress("calibrating activations", next(steps), total)
        names = float_tensors(analysis.template, analysis.nodes)
        ranges = activation_ranges(analysis.template, names, images)
        progress("collecting statistics", next(steps), total)
        tensors = {name: tensor.to(device) for name, tensor in analysis.tensors.items()}
        batch = torch.from_numpy(images).to(device)
        collected = collect_grams(analysis.graph, tensors, analysis.producers, batch, seed)
        grams = {name: on_device(item, device) for name, item in collected.items()}
        groups: tuple[GroupLevels, ...] = ()
        if channels is not None:
            given = CriterionInput(
                coupling=analysis.coupling,
                layers={layer.name: layer for layer in analysis.producers},
                tensors=tensors,
                consumers=find_consumers(analysis.producers, analysis.coupling, tensors, grams),
                gammas=analysis.gammas,
                gradients=cache(lambda: taylor_products(analysis.graph, tensors, analysis.layers, batch)),
                seed=seed,
            )
            found = []
            for group in analysis.groups:
                progress(f"ordering the channels of {group.name}", next(steps), total)
                counts = channels.counts(group)
                found.append(GroupLevels.of(group, channels.order(group, given, min(counts)), counts))
            groups = tuple(found)
        wirings = wire(analysis, groups, precision_sites(analysis, groups, weights))
        variants: dict[str, tuple[Variant, ...]] = {}
        errors: dict[str, LayerErrors] = {}
        for wiring in wirings:
            progress(f"fitting {wiring.layer.name}", next(steps), total)
            statistics = grams[wiring.layer.name]
            variants[wiring.layer.name], errors[wiring.layer.name] = _fit(
                wiring, analysis, tensors, statistics, groups, channels, weights
            )
    levels = {name: tuple(item.levels for item in found) for name, found in variants.items()}
    joint = {item.layer.name: grams[item.layer.name] for item in wirings if len(item.sources) > 1}
    space = search_space(analysis, groups, learners, levels, errors, ranges)
    return LibraryContent(analysis, ranges, groups, levels, space, joint)


def _fit(
    wiring: Wiring,
    analysis: Analysis,
    tensors: Mapping[str, torch.Tensor],
    statistics: AnyGram,
    groups: Sequence[GroupLevels],
    channels: GroupLearner | None,
    weights: WeightLearner | None,
) -> tuple[tuple[Variant, ...], LayerErrors]:
    """A layer for every level of the group that it reads; of several groups for the dense inputs, with each group's
    own error."""
    layer = wiring.layer
    bias = tensors[layer.bias] if layer.bias is not None else None
    consumer = consumer_of(layer, tensors[layer.weight], statistics, unit_columns(layer, analysis.coupling))
    pruned: dict[int, npt.NDArray[np.float64]] = {}
    found = [adapt_layer(consumer, bias, torch.arange(layer.columns), channels, weights)]
    for source in wiring.sources:
        lost = [found[0].pruned]
        for level in range(1, len(groups[source].counts)):
            columns = kept_columns(wiring, analysis, groups[source].removed(level))
            alone = weights if len(wiring.sources) == 1 else None
            variant = adapt_layer(consumer, bias, columns, channels, alone)
            lost.append(variant.pruned)
            if len(wiring.sources) == 1:
                found.append(variant)
        pruned[source] = torch.stack(lost).numpy()
    rounded = np.stack([np.stack([_rows(level) for level in variant.levels]) for variant in found])
    power = row_powers(consumer.weight, statistics).reshape(-1).cpu().numpy()
    return tuple(found), LayerErrors(power, pruned, rounded)


def _rows(level: LevelWeights) -> npt.NDArray[np.float64]:
    assert level.row_errors is not None
    array: npt.NDArray[np.float64] = level.row_errors.numpy()
    return array

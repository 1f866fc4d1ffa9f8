"""Builds a level library once for a model, its calibration images and the learners' recipes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from learners import gram
from learners.analysis import Analysis
from learners.base import Learner, split
from learners.channel.consumers import find_consumers
from learners.channel.criteria.base import CriterionInput
from learners.channel.group_levels import GroupLevels
from learners.device import pick_device, single_thread
from learners.export import activations
from learners.export.activations import activation_ranges
from learners.export.qdq import float_tensors
from learners.gram import AnyGram, collect_grams, on_device
from learners.library.fit import Fit, FitJob, FitTask
from learners.library.gradients import taylor_products
from learners.library.library import FORMAT, Library, LibraryContent, write_library
from learners.library.space import precision_sites, search_space
from learners.library.wiring import Wiring, wire
from learners.pool.base import Note, Pool
from learners.pool.inline import InlinePool
from storage.errors import GiveUpError
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
    pool: Pool | None = None,
    worker_lost: Note = lambda _: None,
) -> Library:
    """The library of this model from `folder`, built first, by the workers of `pool`, if it is not there.

    A lock lets one process build while others wait for it; a killed build leaves nothing behind.
    """
    identifier = library_id(analysis, images, learners, seed)
    path = library_path(folder, identifier)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with file_lock(path.with_suffix(".lock"), wait=True):
            if not path.exists():
                write_library(path, build(analysis, images, learners, seed, progress, pool, worker_lost))
    else:
        with suppress(OSError):  # another user's
            os.utime(path)  # `gc` goes by when it was used
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
    pool: Pool | None = None,
    worker_lost: Note = lambda _: None,
) -> LibraryContent:
    """Calibrates and adapts every layer to every level. `images` are calibration images [n, ...]."""
    device = pick_device()
    if pool is None or device.type != "cpu":  # workers would fight for the one GPU
        pool = InlinePool()
    pool.start()  # while statistics are collected here, workers import what they need
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
                order = channels.order(group, given, channels.fewest(group))
                found.append(channels.group_levels(group, order))
            groups = tuple(found)
        wirings = wire(analysis, groups, precision_sites(analysis, groups, weights))
    task = FitTask(analysis.coupling, groups, channels, weights)
    jobs = [_job(item, tensors, grams) for item in wirings]
    fitted: dict[str, Fit] = {}
    for name, fit in _fits(task, jobs, pool, worker_lost):
        progress(f"fitting {name}", next(steps), total)
        fitted[name] = fit
    levels = {item.layer.name: tuple(found.levels for found in fitted[item.layer.name].variants) for item in wirings}
    errors = {item.layer.name: fitted[item.layer.name].errors for item in wirings}
    joint = {item.layer.name: grams[item.layer.name] for item in wirings if len(item.sources) > 1}
    space = search_space(analysis, groups, learners, levels, errors, ranges)
    return LibraryContent(analysis, ranges, groups, levels, space, joint)


def _job(wiring: Wiring, tensors: Mapping[str, torch.Tensor], grams: Mapping[str, AnyGram]) -> FitJob:
    layer = wiring.layer
    bias = None if layer.bias is None else tensors[layer.bias]
    return FitJob(wiring, tensors[layer.weight], bias, grams[layer.name])


def _fits(task: FitTask, jobs: Sequence[FitJob], pool: Pool, note: Note) -> Iterator[tuple[str, Fit]]:
    """Every layer's name and fit as they come in. GiveUpError, which names the layer, for one that has none."""
    # The largest first, so that no worker ends long after the others.
    ordered = sorted(jobs, key=lambda job: -job.wiring.layer.columns)
    with closing(pool.run(task, ordered, note, apart=True)) as outcomes:
        for outcome in outcomes:
            name = ordered[outcome.index].wiring.layer.name
            if outcome.result is None:
                raise GiveUpError(
                    f"layer {name} cannot be fitted ({outcome.error}): keep = [{name!r}] leaves it as it is"
                )
            yield name, outcome.result

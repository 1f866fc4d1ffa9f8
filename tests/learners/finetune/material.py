"""Small trainings on the networks of `tests.networks`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from learners.base import Adapted
from learners.export.packing import pack_candidate
from learners.finetune.layer import TrainedLayer
from learners.finetune.network import TrainedNetwork
from learners.finetune.options import TrainingOptions
from learners.finetune.places import grids_by_value
from learners.finetune.trainer import Teacher
from learners.graph.run import Program
from objectives.runtimes.packed import initializers
from objectives.workload.splits import ArraySplit
from storage.slim import PackedModel, pack, unpack
from tests.built import Built
from tests.learners.agreement import Levels
from tests.networks import images

OPTIONS = TrainingOptions(rate=0.01, batch=16, distill=True, features="none", augment="none", images=None, seed=3)


def split(network: Built, count: int, seed: int = 5, labelled: bool = True) -> ArraySplit:
    """Images, with the classes that the dense model finds in them."""
    batch = images(network.name, count, seed)
    with torch.no_grad():
        outputs = Program(network.library.analysis.graph)(network.library.analysis.tensors, batch)
    return ArraySplit(batch.numpy(), outputs.argmax(1).numpy() if labelled else None)


def adapted(network: Built, levels: Levels) -> Adapted:
    """What a candidate is made of."""
    return network.library.choose(levels, network.library.id)


def trainable(network: Built, levels: Levels) -> TrainedNetwork:
    """A candidate before its training."""
    model = network.packed(levels)
    grids = grids_by_value(network.library.analysis, model, network.images)
    return TrainedNetwork(network.library.analysis, adapted(network, levels), model.activations, grids)


def teacher(network: Built) -> Teacher:
    """The dense model."""
    return Teacher(Program(network.library.analysis.graph), network.library.analysis.tensors)


def packed(network: Built, levels: Levels, trained: TrainedNetwork) -> PackedModel:
    """The file of a candidate after its training, as it is read again."""
    library = network.library
    chosen = replace(adapted(network, levels), weights=trained.levels())
    model = pack_candidate(library.analysis, chosen, library.ranges, network.contract)
    return unpack(pack(replace(model, activations=trained.activations())))


def as_filed(network: Built, trained: TrainedNetwork, model: PackedModel) -> None:
    """Puts what is trained where its file has it: scales and biases of files are rounded."""
    analysis, arrays, levels = network.library.analysis, initializers(model), trained.levels()
    places = {layer.name: (index, layer.form) for index, layer in enumerate(model.layers)}
    for name, layer in zip((item.name for item in (*analysis.layers, *analysis.maps)), trained.layers, strict=True):
        assert isinstance(layer, TrainedLayer)
        level = levels[name]
        with torch.no_grad():
            layer.weight.copy_(level.weight() / layer.size)
            if layer.step is not None and level.scale is not None:
                step = level.scale.float() * 2.0**level.exponent
                layer.step.copy_((step / layer.first_step.reshape(-1)).log())
            if layer.bias is not None and level.bias is not None:
                index, form = places.get(name, (None, ""))
                bias = level.bias.double()
                if index is not None and form != "matmul":  # int32 at the product of the two scales
                    bias = torch.from_numpy(arrays[f"l{index}b"] * arrays[f"l{index}t"].astype(np.float64))
                layer.bias.copy_(bias / layer.bias_size)


def shift(trained: TrainedNetwork, weights: float, grids: float, seed: int = 0) -> None:
    """Moves all that is trained, as a training would: numbers around 1 by `weights`, logarithms of grids by `grids`."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, item in trained.named_parameters():
            size = grids if name == "grids" else weights
            if item.requires_grad:
                item.add_(size * torch.randn(item.shape, generator=generator))

"""Where the graph makes what a file keeps on grids."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from learners.export.activations import probe
from learners.finetune.places import TOLERANCE, grids_by_value, template_grids
from learners.graph.graph import Node
from learners.graph.run import Program
from storage.records.space import FLOAT_BITS
from tests.built import Built
from tests.learners.agreement import Levels, random_levels, with_bits

# Networks of every family; in brackets what their graphs have no value for: the exporter writes it in another way.
NETWORKS = {
    "attention": 0,
    "channels-last": 0,
    "densenet": 0,
    "mlp": 0,
    "mobilenet": 0,
    "resnet-conv": 0,
    "resnet-pad": 0,
    "shufflenet": 0,
    "silu": 2,  # a sigmoid and a product
    "squeeze-excite": 0,
    "vgg": 0,
}


def plans(network: Built) -> dict[str, Levels]:
    """Whole and pruned, of 8 bits and of all widths; the last ones with layers in float between others."""
    space, generator = network.library.space, np.random.default_rng(0)
    mixed = [random_levels(space, generator) for _ in range(2)]
    return {
        "w8": space.uniform_bits(8),
        "pruned w4": with_bits(space, mixed[0], 4),
        "pruned, mixed": mixed[0],
        "pruned, mixed again": mixed[1],
    }


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_grid_is_found(name: str, built: Callable[[str], Built]) -> None:
    network = built(name)
    analysis = network.library.analysis
    for plan, levels in plans(network).items():
        model = network.packed(levels)
        found = grids_by_value(analysis, model, network.images)
        missing = set(range(len(model.activations))) - set(found.values())
        assert len(missing) <= NETWORKS[name], plan
        assert set(found) <= {analysis.graph.input, *(node.name for node in analysis.graph.nodes)}
    assert len(grids_by_value(analysis, network.packed(plans(network)["w8"]), network.images)) > 3


@pytest.mark.parametrize("name", ["resnet-conv", "mobilenet", "attention"])
def test_a_value_and_the_tensor_of_its_grid_are_the_same_on_other_images(
    name: str, built: Callable[[str], Built]
) -> None:
    """Those that were compared may have been equal by chance."""
    network = built(name)
    analysis, model = network.library.analysis, network.packed(network.library.space.uniform_bits(8))
    grids = template_grids(model.template)
    found = grids_by_value(analysis, model, network.images)
    others = network.images[8:16]
    values = {analysis.graph.input: torch.from_numpy(others)}

    def observe(node: Node, value: torch.Tensor) -> None:
        values[node.name] = value

    with torch.no_grad():
        Program(analysis.graph)(analysis.tensors, values[analysis.graph.input], observe)
    source = analysis.template.graph.input[0].name
    tensors = {source: others}
    for tensor in grids:
        if tensor != source:
            tensors[tensor] = probe(analysis.template, [tensor]).run([tensor], {source: others})[0]
    for place, grid in found.items():
        value = values[place].numpy()
        alike = [
            tensor
            for tensor, other in tensors.items()
            if grids[tensor] == grid
            and other.shape == value.shape
            and np.abs(other - value).max() <= TOLERANCE * max(1.0, np.abs(other).max())
        ]
        assert alike, place


def test_the_places_of_a_plain_network_are_its_input_and_what_its_activations_give(
    built: Callable[[str], Built],
) -> None:
    network = built("plain")
    graph = network.library.analysis.graph
    found = grids_by_value(
        network.library.analysis, network.packed(network.library.space.uniform_bits(8)), network.images
    )
    operations = {node.name: node.op for node in graph.nodes}
    at = [operations.get(name, "input") for name in found]
    assert at == ["input", "aten.relu.default", "aten.relu.default", "aten.mean.dim"]


def test_a_plan_in_float_has_no_places(built: Callable[[str], Built]) -> None:
    network = built("plain")
    model = network.packed(network.library.space.uniform_bits(FLOAT_BITS))
    assert template_grids(model.template) == {}
    assert grids_by_value(network.library.analysis, model, network.images) == {}

"""The torch module of a `model.slim`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from learners.materialise import float_weight, materialise
from storage.errors import FixInputError, PackedFileError
from storage.records.space import FLOAT_BITS
from storage.slim import pack, unpack
from tests.built import Built
from tests.learners.agreement import random_levels


def test_the_state_dict_has_the_users_names_and_the_candidates_weights(built: Callable[[str], Built]) -> None:
    network = built("resnet-conv")
    library = network.library
    levels = random_levels(library.space, np.random.default_rng(2))
    module = materialise(unpack(pack(network.packed(levels))))
    state = module.state_dict()
    chosen = library.choose(levels, library.id)
    assert set(state) == set(library.analysis.tensors)
    for layer in library.analysis.layers:
        assert torch.equal(state[layer.weight], chosen.weights[layer.name].weight())
        bias = chosen.weights[layer.name].bias
        assert bias is not None
        assert layer.bias is not None
        assert torch.equal(state[layer.bias], bias)
    own = set(network.model.state_dict())
    assert {name for name in state if name.endswith("weight")} <= own


def test_its_weights_can_be_loaded_and_changed(built: Callable[[str], Built]) -> None:
    network = built("plain")
    module = materialise(network.packed(network.library.space.uniform_bits(4)))
    other = materialise(network.packed(network.library.space.uniform_bits(FLOAT_BITS)))
    batch = torch.from_numpy(network.images)
    assert not torch.equal(module(batch), other(batch))
    module.load_state_dict(other.state_dict())
    assert torch.equal(module(batch), other(batch))


@pytest.mark.parametrize("bits", [8, 6, 4, 3, 2])
def test_weights_take_at_most_as_many_values_as_their_bits_allow(bits: int, built: Callable[[str], Built]) -> None:
    network = built("plain")
    model = network.packed(network.library.space.uniform_bits(bits))
    for layer in model.layers:
        assert layer.bits == bits
        rows = float_weight(layer).flatten(1)
        assert max(len(row.unique()) for row in rows) <= 2**layer.bits


def test_a_file_that_lacks_a_tensor_is_refused(built: Callable[[str], Built]) -> None:
    model = built("plain").packed((0, 0, 3, 0, 3))
    for broken in (replace(model, layers=model.layers[1:]), replace(model, tensors=())):
        with pytest.raises(PackedFileError, match="which its graph reads: export it again"):
            materialise(broken)
    with pytest.raises(FixInputError, match="export"):
        materialise(replace(model, graph="{}"))
    hostile = model.graph.replace("aten.relu.default", "aten.from_file.default")
    with pytest.raises(FixInputError, match="is not one that a graph may hold"):
        materialise(replace(model, graph=hostile))

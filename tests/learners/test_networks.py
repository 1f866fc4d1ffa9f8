"""Every network of `tests.networks` through the whole engine: analysis, library, files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch

from learners.device import single_thread
from learners.export.packing import assemble_onnx
from learners.graph.run import Program
from learners.materialise import materialise
from objectives.runtimes.packed import PackedSession
from storage.records.space import CHANNEL, FLOAT_BITS, SearchSpace
from storage.slim import pack, unpack
from tests.built import Built
from tests.learners.agreement import EXACT, Levels, check_files, difference, onnx_session, random_levels, with_bits
from tests.learners.hand_macs import HAND_MACS, HAND_PLACES
from tests.networks import NETWORKS

PRUNED_FACTOR = 2  # of the tolerance of int8 files; measured over three random plans of each network: up to 1.6


@pytest.fixture(params=sorted(NETWORKS))
def network(request: pytest.FixtureRequest, built: Callable[[str], Built]) -> Built:
    return built(request.param)


def candidates(space: SearchSpace) -> dict[str, Levels]:
    """Bits alone, channels alone, both, and the ends of the space."""
    generator = np.random.default_rng(0)
    smallest = tuple(len(site.levels) - 1 for site in space.sites)
    channels = random_levels(space, generator)
    quantised = [site.learner != CHANNEL for site in space.sites]
    return {
        "fp32": space.uniform_bits(FLOAT_BITS),
        "w8": space.uniform_bits(8),
        "channels alone": with_bits(space, channels, FLOAT_BITS),
        "channels and w8": with_bits(space, random_levels(space, generator), 8),
        "smallest": smallest,
        "random": random_levels(space, generator),
        "every other in int8": tuple(
            index % 2 if bits else level for index, (bits, level) in enumerate(zip(quantised, channels, strict=True))
        ),
    }


def test_every_weight_is_a_layers_or_protected_with_a_reason(network: Built) -> None:
    analysis = network.library.analysis
    assert {item.name for item in analysis.protected} == NETWORKS[network.name].protected
    assert all(item.reason for item in analysis.protected)
    own = {layer.weight for layer in analysis.maps}
    tensors = {name: analysis.tensors[name] for name in analysis.graph.parameters()}
    matrices = {name for name, tensor in tensors.items() if tensor.squeeze().dim() >= 2}
    weights = matrices - own
    layers = {layer.weight for layer in analysis.layers}
    assert {name.removesuffix(".weight") for name in weights - layers} == NETWORKS[network.name].protected


def test_every_layer_has_a_channel_site_or_a_reason_why_not(network: Built) -> None:
    space = network.library.space
    decided = {name for site in space.sites if site.learner == CHANNEL for name in site.layers}
    kept = {item.name: item.reason for item in space.kept_channels}
    layers = {layer.name for layer in network.library.analysis.layers}
    assert decided.isdisjoint(kept)
    assert layers <= decided | set(kept)
    assert all(kept.values())


def test_the_dense_file_computes_what_the_model_computes(network: Built) -> None:
    session = onnx_session(network.library.analysis.dense.SerializeToString())
    dense = network.dense()
    assert difference(session(network.images), dense) < EXACT
    assert difference(session(network.images[:1]), dense[:1]) < EXACT  # the batch axis is free


def test_the_dense_file_holds_what_the_users_model_holds_and_no_index_maps(network: Built) -> None:
    analysis = network.library.analysis
    maps = {name for layer in analysis.maps for name in (layer.weight, layer.bias)}
    assert not maps & {item.name for item in analysis.dense.graph.initializer}


def test_all_channels_and_all_bits_give_the_dense_outputs_bit_for_bit(network: Built) -> None:
    analysis = network.library.analysis
    with single_thread(), torch.no_grad():
        wanted = Program(analysis.graph)(analysis.tensors, torch.from_numpy(network.images)).numpy()
    levels = network.library.space.uniform_bits(FLOAT_BITS)
    np.testing.assert_array_equal(network.stitched(levels), wanted)
    assert difference(wanted, network.dense()) < EXACT  # folding has rounded the weights anew
    slim = PackedSession(unpack(pack(network.packed(levels))))(network.images)
    assert difference(slim, network.dense()) < EXACT  # ONNX Runtime adds in another order


def test_all_files_of_a_candidate_agree(network: Built) -> None:
    for levels in candidates(network.library.space).values():
        model = check_files(network, levels)
        assert pack(network.packed(levels)) == pack(model)


def test_int8_files_are_close_to_the_float32_weights(network: Built) -> None:
    space, generator = network.library.space, np.random.default_rng(3)
    plans = {f"w{bits}": space.uniform_bits(bits) for bits in (8, 3)}
    plans |= {f"pruned w{bits}": with_bits(space, pruning_levels(space, generator), bits) for bits in (8, 4)}
    plans["pruned, all widths"] = pruning_levels(space, generator)
    for name, levels in plans.items():
        stitched = network.stitched(levels)
        slim = PackedSession(unpack(pack(network.packed(levels))))(network.images)
        error = np.sqrt(np.square(slim - stitched).mean()) / stitched.std(0).mean()
        # The fewer channels are left, the less of what their activations lose cancels out.
        factor = PRUNED_FACTOR if name.startswith("pruned") else 1
        assert error < factor * NETWORKS[network.name].tolerance, name


def test_integer_kernels_compute_what_the_graph_says(network: Built) -> None:
    """Fused kernels against every operation by itself: a wrong fusion would go unnoticed elsewhere."""
    space = network.library.space
    channels = with_bits(space, random_levels(space, np.random.default_rng(1)), 8)
    for levels in dict.fromkeys((space.uniform_bits(8), channels)):
        data = assemble_onnx(network.packed(levels))
        plain = onnx_session(data, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)(network.images)
        fused = onnx_session(data)(network.images)
        error = np.sqrt(np.square(fused - plain).mean()) / plain.std(0).mean()
        assert error < 0.02  # a value on the border of two steps may fall to either side


def pruning_levels(space: SearchSpace, generator: np.random.Generator) -> Levels:
    """A random candidate in which every group loses channels."""
    return tuple(int(generator.integers(1 if site.learner == CHANNEL else 0, len(site.levels))) for site in space.sites)


def test_every_output_of_a_plan_that_prunes_is_that_of_its_weights(network: Built) -> None:
    """The two files against the stitched graph itself; `check_files` compares each with its neighbour."""
    library, generator = network.library, np.random.default_rng(2)
    channels = [index for index, site in enumerate(library.space.sites) if site.learner == CHANNEL]
    dense = sum(tensor.numel() for tensor in library.analysis.tensors.values())
    for _ in range(2):
        levels = with_bits(library.space, pruning_levels(library.space, generator), FLOAT_BITS)
        model = unpack(pack(network.packed(levels)))
        wanted, module = network.stitched(levels), materialise(model)
        with single_thread(), torch.no_grad():
            found = module(torch.from_numpy(network.images)).numpy()
        assert difference(found, wanted) < EXACT
        assert difference(PackedSession(model)(network.images), wanted) < EXACT
        assert difference(onnx_session(assemble_onnx(model))(network.images), wanted) < EXACT
        left = sum(tensor.numel() for tensor in module.state_dict().values())
        assert left < dense if channels else left == dense
        for index in channels:
            site, level = library.space.sites[index], library.space.sites[index].levels[levels[index]]
            rows = {item.name: item for item in (*library.analysis.layers, *library.analysis.maps)}[site.name]
            assert len(module.state_dict()[rows.weight]) == (level.channels or 0) < rows.shape[0]


@pytest.mark.parametrize("name", sorted(HAND_MACS))
def test_macs_of_a_plan_that_prunes_are_those_counted_by_hand(name: str, built: Callable[[str], Built]) -> None:
    space, generator = built(name).library.space, np.random.default_rng(3)
    for levels in (space.uniform_bits(FLOAT_BITS), *(pruning_levels(space, generator) for _ in range(3))):
        kept = {
            site.name: level.channels or 0
            for site, level in zip(space.sites, space.choose(levels), strict=True)
            if site.learner == CHANNEL
        }
        assert space.macs(levels) == HAND_MACS[name](kept)


@pytest.mark.parametrize("name", sorted(HAND_PLACES))
def test_macs_of_a_plan_that_prunes_are_its_weights_at_the_places_counted_by_hand(
    name: str, built: Callable[[str], Built]
) -> None:
    network, generator = built(name), np.random.default_rng(3)
    space, places = network.library.space, HAND_PLACES[name]
    dense = space.macs(space.uniform_bits(FLOAT_BITS))
    for levels in (space.uniform_bits(FLOAT_BITS), *(pruning_levels(space, generator) for _ in range(3))):
        module = materialise(unpack(pack(network.packed(with_bits(space, levels, FLOAT_BITS)))))
        weights = {key.removesuffix(".weight"): item for key, item in module.state_dict().items()}
        macs = sum(count * weights[layer].numel() for layer, count in places.items())
        assert space.macs(levels) == macs
        assert (macs == dense) == (levels == space.uniform_bits(FLOAT_BITS))

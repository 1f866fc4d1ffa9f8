"""A candidate under training, against the files and the graph that it stands for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from learners.finetune.network import Grids, TrainedNetwork
from learners.quant.grid import largest_code
from objectives.runtimes.packed import PackedSession
from storage.records.space import FLOAT_BITS
from storage.slim import PackedModel
from tests.built import Built, Floats
from tests.learners.agreement import EXACT, Levels, difference, random_levels, with_bits
from tests.learners.finetune.material import as_filed, packed, shift, trainable

NETWORKS = (
    "attention",
    "densenet",
    "mixer",
    "mobilenet",
    "resnet-conv",
    "resnet-pad",
    "shufflenet",
    "squeeze-excite",
    "vgg",
)
# Root mean square difference over the outputs' deviation. Files round scales and biases besides: a value between
# two codes then goes to either, and so do those that follow from it.
CLOSE = 0.05
LEAST_AGREEMENT = 0.93  # two of the 32 images
EQUAL = 0.01  # with what the file has rounded; its integer kernels compute in another order
WEIGHTS, GRIDS = 0.02, 0.1  # moved by a short training


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest, built: Callable[[str], Built]) -> Built:
    return built(request.param)


def plans(network: Built) -> dict[str, Levels]:
    space = network.library.space
    mixed = random_levels(space, np.random.default_rng(0))
    return {"w8": space.uniform_bits(8), "pruned w4": with_bits(space, mixed, 4), "pruned, mixed": mixed}


def run(trained: TrainedNetwork, images: Floats, grids: Grids) -> Floats:
    with torch.no_grad():
        found: Floats = trained(torch.from_numpy(images), grids).numpy()
    return found


def apart(found: Floats, wanted: Floats) -> float:
    """The root mean square difference over the deviation."""
    return float(np.sqrt(np.square(found - wanted).mean()) / wanted.std(0).mean())


def check_close(network: Built, trained: TrainedNetwork, model: PackedModel) -> None:
    """Asserts that the forward pass on fixed grids is about the file's, and the file's with what that has rounded."""
    wanted = PackedSession(model)(network.images)
    found = run(trained, network.images, Grids.FIXED)
    assert apart(found, wanted) < CLOSE
    assert float((found.argmax(1) == wanted.argmax(1)).mean()) >= LEAST_AGREEMENT
    if network.library.analysis.maps:
        return  # files hold biases of index maps in half steps, which lie between two codes
    as_filed(network, trained, model)
    found, rough = run(trained, network.images, Grids.FIXED), run(trained, network.images, Grids.LEFT_OUT)
    assert apart(found, wanted) < EQUAL
    assert apart(found, wanted) < apart(rough, wanted) / 2


def test_without_grids_it_is_the_stitched_candidate(network: Built) -> None:
    space = network.library.space
    for levels in (*plans(network).values(), space.uniform_bits(FLOAT_BITS)):
        found = run(trainable(network, levels), network.images, Grids.LEFT_OUT)
        assert difference(found, network.stitched(levels)) < EXACT


def test_with_its_grids_it_is_the_file(network: Built) -> None:
    for levels in plans(network).values():
        check_close(network, trainable(network, levels), network.packed(levels))


def test_after_a_training_it_is_the_file_too(network: Built) -> None:
    for levels in plans(network).values():
        trained = trainable(network, levels)
        before = run(trained, network.images, Grids.FIXED)
        shift(trained, WEIGHTS, GRIDS)
        assert apart(run(trained, network.images, Grids.FIXED), before) > EQUAL
        check_close(network, trained, packed(network, levels, trained))


def test_learned_grids_give_what_fixed_ones_give(network: Built) -> None:
    trained = trainable(network, plans(network)["pruned, mixed"])
    shift(trained, WEIGHTS, GRIDS)
    np.testing.assert_array_equal(
        run(trained, network.images, Grids.LEARNED), run(trained, network.images, Grids.FIXED)
    )


def test_gradients_reach_all_that_is_trained_and_nothing_else(network: Built) -> None:
    levels = plans(network)["w8"]
    trained = trainable(network, levels)
    output = trained(torch.from_numpy(network.images), Grids.LEARNED)
    output.square().sum().backward()
    maps = {layer.name for layer in network.library.analysis.maps}
    names = [layer.name for layer in (*network.library.analysis.layers, *network.library.analysis.maps)]
    for name, layer in zip(names, trained.layers, strict=True):
        for part, item in layer.named_parameters():
            assert (item.grad is None) == (name in maps), (name, part)
            assert item.grad is None or bool(torch.isfinite(item.grad).all())
            assert item.grad is None or bool(item.grad.any()) or part == "bias", (name, part)
    assert trained.grids.grad is not None
    assert float((trained.grids.grad != 0).float().mean()) > 0.8


def test_grids_get_no_gradient_where_they_are_not_to_learn(built: Callable[[str], Built]) -> None:
    network = built("plain")
    for grids in (Grids.FIXED, Grids.LEFT_OUT):
        trained = trainable(network, network.library.space.uniform_bits(4))
        trained(torch.from_numpy(network.images), grids).square().sum().backward()
        assert trained.grids.grad is None


def test_no_grid_becomes_wider_than_the_clamp_that_its_file_leaves_out(built: Callable[[str], Built]) -> None:
    """A ReLU6 whose grid ends at or below 6 is not in the file: the grid does what it did."""
    network = built("mobilenet")
    levels = network.library.space.uniform_bits(8)
    model = network.packed(levels)
    assert b"Clip" not in model.template
    trained = trainable(network, levels)
    with torch.no_grad():
        trained.grids.fill_(1.5)
    ends = [item.scale * (255 - item.zero) for item in trained.activations()]
    before = [item.scale * (255 - item.zero) for item in model.activations]
    clamped = [end for end, item in zip(ends, model.activations, strict=True) if item.zero == 0]
    assert max(clamped) == pytest.approx(6.0)
    assert max(end / old for end, old in zip(ends, before, strict=True)) == pytest.approx(np.exp(1.5))
    loud = 4 * network.images  # beyond 6
    found, wanted = run(trained, loud, Grids.FIXED), PackedSession(packed(network, levels, trained))(loud)
    assert apart(found, wanted) < CLOSE
    trained(torch.from_numpy(loud), Grids.LEARNED).square().sum().backward()
    assert trained.grids.grad is not None
    at_the_end = [index for index, end in enumerate(ends) if end == pytest.approx(6.0)]
    assert bool(trained.grids.grad[at_the_end].any())  # so that it can become narrower again


def test_trained_parameters_are_taken_over(built: Callable[[str], Built]) -> None:
    network = built("resnet-conv")
    levels = plans(network)["pruned, mixed"]
    one, other = (trainable(network, levels) for _ in range(2))
    shift(one, WEIGHTS, GRIDS)
    assert apart(run(one, network.images, Grids.FIXED), run(other, network.images, Grids.FIXED)) > 0
    other.load({name: item for name, item in one.named_parameters() if item.requires_grad})
    for before, after in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(before, after)
    np.testing.assert_array_equal(run(one, network.images, Grids.FIXED), run(other, network.images, Grids.FIXED))


def test_levels_after_a_training_are_such_as_a_file_holds(network: Built) -> None:
    levels = plans(network)["pruned, mixed"]
    trained = trainable(network, levels)
    shift(trained, WEIGHTS, GRIDS)
    first = network.library.choose(levels, network.library.id).weights
    found = trained.levels()
    assert set(found) == set(first)
    maps = {layer.name for layer in network.library.analysis.maps}
    for name, level in found.items():
        assert level.bits == first[name].bits
        assert torch.equal(level.weight(), first[name].weight()) == (name in maps)
        if level.codes is not None:
            assert level.codes.shape == first[name].weight().shape
            assert int(level.codes.max()) <= largest_code(level.bits)

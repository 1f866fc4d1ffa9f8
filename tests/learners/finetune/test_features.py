"""What the dense model teaches of its inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch

from learners.finetune.features import WEIGHT, FeatureLoss, compared, flow
from learners.finetune.network import TrainedNetwork
from learners.graph.graph import Node
from learners.graph.run import Program
from storage.records.space import FLOAT_BITS
from tests.built import Built
from tests.learners.agreement import Levels, random_levels, with_bits
from tests.learners.finetune.material import trainable
from tests.networks import images

Values = Mapping[str, torch.Tensor]


def pruned(network: Built, bits: int = 4) -> Levels:
    """A plan that loses channels."""
    space = network.library.space
    return with_bits(space, random_levels(space, np.random.default_rng(1)), bits)


def dense_values(network: Built, loss: FeatureLoss) -> Values:
    analysis, found = network.library.analysis, dict[str, torch.Tensor]()

    def observe(node: Node, value: torch.Tensor) -> None:
        if node.name in loss.names:
            found[node.name] = value

    with torch.no_grad():
        Program(analysis.graph)(analysis.tensors, images(network.name, 6), observe)
    return found


def own_values(network: Built, loss: FeatureLoss, levels: Levels) -> tuple[Values, TrainedNetwork]:
    """Of a candidate, and the candidate."""
    trained, found = trainable(network, levels), dict[str, torch.Tensor]()

    def observe(node: Node, value: torch.Tensor) -> None:
        if node.name in loss.names:
            found[node.name] = value

    trained(images(network.name, 6), observe=observe)
    return found, trained


def test_the_flow_is_the_mean_product_of_channels_over_all_places() -> None:
    generator = torch.Generator().manual_seed(0)
    first, last = (torch.randn(3, count, 4, 5, generator=generator) for count in (6, 2))
    wanted = np.einsum("nchw,ndhw->ncd", first.numpy(), last.numpy()) / 20
    np.testing.assert_allclose(flow(first, last).numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_of_each_size_the_first_and_the_last_convolution_are_compared(built: Callable[[str], Built]) -> None:
    def names(network: str) -> list[tuple[str, str]]:
        return [(first.name, last.name) for first, last in compared(built(network).library.analysis)]

    assert names("resnet-conv") == [("stem.0", "blocks.0.second.0"), ("blocks.1.first.0", "blocks.2.second.0")]
    assert names("mlp") == []
    assert names("channels-last") == [("stem", "narrow")]  # whose linear layers have their channels elsewhere


@pytest.mark.parametrize("kind", ["hidden", "fsp"])
@pytest.mark.parametrize("name", ["resnet-conv", "mobilenet", "channels-last"])
def test_the_loss_is_the_relative_distance_of_the_channels_that_are_left(
    name: str, kind: str, built: Callable[[str], Built]
) -> None:
    network = built(name)
    analysis, levels = network.library.analysis, pruned(network)
    kept = network.library.kept(levels)
    loss = FeatureLoss(analysis, kept, kind)
    (own, _), dense = own_values(network, loss, levels), dense_values(network, loss)
    found = float(loss(own, dense).detach())
    distances = []
    cut = 0
    for first, last in compared(analysis):
        places = [np.flatnonzero(kept[analysis.coupling.outputs[layer.name]]) for layer in (first, last)]
        mine = [own[layer.node].detach().numpy() for layer in (first, last)]
        wanted = [dense[layer.node].numpy()[:, left] for layer, left in zip((first, last), places, strict=True)]
        cut += sum(dense[layer.node].shape[1] - len(left) for layer, left in zip((first, last), places, strict=True))
        if kind == "hidden":
            one, other = mine[1], wanted[1]
        else:
            one, other = (np.einsum("nchw,ndhw->ncd", *pair) / pair[0][0, 0].size for pair in (mine, wanted))
        distances.append(np.square(one - other).mean() / np.square(other).mean())
    assert cut > 0
    assert found == pytest.approx(WEIGHT * float(np.mean(distances)), rel=1e-4)


@pytest.mark.parametrize("kind", ["hidden", "fsp"])
def test_channels_that_are_gone_are_left_out_of_the_dense_model(kind: str, built: Callable[[str], Built]) -> None:
    network = built("resnet-conv")
    levels = pruned(network)
    loss = FeatureLoss(network.library.analysis, network.library.kept(levels), kind)
    own, dense = own_values(network, loss, levels)[0], dense_values(network, loss)
    before = float(loss(own, dense).detach())
    kept = {place.value: place.kept for pair in loss.pairs for place in pair}
    changed = {name: value + 1 for name, value in dense.items()}
    for name, value in changed.items():
        value[:, kept[name]] = dense[name][:, kept[name]]
    assert any(not torch.equal(changed[name], dense[name]) for name in dense)
    assert float(loss(own, changed).detach()) == before
    assert float(loss(own, {name: value + 1 for name, value in dense.items()}).detach()) != before


@pytest.mark.parametrize("kind", ["hidden", "fsp"])
def test_the_dense_model_itself_has_nothing_to_learn(kind: str, built: Callable[[str], Built]) -> None:
    network = built("resnet-conv")
    levels = network.library.space.uniform_bits(FLOAT_BITS)
    loss = FeatureLoss(network.library.analysis, network.library.kept(levels), kind)
    dense = dense_values(network, loss)
    assert float(loss(dense, dense)) == 0.0


@pytest.mark.parametrize("kind", ["hidden", "fsp"])
def test_gradients_reach_all_layers_up_to_the_last_that_is_compared(kind: str, built: Callable[[str], Built]) -> None:
    network = built("resnet-conv")
    levels = pruned(network)
    loss = FeatureLoss(network.library.analysis, network.library.kept(levels), kind)
    own, trained = own_values(network, loss, levels)
    loss(own, dense_values(network, loss)).backward()  # type: ignore[no-untyped-call]
    names = [layer.name for layer in network.library.analysis.layers]
    reached = {
        name: any(item.grad is not None and bool(item.grad.any()) for item in layer.parameters())
        for name, layer in zip(names, trained.layers, strict=True)
    }
    assert [name for name in names if not reached[name]] == ["head"]

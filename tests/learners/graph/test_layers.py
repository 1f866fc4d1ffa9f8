"""Layers: kind, matrix, cost and the reasons of what is protected."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from learners.analysis import analyse
from learners.device import single_thread
from tests.built import Built

FLOPS = 2  # of a multiply-accumulate


class Shifted(nn.Module):
    """A layer whose bias depends on the input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.weight = nn.Linear(8, 8), nn.Parameter(torch.randn(8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        return torch.nn.functional.linear(x, self.weight, 0 * x.sum(0))


def test_kinds_and_matrices(built: Callable[[str], Built]) -> None:
    layers = {layer.name: layer for layer in built("shufflenet").library.analysis.layers}
    assert {name: layer.kind for name, layer in layers.items()} == {
        "stem.0": "convolution",
        "grouped.0": "grouped convolution",
        "branch.0.0": "convolution",
        "branch.2.0": "depthwise convolution",
        "branch.3.0": "convolution",
        "last.0": "grouped convolution",
        "head": "linear",
    }
    assert layers["grouped.0"].matrix_shape == (4, 4, 4)
    assert layers["branch.2.0"].matrix_shape == (8, 1, 9)
    assert layers["stem.0"].matrix_shape == (1, 16, 27)
    assert layers["head"].matrix_shape == (1, 10, 24)


def test_strides_paddings_and_dilations(built: Callable[[str], Built]) -> None:
    layers = {layer.name: layer for layer in built("strided").library.analysis.layers}
    first, second, third = layers["first"], layers["second"], layers["third"]
    assert (first.stride, first.padding, first.dilation) == ((1, 2), (0, 2), (1, 1))
    assert (second.stride, second.padding, second.dilation, second.groups) == ((2, 2), (2, 2), (1, 2), 4)
    assert (third.shape, third.kind) == ((32, 1, 1, 3), "depthwise convolution")
    same = {layer.name: layer for layer in built("padding-same").library.analysis.layers}
    assert (same["dilated"].padding, same["tall"].padding, same["valid"].padding) == ((2, 2), (2, 0), (0, 0))


@pytest.mark.parametrize("name", ["plain", "strided", "mixer", "shufflenet", "mlp", "channels-last", "folded"])
def test_multiply_accumulates_are_those_of_the_modules(name: str, built: Callable[[str], Built]) -> None:
    network = built(name)
    counted: dict[str, int] = {}

    def count(label: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...], torch.Tensor], None]:
        def hook(module: nn.Module, _: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            weight = module.get_parameter("weight")
            counted[label] = output.numel() * weight[0].numel()  # each output costs what one row of the weight holds

        return hook

    for label, module in network.model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count(label))
    with torch.no_grad():
        network.model(torch.from_numpy(network.images[:1]))
    for module in network.model.modules():
        module._forward_hooks.clear()
    assert {layer.name: layer.macs for layer in network.library.analysis.layers} == counted
    assert network.library.analysis.macs == sum(counted.values())


@pytest.mark.parametrize("name", ["attention", "encoder-layer", "folded", "other-kinds", "computed-weight"])
def test_multiply_accumulates_are_those_that_torch_counts(name: str, built: Callable[[str], Built]) -> None:
    """Of the operations themselves: nn.MultiheadAttention, whose tokens come first inside, calls no module."""
    network = built(name)
    with FlopCounterMode(display=False) as counter:
        network.model(torch.from_numpy(network.images[:1]))  # with gradients: attention has a fused form without
    aten = torch.ops.aten
    operations = counter.get_flop_counts()["Global"]
    # Not the products of activations with each other, which are no layers.
    counted = sum(operations.get(item, 0) for item in (aten.convolution, aten.addmm, aten.mm))
    assert network.library.analysis.macs == counted // FLOPS


@pytest.mark.parametrize(
    ("name", "layer", "reason"),
    [
        ("tied", "shared", "its weight is used 2 times"),
        ("shared-bias", "first", "its bias is used 2 times"),
        ("uneven-same", "uneven", 'its padding="same" is uneven, as its kernel is even'),
        ("recurrent", "cell.weight_ih_l0", "read by lstm: only 2-D convolutions and linear layers are handled"),
    ],
)
def test_reasons(name: str, layer: str, reason: str, built: Callable[[str], Built]) -> None:
    found = {item.name: item.reason for item in built(name).library.analysis.protected}
    assert found[layer] == reason


def test_a_bias_that_depends_on_the_input_protects_its_layer() -> None:
    with single_thread():
        analysis = analyse(Shifted().eval(), (8,), (), 0)
    assert {item.name: item.reason for item in analysis.protected} == {"weight": "its bias is computed"}

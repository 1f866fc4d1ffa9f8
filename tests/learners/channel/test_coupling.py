"""Which channels go together, and that taking them out leaves what ignoring them leaves."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pkgutil import resolve_name

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from storage.errors import FixInputError
from tests import network_parts as parts
from tests.built import Built
from tests.learners.channel.odd import ODD, SHAPE, build_odd
from tests.learners.channel.traced import Traced, trace_channels
from tests.networks import NETWORKS, build, images
from tests.shared_material import shared_file

CUTS = 4


Traces = Callable[[str], Traced]


@pytest.fixture(scope="module")
def traced(built: Callable[[str], Built]) -> Traces:
    """A network of `tests.networks`, as its library has it, or of ODD."""

    def get(name: str) -> Traced:
        if name in ODD:
            return trace_channels(build_odd(name), SHAPE)
        found = built(name).library.analysis
        return Traced(found.graph, found.tensors, found.layers, found.maps, found.protected, found.coupling)

    return cache(get)


def batch(name: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, *SHAPE, generator=generator) if name in ODD else images(name, 3)


class CifarResNet(nn.Module):
    """A ResNet of 6 `blocks` + 2 layers as it was trained on CIFAR-10, with slices and pads for shortcuts."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.stem = parts.conv_bn(3, 16)
        widths = [(16, 16, 1)] * blocks + [(16, 32, 2)] + [(32, 32, 1)] * (blocks - 1)
        widths += [(32, 64, 2)] + [(64, 64, 1)] * (blocks - 1)
        self.blocks = nn.Sequential(*(parts.Block(*item, "pad") for item in widths))
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.blocks(torch.relu(self.stem(x)))
        output: torch.Tensor = self.head(features.mean((2, 3)))
        return output


@pytest.mark.parametrize("name", [*sorted(NETWORKS), *sorted(ODD)])
def test_surgery_leaves_what_ignoring_the_removed_channels_leaves(name: str, traced: Traces) -> None:
    network, x = traced(name), batch(name)
    for seed in range(CUTS):
        kept = network.random_kept(np.random.default_rng(seed), share=(0.6, 0.6, 0.3, 0.05)[seed])
        tensors = network.check_cut(kept, x)
        if not kept.all():
            assert sum(item.numel() for item in tensors.values()) < sum(
                item.numel() for item in network.tensors.values()
            )


@pytest.mark.parametrize("name", [*sorted(NETWORKS), *sorted(ODD)])
def test_index_maps_and_labels_change_no_bit_of_the_dense_network(name: str, traced: Traces) -> None:
    network, x = traced(name), batch(name)
    kept = np.ones(1 + max((int(units.max()) for units in network.coupling.outputs.values()), default=0), np.bool_)
    graph, tensors = network.cut(kept)
    assert graph is network.graph
    assert all(tensors[name] is tensor for name, tensor in network.tensors.items())
    model = build_odd(name) if name in ODD else build(name)
    with torch.no_grad():
        wanted = model(x)
    torch.testing.assert_close(network.run(x), wanted, rtol=1e-5, atol=1e-5)  # folding has rounded anew


@pytest.mark.parametrize("name", [*sorted(NETWORKS), *sorted(ODD)])
def test_units_of_the_output_stay_and_reasons_name_why(name: str, traced: Traces) -> None:
    network = traced(name)
    for layer in network.layers:
        units = network.coupling.outputs[layer.name]
        assert len(units) == layer.shape[0]
        assert (layer.name in network.coupling.reasons) == (not units.any())
        assert network.coupling.reasons.get(layer.name, "said")
    grouped = [set(group.units) for group in network.groups]
    assert sum(map(len, grouped)) == len(set().union(*grouped))  # no unit is decided twice
    for group in network.groups:
        assert 0 not in group.units
        made = [network.coupling.outputs[layer] for layer in group.layers]
        assert set(group.units) <= set(np.concatenate(made).tolist())


@pytest.mark.parametrize(("blocks", "groups"), [(3, 12), (9, 30)])
def test_a_cifar_resnet_has_a_group_in_each_block_and_one_for_each_stage(blocks: int, groups: int) -> None:
    network = trace_channels(CifarResNet(blocks).eval(), (3, 32, 32))
    found = network.group_layers()
    assert len(found) == groups == 3 * blocks + 3
    inner = {name: layers for name, layers in found.items() if len(layers) == 1}
    assert sorted(inner) == sorted(f"blocks.{index}.first.0" for index in range(3 * blocks))
    stages = {name: layers for name, layers in found.items() if len(layers) > 1}
    assert {name: len(layers) for name, layers in stages.items()} == {
        "stem.0": blocks + 1,
        f"blocks.{blocks}.second.0": blocks,
        f"blocks.{2 * blocks}.second.0": blocks,
    }
    assert [group.width for group in network.groups if group.name in stages] == [16, 32, 64]
    kept = network.random_kept(np.random.default_rng(0))
    network.check_cut(kept, torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))


@pytest.mark.shared
@pytest.mark.parametrize(("name", "groups"), [("resnet20", 12), ("resnet56", 30)])
def test_the_shared_resnets_have_all_their_sites(name: str, groups: int) -> None:
    model = resolve_name(f"examples.cifar10.nets:{name}")()
    model.load_state_dict(load_file(shared_file(f"models/{name}.safetensors")))
    network = trace_channels(model.eval(), (3, 32, 32))
    assert len(network.groups) == groups
    assert sorted(len(layers) for layers in network.group_layers().values())[: groups - 3] == [1] * (groups - 3)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("plain", {"stem.0": ("stem.0",), "body.0": ("body.0",)}),
        (
            "resnet-conv",
            {
                "stem.0": ("stem.0", "blocks.0.second.0"),
                "blocks.0.first.0": ("blocks.0.first.0",),
                "blocks.1.first.0": ("blocks.1.first.0",),
                "blocks.1.second.0": ("blocks.1.second.0", "blocks.1.shortcut.0", "blocks.2.second.0"),
                "blocks.2.first.0": ("blocks.2.first.0",),
            },
        ),
        (
            "mobilenet",
            {
                "features.0.0": ("features.0.0", "features.2.project.0"),
                "features.2.expand.0": ("features.2.expand.0", "features.2.depthwise.0"),
                "features.3.expand.0": ("features.3.expand.0", "features.3.depthwise.0"),
                "features.3.project.0": ("features.3.project.0", "features.4.project.0"),
                "features.4.expand.0": ("features.4.expand.0", "features.4.depthwise.0"),
            },
        ),
        (
            "squeeze-excite",
            {"stem.0": ("stem.0",), "body.0": ("body.0", "expand"), "reduce": ("reduce",)},
        ),
        (
            "densenet",
            {"stem": ("stem",), "convs.0": ("convs.0",), "convs.1": ("convs.1",), "transition": ("transition",)},
        ),
        ("vgg", {name: (name,) for name in ("features.0", "features.3", "classifier.1")}),
        ("one channel", {"a": ("a",), "c": ("c", "b")}),
        ("x + conv(x)", {"a": ("a", "b")}),
        ("shortcut first", {"stem": ("stem",), "a": ("a",), "b": ("b",)}),  # the map comes first, and names no group
        ("maxout", {"a": ("a",), "b": ("b",)}),
        ("cat([x, x])", {"a": ("a",), "b": ("b",)}),
        ("flattened gate", {"a": ("a", "up"), "down": ("down",), "b": ("b",)}),
        ("depthwise on the input", {"b": ("b",)}),
        ("split by sizes", {"a": ("a",), "c": ("b", "c")}),
        ("two heads", {"a": ("a",), "b": ("b",)}),
    ],
)
def test_groups_are_the_layers_that_go_together(name: str, wanted: dict[str, tuple[str, ...]], traced: Traces) -> None:
    assert traced(name).group_layers() == wanted


def test_a_shufflenets_groups_shuffle_with_their_channels(traced: Traces) -> None:
    network = traced("shufflenet")
    found = network.group_layers()
    assert found["stem.0"] == ("stem.0",)
    assert found["last.0"] == ("last.0",)
    assert found["branch.0.0"] == ("branch.0.0", "branch.2.0")
    grouped = {group.name: group for group in network.groups}["grouped.0"]
    # Four groups of four channels, of which the same place goes in all groups.
    assert all(grouped.made.count(unit) % 4 == 0 for unit in grouped.units)
    assert grouped.width == 16
    for layer in network.layers:
        if layer.name in ("grouped.0", "last.0"):
            made = network.coupling.outputs[layer.name].reshape(layer.groups, -1)
            assert (made == made[0]).all()


@pytest.mark.parametrize(
    ("name", "layer", "reason"),
    [
        ("attention", "patches", "layer_norm"),
        ("attention", "qkv", "unbind"),
        ("recurrent", "stem.0", "lstm"),
        ("group-norm", "stem", "group_norm"),
        ("other-kinds", "stem.0", "conv_transpose2d"),
        ("tied", "stem.0", "read by `shared`, which is left alone: its weight is used 2 times"),
        ("pixel shuffle", "a", "pixel_shuffle"),
        ("softmax over channels", "a", "softmax"),
        ("mean over channels", "a", "mean over its channels"),
        ("every second channel", "a", "slice"),
        ("gated by the input", "b", "they are combined with the model's input, whose channels stay"),
        ("attention", "patches", "read by `norm` (layer_norm), through which channels cannot be followed"),
        ("attention", "qkv", "read by unbind between `qkv` and `out`"),
        ("attention", "out", "they go together with those of `patches`: read by `norm` (layer_norm)"),
        ("recurrent", "stem.0", "read by `cell`, which is left alone: read by lstm"),
        ("other-kinds", "stem.0", "read by `up`, which is left alone: read by conv_transpose2d"),
        ("encoder-layer", "patches", "they are combined with the channels of `token`, which stay"),
        ("encoder-layer", "layer.linear2", "they are combined with the channels of"),
        ("mixer", "blocks.1.channels.2", "the channels of `blocks.0.tokens.2`, which stay: read by `blocks.0` (add)"),
        ("padded with ones", "b", "the channels of `a`, which stay: read by pad between `a` and `head`"),
        ("depthwise on the input", "deep", "a depthwise convolution passes on the model's input"),
        ("padded with ones", "a", "pad"),
        ("one channel", "gate", "the only channel"),
        ("plain", "head", "the model's output"),
        ("two heads", "other", "the model's output"),
        ("two heads", "head", "the model's output"),
    ],
)
def test_what_cannot_be_followed_stays_and_is_named(name: str, layer: str, reason: str, traced: Traces) -> None:
    network = traced(name)
    assert reason in network.coupling.reasons[layer]
    assert not network.coupling.outputs[layer].any()


def test_a_kept_layer_in_a_residual_stage_keeps_the_stage_and_no_other() -> None:
    model = build("resnet-conv")
    network = trace_channels(model, NETWORKS["resnet-conv"].input, ("blocks.2.second.0",))
    groups = network.group_layers()
    assert "blocks.1.second.0" not in groups
    assert set(groups) == {"stem.0", "blocks.0.first.0", "blocks.1.first.0"}  # its reader's input stays, too
    reasons = network.coupling.reasons
    assert reasons["blocks.2.first.0"] == "read by `blocks.2.second.0`, which is left alone: named in [search] keep"
    for name in ("blocks.1.second.0", "blocks.1.shortcut.0"):
        assert "the channels of `blocks.2.second.0`, which stay: named in [search] keep" in reasons[name]
    for seed in range(CUTS):
        network.check_cut(network.random_kept(np.random.default_rng(seed)), images("resnet-conv", 3))


def test_keeping_an_unknown_layer_is_refused_by_name() -> None:
    with pytest.raises(FixInputError, match=r"blocks\.9"):
        trace_channels(build("resnet-conv"), NETWORKS["resnet-conv"].input, ("blocks.9",))


def test_one_of_every_tensors_channels_stays_however_hard_it_is_cut(traced: Traces) -> None:
    for name in ("shufflenet", "split by sizes", "uneven chunks", "overlapping slices", "mobilenet"):
        network = traced(name)
        for together in network.coupling.together:
            assert together
            assert 0 not in together
        kept = network.random_kept(np.random.default_rng(0), share=0.0)
        tensors = network.check_cut(kept, batch(name))
        assert all(0 not in tensor.shape for tensor in tensors.values())

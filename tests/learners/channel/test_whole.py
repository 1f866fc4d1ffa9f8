"""Networks made to break the channel learner, through the whole engine, and the learner's options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import learners.gram
from learners.base import LearnerOptions
from learners.channel.learner import ChannelLearner
from learners.gram import DiagonalGram
from learners.library.space import ALL_AT_ONCE
from learners.quant.learner import QuantLearner
from storage.records.space import CHANNEL, FLOAT_BITS
from tests.built import Built
from tests.learners.agreement import check_files, difference, random_levels, with_bits
from tests.learners.channel.odd import ODD, SHAPE, build_odd
from tests.learners.channel.whole import build_whole
from tests.networks import NETWORKS, build

UNCUT = ("padded with ones",)  # in which no channels can go


def check(network: Built) -> None:
    """Some candidates, the smallest among them."""
    space, generator = network.library.space, np.random.default_rng(0)
    smallest = tuple(len(site.levels) - 1 for site in space.sites)
    for levels in (
        with_bits(space, random_levels(space, generator), FLOAT_BITS),
        with_bits(space, random_levels(space, generator), 8),
        random_levels(space, generator),
        smallest,
    ):
        check_files(network, levels)
    exact = network.stitched(space.uniform_bits(FLOAT_BITS))
    assert difference(exact, network.dense()) < 1e-5  # batch norms are folded


@pytest.mark.parametrize("name", ODD)
def test_odd_networks_are_cut_and_their_files_agree(name: str, tmp_path: Path) -> None:
    network = build_whole(tmp_path, build_odd(name), SHAPE)
    groups = [site for site in network.library.space.sites if site.learner == CHANNEL]
    assert bool(groups) == (name not in UNCUT), groups
    check(network)


def test_channels_that_can_only_go_all_at_once_are_named_so(tmp_path: Path) -> None:
    kept = build_whole(tmp_path, build_odd("rolled"), SHAPE).library.space.kept_channels
    assert {item.name: item.reason for item in kept}["a"] == ALL_AT_ONCE


@pytest.mark.parametrize(
    ("name", "layer", "operation"),
    [
        ("attention", "patches", "layer_norm"),
        ("attention", "qkv", "unbind"),
        ("recurrent", "stem.0", "lstm"),
        ("group-norm", "stem", "group_norm"),
        ("group-norm", "body", "in ONNX read by InstanceNormalization between `body` and `head`"),
        ("upsample", "middle.0", "Shape"),
        ("plain", "head", "the model's output"),
    ],
)
def test_what_keeps_its_channels_is_named_with_the_operation(
    name: str, layer: str, operation: str, built: Callable[[str], Built]
) -> None:
    kept = {item.name: item.reason for item in built(name).library.space.kept_channels}
    assert operation in kept[layer]


def test_a_kept_layer_in_the_middle_of_a_stage(tmp_path: Path) -> None:
    name = "resnet-pad"
    network = build_whole(tmp_path, build(name), NETWORKS[name].input, keep=("blocks.1.second.0",))
    space = network.library.space
    assert {item.name: item.reason for item in space.protected}["blocks.1.second.0"] == "named in [search] keep"
    decided = {layer for site in space.sites for layer in site.layers}
    assert "blocks.1.second.0" not in decided
    assert {item.name for item in space.kept_channels} >= {"blocks.1.first.0", "blocks.2.second.0", "head"}
    assert {site.name for site in space.sites if site.learner == CHANNEL} == {
        "stem.0", "blocks.0.first.0", "blocks.2.first.0",
    }  # fmt: skip
    check(network)


def test_wide_layers_have_no_covariance_and_are_cut_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learners.gram, "WIDEST", 40)
    network = build_whole(tmp_path, build("densenet"), NETWORKS["densenet"].input)
    joint = [wiring for wiring in network.library.wirings if len(wiring.sources) > 1]
    assert any(isinstance(network.library._gram(wiring.layer.name), DiagonalGram) for wiring in joint)
    check(network)


@pytest.mark.parametrize("criterion", ["obs", "l1"])
def test_reconstruction_lowers_the_error_of_every_layer(criterion: str, tmp_path: Path) -> None:
    name = "squeeze-excite"
    spaces = []
    for fit in (True, False):
        options = LearnerOptions(criterion=criterion, reconstruct=fit)
        chosen = (ChannelLearner(options), QuantLearner(options, widths=(8,)))
        spaces.append(build_whole(tmp_path, build(name), NETWORKS[name].input, chosen).library.space)
    fitted, left = spaces
    halves = tuple(3 if site.learner == CHANNEL else 0 for site in fitted.sites)
    for layer, figures in fitted.layer_figures(halves).items():
        # The fit is damped: where an input that nothing varies goes, the others would do better as they are.
        assert figures.error <= left.layer_figures(halves)[layer].error * (1 + 1e-9) + 1e-7
    assert fitted.error(halves) < 0.9 * left.error(halves)


class DenseBlock(nn.Module):
    """Norms before convolutions, as they are made: all their parameters are equal."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 24, 32)
        self.stem = nn.Conv2d(4, 16, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)
        self.convs = nn.ModuleList(nn.Conv2d(width, 8, 3, padding=1) for width in widths)
        self.last = nn.BatchNorm2d(40)
        self.squeezed = nn.Conv2d(40, 16, 1)
        self.scale = nn.Parameter(torch.full((16, 1, 1), 0.5))
        self.again = nn.Parameter(torch.full((16, 1, 1), 0.5))
        self.other = nn.Conv2d(16, 16, 3, padding=1)
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for norm, layer in zip(self.norms, self.convs, strict=True):
            x = torch.cat([x, layer(F.relu(norm(x)))], 1)
        x = self.squeezed(F.relu(self.last(x))) * self.scale
        output: torch.Tensor = self.head((F.relu(self.other(F.relu(x))) * self.again).mean((2, 3)))
        return output


def test_equal_parameters_do_not_join_what_they_scale(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_whole(tmp_path, DenseBlock().eval(), SHAPE)
    sites = {site.name for site in network.library.space.sites if site.learner == CHANNEL}
    assert len(sites) == 6, sites
    check(network)


class Leaky(nn.Module):
    """One of two equal scales is also computed with: the exporter needs its values."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.scale = nn.Parameter(torch.full((16, 1, 1), 0.1))
        self.again = nn.Parameter(torch.full((16, 1, 1), 0.1))
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.first(x)) * self.scale
        x = F.relu(self.second(x)) * self.again + torch.exp(self.scale)
        output: torch.Tensor = self.head(x.mean((2, 3)))
        return output


def test_values_that_the_exporter_computes_with_are_the_models(tmp_path: Path) -> None:
    torch.manual_seed(0)
    check(build_whole(tmp_path, Leaky().eval(), SHAPE))


def test_the_study_file_sets_the_counts(tmp_path: Path) -> None:
    options = LearnerOptions(round_to=4, min_channels=8, criterion="random", reconstruct=False)
    learners_ = (ChannelLearner(options), QuantLearner(options, widths=(8,)))
    network = build_whole(tmp_path, build("mobilenet"), NETWORKS["mobilenet"].input, learners_)
    for site in network.library.space.sites:
        if site.learner == CHANNEL:
            channels = [level.channels for level in site.levels]
            assert all(count is not None and count % 4 == 0 and count >= 8 for count in channels)
            assert len(channels) >= 3
    check(network)


def test_channels_alone_are_stored_in_float32(tmp_path: Path) -> None:
    name = "resnet-pad"
    network = build_whole(tmp_path, build(name), NETWORKS[name].input, (ChannelLearner(LearnerOptions()),))
    space, generator = network.library.space, np.random.default_rng(0)
    assert {site.learner for site in space.sites} == {CHANNEL}
    for levels in ((0,) * len(space.sites), random_levels(space, generator), random_levels(space, generator)):
        model = check_files(network, levels)
        assert not model.layers


def test_bits_alone_leave_the_channels(tmp_path: Path) -> None:
    chosen = (QuantLearner(LearnerOptions(), widths=(8, 3)),)
    network = build_whole(tmp_path, build("mobilenet"), NETWORKS["mobilenet"].input, chosen)
    space = network.library.space
    assert all(site.learner != CHANNEL for site in space.sites)
    check_files(network, random_levels(space, np.random.default_rng(0)))
    assert torch.equal(
        torch.from_numpy(network.stitched(space.uniform_bits(FLOAT_BITS))),
        torch.from_numpy(network.stitched((0,) * len(space.sites))),
    )

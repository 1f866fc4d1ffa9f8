"""What is timed of real networks: layers, what stands between them, and where precisions meet."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import prod

import numpy as np
import pytest

from learners.latency.blocks import TimedGlue, extent, glue_difference, layer_difference
from learners.latency.from_graph import timed_model
from learners.latency.models import BOUNDARY, Probe, build_model, input_shape
from objectives.runtimes.onnxruntime import OnnxRuntime
from storage.records.space import CHANNEL, FLOAT_BITS, QUANT
from tests.built import Built
from tests.networks import NETWORKS


def boundaries(network: Built) -> list[TimedGlue]:
    return [item for item in timed_model(network.library).glue if item.op == BOUNDARY]


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_cells_fit_their_sites(name: str, built: Callable[[str], Built]) -> None:
    library = built(name).library
    timed = timed_model(library)
    items = [(item.sites, len(item.cells)) for item in timed.layers]
    items += [(item.sites, len(item.cells)) for item in timed.glue]
    for sites, cells in items:
        assert cells == prod(len(library.space.sites[site].levels) for site in sites)
    assert {item.name for item in timed.layers} == {
        layer.name for layer in (*library.analysis.layers, *library.analysis.maps)
    }


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_all_that_is_timed_runs(name: str, built: Callable[[str], Built]) -> None:
    """The first and the last cell of everything: the dense model's and the smallest."""
    timed = timed_model(built(name).library)
    pairs = [layer_difference(item, item.cells[place]) for item in timed.layers for place in (0, -1)]
    pairs += [glue_difference(item, item.cells[place]) for item in timed.glue for place in (0, -1)]
    probes: dict[Probe, None] = dict.fromkeys(probe for pair in pairs for probe in (pair.whole, pair.without))
    for probe in probes:
        images = np.zeros((probe.opening.repeats, *input_shape(probe)), np.float32)
        assert len(OnnxRuntime().session(build_model(probe), 1)(images)) >= probe.opening.repeats


def test_linear_layers_that_read_maps_are_timed_at_every_place(built: Callable[[str], Built]) -> None:
    timed = timed_model(built("channels-last").library)
    sizes = {item.name: item.size for item in timed.layers}
    assert sizes["stem"] == (16, 16)
    assert sizes["depthwise"] == sizes["narrow"] == (8, 8)
    assert sizes["expand"] == sizes["project"] == sizes["wide"] == sizes["again"] == (64,)
    assert sizes["head"] == ()
    counts = {(item.cells[0].in_channels, item.cells[0].out_channels) for item in timed.layers if item.name == "wide"}
    assert counts == {(24, 32)}


@pytest.mark.parametrize("name", ["folded", "attention", "channels-last", "mixer", "vgg", "shufflenet"])
def test_layers_are_timed_in_all_their_rows(name: str, built: Callable[[str], Built]) -> None:
    """As many multiply-accumulates as the layer has, whatever axis its places are on."""
    library = built(name).library
    macs = {layer.name: layer.macs for layer in library.analysis.layers}
    for item in timed_model(library).layers:
        if item.extra or item.stride != (1, 1) or item.name not in macs:
            continue
        cell = item.cells[0]
        groups = cell.out_channels if item.kind == "depthwise convolution" else item.groups
        weights = prod(item.kernel) * cell.in_channels * cell.out_channels // groups
        assert item.repeats * prod(item.size) * weights == macs[item.name]


def test_what_is_folded_into_the_batch_is_timed_as_often(built: Callable[[str], Built]) -> None:
    timed = timed_model(built("folded").library)
    found = {item.name: (item.repeats, item.size) for item in timed.layers}
    assert found == {"windows": (4, (8, 8)), "second": (4, (8, 8)), "places": (64, ()), "head": (1, ())}
    inside = {item.name: (item.repeats, item.size) for item in timed_model(built("attention").library).layers}
    assert inside["mix.out_proj"][0] * prod(inside["mix.out_proj"][1]) == 16
    assert {item.repeats for item in boundaries(built("folded"))} == {1, 4, 64}


def test_what_stands_between_layers_has_its_channels_where_they_are(built: Callable[[str], Built]) -> None:
    timed = timed_model(built("channels-last").library)
    gelu = next(item for item in timed.glue if item.op == "Gelu")
    assert (gelu.size, gelu.cells[0].channels) == ((64,), 48)
    total = next(item for item in timed.glue if item.op == "Add")
    assert (total.size, total.cells[0].channels) == ((8, 8), 16)
    mean = next(item for item in timed.glue if item.op == "ReduceMean")
    assert (mean.size, mean.cells[0].channels) == ((64,), 16)
    elements = {item.name: prod(item.size) * item.cells[0].channels for item in boundaries(built("channels-last"))}
    assert set(elements.values()) <= {64 * 16, 64 * 24, 64 * 32, 64 * 48, 16}


@pytest.mark.parametrize(
    ("shape", "axis", "size"),
    [
        ((1, 8), 1, ()),
        ((1, 5, 8), 2, (5,)),
        ((1, 8, 5), 1, (1, 5)),
        ((1, 8, 4, 6), 1, (4, 6)),
        ((1, 4, 6, 8), 3, (24,)),
        ((1, 2, 3, 4, 8), 4, (24,)),
        ((1, 8, 2, 3, 4), 1, (6, 4)),
        ((1, 2, 8, 3), 2, (2, 3)),
    ],
)
def test_extents(shape: tuple[int, ...], axis: int, size: tuple[int, ...]) -> None:
    assert extent(shape, axis) == size


def test_a_chain_has_a_boundary_between_every_two_layers(built: Callable[[str], Built]) -> None:
    network = built("vgg")
    space = network.library.space
    bits = [index for index, site in enumerate(space.sites) if site.learner == QUANT]
    found = boundaries(network)
    pairs = [tuple(site for site in item.sites if site in bits) for item in found if not item.extra]
    assert pairs == list(pairwise(bits))
    for item in found:
        for cell in item.cells:
            assert cell.reader_bits is not None
            assert {cell.bits, cell.reader_bits} <= {FLOAT_BITS, 8, 6, 4, 3, 2}
    first = found[0]
    group = next(site for site in first.sites if space.sites[site].learner == CHANNEL)
    counts = {cell.channels for cell in first.cells}
    assert counts == {level.channels for level in space.sites[group].levels}


def test_a_residual_sum_is_bounded_from_its_other_input_too(built: Callable[[str], Built]) -> None:
    network = built("resnet-conv")
    space = network.library.space
    pairs = {
        tuple(space.sites[site].name for site in item.sites if space.sites[site].learner == QUANT)
        for item in boundaries(network)
    }
    readers: dict[str, set[str]] = {pair[0]: set() for pair in pairs if pair}
    for pair in pairs:
        if len(pair) == 2:
            readers[pair[0]].add(pair[1])
    assert max(len(found) for found in readers.values()) >= 2


def test_no_tensor_is_bounded_twice_for_one_reader(built: Callable[[str], Built]) -> None:
    for name in ("mobilenet", "densenet", "squeeze-excite"):
        names = [item.name for item in boundaries(built(name)) if not item.extra]
        assert len(names) == len(set(names))


def test_what_runs_in_float_for_good_is_bounded_by_one_site(built: Callable[[str], Built]) -> None:
    """A Sigmoid between int8 layers: what it reads is converted, and what it makes."""
    network = built("squeeze-excite")
    space = network.library.space
    widths = [[site for site in item.sites if space.sites[site].learner == QUANT] for item in boundaries(network)]
    assert any(len(sites) == 1 for sites in widths)
    names = [item.name for item in boundaries(network)]
    assert any(" from float to " in name for name in names)
    assert any(name.endswith(" to float") for name in names)

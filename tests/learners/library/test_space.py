"""The tables of the search space against what the candidates really cost, and joint weights."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch

from learners.analysis import analyse
from learners.base import LevelWeights
from learners.channel.consumers import row_powers
from learners.device import single_thread
from learners.gram import Gram, collect_grams
from learners.graph.layers import DEPTHWISE, INDEX_MAP
from learners.library import joint
from learners.library.library import Library
from learners.library.space import planned_space
from learners.library.wiring import Wiring, kept_columns
from storage.records.space import CHANNEL, FLOAT_BITS, SearchSpace
from tests.built import LEARNERS, Built
from tests.learners.agreement import random_levels, with_bits
from tests.learners.channel.odd import SHAPE, build_odd

NAMES = ("resnet-pad", "mobilenet", "shufflenet", "densenet", "squeeze-excite", "vgg", "pools", "mixer")
CANDIDATES = 6


def drawn(space: SearchSpace, count: int = CANDIDATES) -> list[tuple[int, ...]]:
    generator = np.random.default_rng(4)
    return [random_levels(space, generator) for _ in range(count)]


def levels_of(network: Built, wiring: Wiring, levels: tuple[int, ...]) -> LevelWeights:
    return network.library.choose(levels, network.library.id).weights[wiring.layer.name]


def test_people_see_no_index_map_beside_a_layer() -> None:
    with single_thread():
        analysis = analyse(build_odd("shortcut first"), SHAPE, (), 0)
    (index_map,) = analysis.maps
    assert {group.name: group.layers for group in analysis.groups}["b"] == (index_map.name, "b")
    sites = [site for site in planned_space(analysis, LEARNERS).sites if site.learner == CHANNEL]
    assert {site.name: (site.layers, site.weights) for site in sites} == {
        "stem": (("stem",), 8 * 4 * 9),
        "a": (("a",), 16 * 8 * 9),
        "b": (("b",), 16 * 16 * 9),
    }


@pytest.mark.parametrize("name", NAMES)
def test_macs_are_the_weights_times_the_places_where_they_are_used(name: str, built: Callable[[str], Built]) -> None:
    network = built(name)
    library = network.library
    fixed = library.analysis.macs - sum(layer.macs for layer in library.analysis.layers)
    for levels in drawn(library.space):
        chosen = library.choose(levels, library.id)
        total = fixed
        for layer in library.analysis.layers:
            places = layer.macs // prod(layer.shape)
            total += chosen.weights[layer.name].weight().numel() * places
        assert library.space.macs(levels) == total
        figures = library.space.layer_figures(levels)
        assert sum(item.macs for item in figures.values()) + fixed == total


@pytest.mark.parametrize("name", NAMES)
def test_the_error_is_the_sum_of_the_layers_own(name: str, built: Callable[[str], Built]) -> None:
    """Of a layer that reads one group: the weights' distance from the dense ones, weighed by the inputs' covariance.

    Index maps and layers that read several groups have tests of their own.
    """
    network = built(name)
    library, analysis = network.library, network.library.analysis
    with single_thread():
        grams = collect_grams(analysis.graph, analysis.tensors, analysis.producers, torch.from_numpy(network.images), 0)
    for levels in drawn(library.space, 3):
        chosen = library.choose(levels, library.id)
        figures = library.space.layer_figures(levels)
        assert library.space.error(levels) == pytest.approx(sum(item.error for item in figures.values()), rel=1e-9)
        for wiring in library.wirings:
            layer, gram = wiring.layer, grams[wiring.layer.name]
            if len(wiring.sources) > 1 or layer.kind == INDEX_MAP:
                continue
            assert isinstance(gram, Gram)
            places = wiring.rows[levels[wiring.output] if wiring.output is not None else 0]
            removed = [unit for source in wiring.sources for unit in library.groups[source].removed(levels[source])]
            dense = analysis.tensors[layer.weight].reshape(layer.matrix_shape).double()
            rows = torch.from_numpy(places).reshape(layer.groups, layer.rows)
            full = torch.zeros_like(dense)
            columns = (
                torch.arange(layer.columns)
                if layer.kind == DEPTHWISE
                else kept_columns(wiring, analysis.coupling, removed)
            )
            flat = chosen.weights[layer.name].weight().flatten(1).double()
            full.view(-1, layer.columns)[rows.reshape(-1).nonzero(), columns] = flat
            lost = row_powers(full - dense, gram)[rows].sum()
            power = row_powers(dense, gram)[rows].sum()
            stated = figures[layer.name].error
            measured = float(lost / power)
            if removed and levels[wiring.precision or 0]:
                # Errors of channels and of bits are added up; those of the fitted weights are nearly uncorrelated.
                assert stated == pytest.approx(measured, rel=0.1, abs=1e-4), layer.name
            else:
                assert stated == pytest.approx(measured, rel=0.01, abs=1e-5), layer.name


@pytest.mark.parametrize("name", ["densenet", "pools"])
def test_joint_weights_are_made_once_kept_on_disk_and_the_same_after_reopening(
    name: str, built: Callable[[str], Built], tmp_path: Path
) -> None:
    original = built(name).library
    path = tmp_path / original.path.name
    path.write_bytes(original.path.read_bytes())
    library = Library(path, original.id, original._learners)
    levels = tuple(min(2, len(site.levels) - 1) for site in library.space.sites)
    folder = path.with_suffix(".joint")
    assert not folder.exists()
    first = library.choose(levels, library.id)
    files = {item: item.stat().st_mtime_ns for item in folder.rglob("*") if item.is_file()}
    several = [wiring for wiring in library.wirings if len(wiring.sources) > 1]
    assert len(files) >= len(several) > 0
    again, reopened = library.choose(levels, library.id), Library(path, original.id, original._learners)
    assert {item: item.stat().st_mtime_ns for item in folder.rglob("*") if item.is_file()} == files
    other = reopened.choose(levels, library.id)
    elsewhere = original.choose(levels, library.id)  # made by itself, not read
    for wiring in several:
        weights = [found.weights[wiring.layer.name] for found in (first, again, other, elsewhere)]
        assert all(torch.equal(item.weight(), weights[0].weight()) for item in weights)
        biases = [item.bias for item in weights if item.bias is not None]
        assert len(biases) == len(weights)
        assert all(torch.equal(item, biases[0]) for item in biases)
    assert {item: item.stat().st_mtime_ns for item in folder.rglob("*") if item.is_file()} == files
    dense = library.space.uniform_bits(4)
    library.choose(dense, library.id)  # with all inputs, nothing is joint
    assert {item for item in folder.rglob("*") if item.is_file()} == set(files)


def test_joint_weights_that_another_thread_pushes_out_at_once_are_returned(
    built: Callable[[str], Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = built("pools").library
    path = tmp_path / original.path.name
    path.write_bytes(original.path.read_bytes())
    levels = tuple(min(2, len(site.levels) - 1) for site in original.space.sites)
    expected = original.choose(levels, original.id).weights
    monkeypatch.setattr(joint, "MOST_KNOWN", 0)
    found = Library(path, original.id, original._learners).choose(levels, original.id).weights
    assert all(torch.equal(found[name].weight(), item.weight()) for name, item in expected.items())


@pytest.mark.parametrize("name", ["densenet", "pools"])
def test_the_stated_error_of_joint_weights_is_near_their_own(name: str, built: Callable[[str], Built]) -> None:
    """Errors of several sources are added up: what correlates between them is left out."""
    network = built(name)
    library, analysis = network.library, network.library.analysis
    with single_thread():
        grams = collect_grams(analysis.graph, analysis.tensors, analysis.layers, torch.from_numpy(network.images), 0)
    several = [wiring for wiring in library.wirings if len(wiring.sources) > 1]
    ratios = []
    for drawn_levels in drawn(library.space, 8):
        levels = with_bits(library.space, drawn_levels, FLOAT_BITS)
        figures = library.space.layer_figures(levels)
        for wiring in several:
            layer, gram = wiring.layer, grams[wiring.layer.name]
            removed = [unit for source in wiring.sources for unit in library.groups[source].removed(levels[source])]
            places = wiring.rows[levels[wiring.output] if wiring.output is not None else 0]
            full = torch.zeros(layer.shape[0], layer.columns, dtype=torch.float64)
            columns = kept_columns(wiring, analysis.coupling, removed)
            flat = levels_of(network, wiring, levels).weight().flatten(1).double()
            full[torch.from_numpy(np.flatnonzero(places))[:, None], columns] = flat
            dense = analysis.tensors[layer.weight].flatten(1).double()
            rows = torch.from_numpy(places)
            lost = row_powers((full - dense)[None], gram)[0][rows].sum()
            measured = float(lost / row_powers(dense[None], gram)[0][rows].sum())
            if len(removed) > 0:
                ratios.append(figures[layer.name].error / max(measured, 1e-9))
    assert len(ratios) >= 8
    assert 0.5 < float(np.median(ratios)) < 2.0
    assert min(ratios) > 0.2
    assert max(ratios) < 5.0


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_loses_exactly_the_channels_of_its_groups(name: str, built: Callable[[str], Built]) -> None:
    library = built(name).library
    coupling = library.analysis.coupling
    for levels in drawn(library.space):
        kept = library.kept(levels)
        chosen = library.choose(levels, library.id)
        for layer in library.analysis.layers:
            shape = chosen.weights[layer.name].weight().shape
            assert shape[0] == int(kept[coupling.outputs[layer.name]].sum())
            inputs = int(kept[coupling.inputs[layer.name]].sum())
            wanted = 1 if layer.kind == DEPTHWISE else inputs // layer.groups
            assert shape[1] == wanted


def test_a_rounded_candidate_has_the_channels_of_its_levels_and_is_not_fitted(built: Callable[[str], Built]) -> None:
    library = built("densenet").library
    levels = with_bits(library.space, tuple(min(3, len(site.levels) - 1) for site in library.space.sites), FLOAT_BITS)
    found, fitted = library.choose(levels, library.rounded_id), library.choose(levels, library.id)
    for layer in library.analysis.layers:
        rounded = found.weights[layer.name].weight()
        assert rounded.shape == fitted.weights[layer.name].weight().shape
        assert np.isin(rounded.numpy(), library.analysis.tensors[layer.weight].numpy()).all()

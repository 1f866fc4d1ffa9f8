"""Ranges of activations and their grids."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learners.export.activations import LEVELS, Range, activation_ranges, probe
from learners.export.qdq import float_tensors, quantise
from tests.built import Built


@given(low=st.floats(-1e6, 0, width=32), high=st.floats(0, 1e6, width=32))
def test_a_grid_holds_zero_and_the_whole_range(low: float, high: float) -> None:
    grid = Range(low, high).grid()
    assert 0 <= grid.zero <= LEVELS
    assert grid.scale > 0
    step = grid.scale
    assert (0 - grid.zero) * step <= low + 0.51 * step
    assert (LEVELS - grid.zero) * step >= high - 0.51 * step


def test_the_union_holds_both() -> None:
    assert Range(-1, 2).union(Range(-3, 1)) == Range(-3, 2)


@pytest.mark.parametrize("name", ["resnet-pad", "mobilenet", "attention", "dead"])
def test_ranges_lie_within_what_was_observed_and_reach_most_of_it(name: str, built: Callable[[str], Built]) -> None:
    network = built(name)
    analysis = network.library.analysis
    names = float_tensors(analysis.template, analysis.nodes)
    ranges = activation_ranges(analysis.template, names, network.images)
    assert list(ranges) == names
    assert ranges == {key: network.library.ranges[key] for key in names}
    source = analysis.template.graph.input[0].name
    low, high = float(network.images.min()), float(network.images.max())
    assert low <= ranges[source].low <= 0.9 * low
    assert 0.9 * high <= ranges[source].high <= high
    assert all(item.low <= 0 <= item.high for item in ranges.values())
    assert all(np.isfinite([item.low, item.high]).all() for item in ranges.values())


def test_every_tensor_with_a_grid_has_a_range_whatever_runs_in_int8(built: Callable[[str], Built]) -> None:
    for name in ("densenet", "squeeze-excite", "pools", "mixer"):
        analysis, ranges = built(name).library.analysis, built(name).library.ranges
        layers = [layer.name for layer in analysis.layers]
        generator = np.random.default_rng(0)
        for _ in range(10):
            chosen = [layer for layer in layers if generator.random() < 0.5]
            found = quantise(analysis.template, analysis.nodes, chosen, ranges)
            assert {item.node.name for item in found.layers} == set(chosen)
            assert len(found.activations) <= len(ranges)


def test_the_model_is_left_as_it_was(built: Callable[[str], Built]) -> None:
    analysis = built("mobilenet").library.analysis
    before = analysis.template.SerializeToString(deterministic=True)
    quantise(
        analysis.template, analysis.nodes, [layer.name for layer in analysis.layers], built("mobilenet").library.ranges
    )
    assert analysis.template.SerializeToString(deterministic=True) == before


def test_a_probe_gives_any_tensors_of_a_model(built: Callable[[str], Built]) -> None:
    network = built("mobilenet")
    model, source = network.library.analysis.template, network.library.analysis.template.graph.input[0].name
    before = model.SerializeToString(deterministic=True)
    names = [node.output[0] for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    values = probe(model, names).run(names, {source: network.images})
    assert model.SerializeToString(deterministic=True) == before
    assert len(values) == len(network.library.analysis.layers)
    assert all(len(value) == len(network.images) for value in values)
    np.testing.assert_allclose(values[-1], network.dense(), atol=1e-4)

"""Gram matrices against a computation that shares nothing with them: torch's own unfold, and the layers' outputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import learners.gram
from learners.gram import POSITIONS, DiagonalGram, Gram, collect_grams, unfold
from learners.graph.graph import Graph, Node, Ref
from learners.graph.layers import Layer, find_layers
from learners.graph.run import Program
from tests.built import Built

CASES = {
    "plain": ((6, 4, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "pointwise": ((6, 4, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    "strided": ((6, 4, 3, 3), (2, 2), (1, 1), (1, 1), 1),
    "dilated": ((6, 4, 3, 3), (1, 1), (2, 2), (2, 2), 1),
    "uneven": ((6, 4, 5, 2), (2, 1), (0, 3), (1, 2), 1),
    "grouped": ((6, 2, 3, 3), (1, 1), (1, 1), (1, 1), 2),
    "depthwise": ((4, 1, 3, 3), (1, 1), (1, 1), (1, 1), 4),
    "multiplied": ((8, 1, 3, 3), (2, 2), (0, 0), (1, 1), 4),
}


def one_layer(case: str) -> tuple[Graph, dict[str, torch.Tensor], Layer]:
    """A graph of one convolution on 4 channels."""
    shape, stride, padding, dilation, groups = CASES[case]
    generator = torch.Generator().manual_seed(0)
    node = Node(
        "y", "aten.conv2d.default", (Ref("x"), Ref("c.weight"), Ref("c.bias"), stride, padding, dilation, groups)
    )
    tensors = {"c.weight": torch.randn(shape, generator=generator), "c.bias": torch.zeros(shape[0])}
    graph = Graph("x", (node,), "y")
    (layer,), _ = find_layers(graph, tensors, {"x": (1, 4, 9, 9), "y": (1, shape[0], 9, 9)})
    return graph, tensors, layer


def full_gram(graph: Graph, tensors: dict[str, torch.Tensor], layer: Layer, images: torch.Tensor, seed: int) -> Gram:
    """The Gram matrix of a layer that is not too wide for one."""
    found = collect_grams(graph, tensors, [layer], images, seed)[layer.name]
    assert isinstance(found, Gram)
    return found


@pytest.mark.parametrize("case", ["plain", "grouped", "depthwise"])
def test_a_layer_that_is_too_wide_keeps_mean_and_variance(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, tensors, layer = one_layer(case)
    images = torch.randn(40, 4, 9, 9, generator=torch.Generator().manual_seed(1)) + 0.5
    full = full_gram(graph, tensors, layer, images, 0)
    monkeypatch.setattr(learners.gram, "WIDEST", layer.columns - 1)
    narrow = collect_grams(graph, tensors, [layer], images, 0)[layer.name]
    assert isinstance(narrow, DiagonalGram)
    assert narrow.samples == full.samples
    torch.testing.assert_close(narrow.mean, full.mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(narrow.variance, full.variance, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", sorted(CASES))
def test_a_convolutions_gram_is_that_of_torchs_unfold(case: str) -> None:
    shape, stride, padding, dilation, groups = CASES[case]
    graph, tensors, layer = one_layer(case)
    images = torch.randn(40, 4, 9, 9, generator=torch.Generator().manual_seed(1)) + 0.5
    gram = full_gram(graph, tensors, layer, images, 0)
    rows = F.unfold(images.double(), shape[2:], dilation, padding, stride)  # [n, channels x kernel, positions]
    rows = rows.permute(0, 2, 1).reshape(-1, groups, layer.columns)
    rows = torch.cat([rows, rows.new_ones(len(rows), groups, 1)], 2).transpose(0, 1)
    wanted = rows.transpose(1, 2) @ rows / rows.shape[1]
    torch.testing.assert_close(gram.matrix, wanted, rtol=1e-4, atol=1e-5)
    assert gram.samples == rows.shape[1]  # 9 x 9 positions and fewer: none is left out
    torch.testing.assert_close(gram.matrix[:, -1, -1], torch.ones(groups, dtype=torch.float64))
    spread = torch.stack([group[:, :-1].T.cov(correction=0) for group in rows])
    torch.testing.assert_close(gram.covariance, spread, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["shufflenet", "strided", "padding-same", "mixer", "mlp", "densenet"])
def test_unfolded_rows_times_the_matrix_are_the_layers_outputs(name: str, built: Callable[[str], Built]) -> None:
    analysis = built(name).library.analysis
    values = {analysis.graph.input: torch.from_numpy(built(name).images[:2])}
    with torch.no_grad():
        Program(analysis.graph)(
            analysis.tensors, values[analysis.graph.input], lambda node, value: values.__setitem__(node.name, value)
        )
    for layer in analysis.layers:
        output = values[layer.node]
        if output[0].numel() // layer.shape[0] > POSITIONS:
            continue  # positions are sampled: see below
        rows = unfold(layer, values[layer.source], np.random.Generator(np.random.PCG64(0)))
        matrix = analysis.tensors[layer.weight].reshape(layer.matrix_shape)
        bias = analysis.tensors[layer.bias or ""].reshape(layer.groups, layer.rows, 1)
        found = rows @ torch.cat([matrix, bias], 2).transpose(1, 2)  # [groups, samples, rows]
        found = found.permute(1, 0, 2).reshape(-1, layer.shape[0])
        wanted = output.movedim(1, -1) if layer.kind != "linear" else output
        torch.testing.assert_close(found, wanted.reshape(-1, layer.shape[0]), rtol=1e-4, atol=1e-4)


def test_sampled_positions_are_some_of_all_and_depend_on_the_seed_alone() -> None:
    graph, tensors, layer = one_layer("plain")
    images = torch.randn(3, 4, 30, 30, generator=torch.Generator().manual_seed(1))
    first, again, other = (full_gram(graph, tensors, layer, images, seed) for seed in (0, 0, 1))
    assert first.samples == 3 * POSITIONS
    assert torch.equal(first.matrix, again.matrix)
    assert not torch.equal(first.matrix, other.matrix)
    rows = unfold(layer, images, np.random.Generator(np.random.PCG64(0)))[0]
    every = {tuple(row) for row in F.unfold(images, (3, 3), 1, 1, 1).permute(0, 2, 1).reshape(-1, 36).tolist()}
    assert len(rows) == 3 * POSITIONS
    assert all(tuple(row[:-1]) in every for row in rows.tolist())


UNPADDED = ["pointwise", "multiplied"]  # zeros beside an image of large values would dominate every spread


@pytest.mark.parametrize("case", UNPADDED)
def test_a_covariance_survives_a_large_mean(case: str) -> None:
    """Temperatures in Kelvin: the squares are a million times the variance, and float32 has seven digits."""
    graph, tensors, layer = one_layer(case)
    images = temperatures()
    gram = full_gram(graph, tensors, layer, images, 0)
    rows = unfold(layer, images.double(), np.random.Generator(np.random.PCG64(0)))
    wanted = torch.stack([group[:, :-1].T.cov(correction=0) for group in rows])
    torch.testing.assert_close(gram.covariance, wanted, rtol=0.01, atol=0.001 * float(wanted.max()))
    torch.testing.assert_close(gram.mean, rows[:, :, :-1].mean(1), rtol=1e-7, atol=0)
    torch.testing.assert_close(gram.matrix, rows.transpose(1, 2) @ rows / rows.shape[1], rtol=1e-7, atol=0)


@pytest.mark.parametrize("case", UNPADDED)
def test_a_variance_of_a_wide_layer_survives_a_large_mean(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, tensors, layer = one_layer(case)
    monkeypatch.setattr(learners.gram, "WIDEST", layer.columns - 1)
    images = temperatures()
    gram = collect_grams(graph, tensors, [layer], images, 0)[layer.name]
    assert isinstance(gram, DiagonalGram)
    rows = unfold(layer, images.double(), np.random.Generator(np.random.PCG64(0)))[:, :, :-1]
    torch.testing.assert_close(gram.mean, rows.mean(1), rtol=1e-7, atol=0)
    torch.testing.assert_close(gram.variance, rows.var(1, correction=0), rtol=0.01, atol=0)


def temperatures() -> torch.Tensor:
    """Images of 290 with a spread of 0.3, a part of which the channels have in common; two batches of unlike means."""
    noise = torch.randn(64, 4, 9, 9, generator=torch.Generator().manual_seed(1))
    images = 290 + 0.3 * (noise + 0.3 * noise[:, :1])
    images[32:] += 0.1
    return images


def test_moments_of_a_constant_input() -> None:
    matrix = torch.tensor([[[4.0, 2.0], [2.0, 1.0]]], dtype=torch.float64)
    gram = Gram(matrix, 1)
    assert gram.mean.tolist() == [[2.0]]
    assert gram.covariance.tolist() == [[[0.0]]]

"""What a forward computes from its parameters alone."""

# Calling a module gives Any.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from learners.analysis import analyse
from learners.device import single_thread
from learners.graph.constants import fold_constants
from learners.graph.graph import Graph, Node, Ref
from learners.graph.run import Program
from learners.graph.trace import trace
from storage.records.space import CHANNEL, FLOAT_BITS
from tests.learners.agreement import check_files, difference, random_levels, with_bits
from tests.learners.channel.whole import build_whole

SHAPE = (3, 8, 8)
NAMES = {f"{layer}.{part}" for layer in ("stem", "body", "head") for part in ("weight", "bias")}


def hooked(wrap: Callable[[nn.Module], nn.Module]) -> Callable[[nn.Module], nn.Module]:
    """A parametrisation by hooks, which warns that it is an old one."""

    def quiet(module: nn.Module) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return wrap(module)

    return quiet


WRAPS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "weight norm": parametrizations.weight_norm,
    "spectral norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "weight norm by hooks": hooked(nn.utils.weight_norm),
    "spectral norm by hooks": hooked(nn.utils.spectral_norm),
}


class Wrapped(nn.Module):
    """Three layers whose weights are computed."""

    def __init__(self, wrap: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        self.stem, self.body = wrap(nn.Conv2d(3, 16, 3, padding=1)), wrap(nn.Conv2d(16, 16, 3, padding=1))
        self.head = wrap(nn.Linear(16, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.relu(self.body(F.relu(self.stem(x)))).mean((2, 3)))


class LowRank(nn.Module):
    """A product of two matrices for a weight, and the same matrix in two layers."""

    def __init__(self) -> None:
        super().__init__()
        left, right = nn.Parameter(torch.randn(8, 2)), nn.Parameter(torch.randn(2, 12))
        self.fit = nn.ParameterDict({"left": left, "right": right})
        self.tied, self.table = nn.Parameter(torch.randn(8, 8)), nn.Parameter(torch.randn(1, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(F.linear(x, self.fit["left"] @ self.fit["right"]))
        x = F.linear(F.linear(x, self.tied), self.tied.t())
        return x + (2 * self.table).expand(5, 8).sum(0) + torch.arange(8)


def build(wrap: str) -> nn.Module:
    torch.manual_seed(0)
    model = Wrapped(WRAPS[wrap])
    model.train()
    model(torch.randn(4, *SHAPE))
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("wrap", sorted(WRAPS))
def test_parametrised_weights_are_called_as_the_layers_hold_them(wrap: str) -> None:
    model, x = build(wrap), torch.randn(3, *SHAPE)
    graph, tensors = trace(model, SHAPE)
    assert set(tensors) == set(graph.parameters()) == NAMES
    assert len(graph.nodes) == 6
    with torch.no_grad():
        torch.testing.assert_close(Program(graph)(tensors, x), model(x), rtol=1e-5, atol=1e-5)
    assert [layer.name for layer in analyse(model, SHAPE, (), 0).layers] == ["stem", "body", "head"]


@pytest.mark.parametrize("wrap", ["weight norm", "spectral norm by hooks"])
def test_parametrised_layers_are_pruned_and_quantised_and_all_files_agree(wrap: str, tmp_path: Path) -> None:
    network = build_whole(tmp_path, build(wrap), SHAPE)
    space = network.library.space
    assert [site.name for site in space.sites if site.learner == CHANNEL] == ["stem", "body"]
    assert difference(network.stitched(space.uniform_bits(FLOAT_BITS)), network.dense()) < 1e-5
    smallest = tuple(len(site.levels) - 1 for site in space.sites)
    for levels in (with_bits(space, smallest, FLOAT_BITS), random_levels(space, np.random.default_rng(0))):
        check_files(network, levels)


def test_a_product_of_parameters_is_a_weight_and_what_must_stay_equal_is_left() -> None:
    torch.manual_seed(0)
    model, x = LowRank().eval(), torch.randn(3, 12)
    with single_thread():
        graph, tensors = trace(model, (12,))
    assert "fit.weight" in tensors
    assert not {"fit.left", "fit.right"} & set(tensors)
    assert {"tied", "table"} <= set(tensors)  # the transposed matrix is `tied` still, the summed table a vector
    readers = [node.op for node in graph.nodes if "tied" in node.references()]
    assert len(readers) == 2
    assert "aten.linear.default" in readers
    with torch.no_grad():
        torch.testing.assert_close(Program(graph)(tensors, x), model(x))


def test_random_draws_and_large_values_are_left() -> None:
    nodes = (
        Node("noise", "aten.rand.default", ((4,),)),
        Node("large", "aten.expand.default", (Ref("p"), (64, 4))),
        Node("most", "aten.amax.default", (Ref("large"), (0,))),
        Node("sum", "aten.add.Tensor", (Ref("x"), Ref("large"))),
        Node("out", "aten.add.Tensor", (Ref("sum"), Ref("noise"))),
        Node("end", "aten.mul.Tensor", (Ref("out"), Ref("most"))),
    )
    graph, tensors = fold_constants(Graph("x", nodes, "end"), {"p": torch.arange(4.0)})
    assert [node.name for node in graph.nodes] == ["noise", "large", "sum", "out", "end"]
    assert set(tensors) == set(graph.parameters())
    made = set(tensors) - {"p"}
    assert len(made) == 1
    assert torch.equal(tensors[made.pop()], torch.arange(4.0))


def test_a_graph_without_computed_tensors_stays_the_same() -> None:
    graph, tensors = trace(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval(), SHAPE)
    again, same = fold_constants(graph, tensors)
    assert again == graph
    assert all(same[name] is tensor for name, tensor in tensors.items())

"""Folding: fewer operations, the same function."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from learners.graph.fold import BATCH_NORM, IDENTITIES, VIEWS, fold
from learners.graph.graph import Graph, Node, Ref
from learners.graph.module import GraphModule
from learners.graph.run import Program
from learners.graph.trace import trace
from tests.built import Built
from tests.networks import NETWORKS, build, images


def folded(name: str) -> tuple[Graph, dict[str, torch.Tensor]]:
    """The graph of a network, and its tensors, after folding."""
    graph, tensors = trace(build(name), NETWORKS[name].input)
    shapes: dict[str, tuple[int, ...]] = {}
    with torch.no_grad():
        Program(graph)(tensors, images(name, 1), lambda node, value: shapes.__setitem__(node.name, tuple(value.shape)))
    return fold(graph, tensors, shapes)


def norms(graph: Graph) -> int:
    return sum(node.op == BATCH_NORM for node in graph.nodes)


@pytest.mark.parametrize("name", ["plain", "resnet-pad", "mobilenet", "shufflenet", "mlp", "padding-same", "reflect"])
def test_batch_norms_behind_layers_disappear_exactly(name: str) -> None:
    graph, tensors = folded(name)
    assert norms(graph) == 0
    batch = images(name, 8)
    with torch.no_grad():
        wanted = build(name)(batch)
        found = Program(graph)(tensors, batch)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "left"), [("densenet", 4), ("token-norm", 2), ("norm-first", 2)])
def test_other_batch_norms_stay(name: str, left: int) -> None:
    graph, tensors = folded(name)
    assert norms(graph) == left
    batch = images(name, 8)
    with torch.no_grad():
        torch.testing.assert_close(Program(graph)(tensors, batch), build(name)(batch), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_what_does_nothing_is_gone_and_every_layer_has_a_bias(name: str, built: Callable[[str], Built]) -> None:
    graph, tensors = built(name).library.analysis.graph, built(name).library.analysis.tensors
    operations = {node.op for node in graph.nodes}
    assert not operations & (IDENTITIES | VIEWS)
    for node in graph.nodes:
        if node.op in ("aten.conv2d.default", "aten.linear.default") and node.reads(1) in tensors:
            assert node.reads(2) is not None, node.name
    assert set(graph.parameters()) == set(tensors)


def test_a_new_bias_takes_no_other_parameters_name() -> None:
    model = build("raw-parameters")
    _, tensors = folded("raw-parameters")
    for name, value in model.named_parameters():
        assert torch.equal(tensors[name].reshape(value.shape), value), name  # the forward adds axes to some
    new = set(tensors) - {name for name, _ in model.named_parameters()}
    assert len(new) == 4
    assert all(not tensors[name].any() for name in new)


def test_double_precision_keeps_tiny_variances_apart() -> None:
    model = build("plain")
    state = model.state_dict()
    state["stem.1.running_var"].fill_(1e-12)
    state["stem.1.running_mean"].fill_(1e-3)
    graph, tensors = trace(model, NETWORKS["plain"].input)
    shapes = {node.name: (1, 1, 1, 1) for node in graph.nodes}
    graph, tensors = fold(graph, tensors, shapes)
    batch = 1e-3 * images("plain", 4)
    with torch.no_grad():
        torch.testing.assert_close(Program(graph)(tensors, batch), model(batch), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["names", "raw-parameters", "attention"])
def test_a_graph_module_has_the_users_names_and_the_same_outputs(name: str) -> None:
    graph, tensors = folded(name)
    module = GraphModule(graph, tensors)
    assert set(module.state_dict()) == set(tensors)
    batch = images(name, 4)
    with torch.no_grad():
        assert torch.equal(module(batch), Program(graph)(tensors, batch))
    assert not module.training


def test_a_graph_module_takes_names_that_torch_uses_itself() -> None:
    weights = {name: torch.eye(3) for name in ("half.weight", "to.weight", "graph.forward.eval.weight")}
    nodes = [
        Node(str(number), "aten.linear.default", (Ref(str(number - 1) if number else "x"), Ref(name)))
        for number, name in enumerate(weights)
    ]
    module = GraphModule(Graph("x", tuple(nodes), nodes[-1].name), weights)
    assert set(module.state_dict()) == set(weights)
    assert torch.equal(module(torch.ones(2, 3)), torch.ones(2, 3))

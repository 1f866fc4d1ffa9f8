"""Runs of a graph: what is said where an operation fails."""

from __future__ import annotations

import pytest
import torch

from learners.graph.graph import Graph, Node, Ref
from learners.graph.run import Program

TENSORS = {"body.weight": torch.ones(2, 3), "body.bias": torch.zeros(2)}


def run(*nodes: Node, batch: torch.Tensor | None = None) -> torch.Tensor:
    graph = Graph("x", nodes, nodes[-1].name)
    return Program(graph)(TENSORS, torch.ones(4, 3) if batch is None else batch)


def linear(source: str) -> Node:
    return Node("linear", "aten.linear.default", (Ref(source), Ref("body.weight"), Ref("body.bias")))


def test_an_operation_that_fails_is_named_with_the_parameters_that_it_reads() -> None:
    with pytest.raises(
        RuntimeError, match=r"^linear, aten.linear.default of body.weight, body.bias: .*dtype"
    ) as caught:
        run(linear("x"), batch=torch.ones(4, 3, dtype=torch.bfloat16))
    assert type(caught.value) is RuntimeError
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_an_operation_on_values_alone_is_named_with_these() -> None:
    with pytest.raises(RuntimeError, match=r"^again, aten.add.Tensor of linear, x: The size of tensor a"):
        run(linear("x"), Node("again", "aten.add.Tensor", (Ref("linear"), Ref("x"))))


def test_an_error_keeps_its_type() -> None:
    with pytest.raises(IndexError, match=r"^third, aten.select.int of x: ") as caught:
        run(Node("third", "aten.select.int", (Ref("x"), 0, 9)))
    assert type(caught.value) is IndexError
    assert type(caught.value.__cause__) is IndexError


def test_errors_of_types_that_torch_made_pass_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    error = torch.OutOfMemoryError("no memory left")

    def fail(*_: object) -> torch.Tensor:
        raise error

    monkeypatch.setattr("learners.graph.run.resolve", lambda _: fail)
    with pytest.raises(torch.OutOfMemoryError, match=r"^no memory left$") as caught:
        run(linear("x"))
    assert caught.value is error


def test_what_an_observer_raises_is_not_an_operations() -> None:
    def observe(node: Node, value: torch.Tensor) -> None:
        raise ValueError("not mine")

    with pytest.raises(ValueError, match=r"^not mine$"):
        Program(Graph("x", (linear("x"),), "linear"))(TENSORS, torch.ones(4, 3), observe)

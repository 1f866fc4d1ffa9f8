"""The graph as data: JSON, renaming, rewriting, and the operations that it may hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learners.graph.graph import Graph, Node, Ref, TorchType, replace_nodes, unused_name
from learners.graph.operations import resolve
from storage.errors import FixInputError, SlimfrontError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | texts
    | st.builds(Ref, texts)
    | st.builds(TorchType, texts)
)
arguments = st.recursive(plain, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6)
nodes = st.builds(
    Node,
    name=texts,
    op=texts,
    args=st.lists(arguments, max_size=3).map(tuple),
    kwargs=st.dictionaries(texts, arguments, max_size=2).map(lambda found: tuple(found.items())),
)
graphs = st.builds(Graph, input=texts, nodes=st.lists(nodes, max_size=4).map(tuple), output=texts)

SMALL = Graph(
    "x",
    (
        Node("a", "aten.conv2d.default", (Ref("x"), Ref("w"), Ref("b"), (1, 1))),
        Node("c", "aten.cat.default", ((Ref("a"), Ref("x"), Ref("a")), 1)),
        Node("d", "aten.add.Tensor", (Ref("c"), Ref("c")), (("alpha", Ref("s")),)),
    ),
    "d",
)


@given(graphs)
def test_json_gives_an_equal_graph(graph: Graph) -> None:
    text = graph.to_json()
    assert Graph.from_json(text) == graph
    assert Graph.from_json(text).content_hash == graph.content_hash
    assert "\n" not in text


@given(st.text(max_size=40) | st.recursive(st.none() | st.integers() | texts, st.lists, max_leaves=5).map(json.dumps))
def test_anything_else_is_an_error_of_ours(text: str) -> None:
    with pytest.raises(FixInputError):
        Graph.from_json(text)


@pytest.mark.parametrize(
    "node",
    [
        ["a", "op", ["no kind"], {}],
        ["a", "op", [{}], {}],
        ["a", "op", [], []],
        ["a", "op", []],
        ["a", "op", 5, {}],
        "node",
        None,
    ],
)
def test_malformed_nodes_are_refused(node: object) -> None:
    with pytest.raises(FixInputError, match="not a Slimfront graph"):
        Graph.from_json(json.dumps({"version": 1, "input": "x", "nodes": [node], "output": "x"}))


def test_another_version_and_deep_nesting_are_refused() -> None:
    with pytest.raises(FixInputError, match=r"graph of version 2.*upgrade"):
        Graph.from_json(json.dumps({"version": 2, "input": "x", "nodes": [], "output": "x"}))
    with pytest.raises(FixInputError, match="not a Slimfront graph"):
        Graph.from_json("[" * 100_000)


def test_parameters_and_consumers_come_in_the_order_of_use() -> None:
    assert SMALL.parameters() == ("w", "b", "s")
    assert [node.name for node in SMALL.consumers()["a"]] == ["c", "c"]
    assert [node.name for node in SMALL.consumers()["c"]] == ["d", "d"]
    node = SMALL.node("a")
    assert node is not None
    assert [node.reads(position) for position in range(5)] == ["x", "w", "b", None, None]
    assert SMALL.node("x") is None


def test_compact_names_never_meet_a_parameters() -> None:
    graph = Graph("in", (Node("a", "op", (Ref("in"), Ref("0"), Ref("x"))), Node("b", "op", (Ref("a"), Ref("1")))), "b")
    compact = graph.compact()
    assert compact.parameters() == graph.parameters() == ("0", "x", "1")
    made = [compact.input, *(node.name for node in compact.nodes)]
    assert len(set(made)) == 3
    assert not {"0", "x", "1"} & set(made)
    assert compact.output == compact.nodes[-1].name
    assert SMALL.compact() == SMALL.compact().compact()


def test_replaced_nodes_hand_on_their_names() -> None:
    without = replace_nodes(SMALL, lambda node: "x" if node.name == "a" else node)
    assert [node.name for node in without.nodes] == ["c", "d"]
    assert without.nodes[0].args[0] == (Ref("x"), Ref("x"), Ref("x"))
    assert replace_nodes(SMALL, lambda node: "a" if node.name == "d" else node).output == "a"


def test_unused_names() -> None:
    assert unused_name("a", {"b"}) == "a"
    assert unused_name("a", {"a", "a_"}) == "a__"


@pytest.mark.parametrize(
    "name",
    [
        "aten.add_.Tensor",
        "aten.copy_.default",
        "aten.relu_.default",
        "aten.add.out",
        "aten.resize_.default",
        "aten.from_file.default",
        "aten.from_file",
        "prims.add.default",
        "quantized.add.default",
        "torch.save",
        "os.system",
        "operator.setitem",
        "operator.attrgetter",
        "operator.call",
        "builtins.eval",
        "aten",
        "aten.",
        "aten..",
        "aten.add",
        "aten.add.",
        "aten.add.nothing",
        "aten.nothing.default",
        "aten.__class__.mro",
        "aten.add.__class__",
        "aten.add.op",
        "aten.add.Tensor.redispatch",
        "",
    ],
)
def test_operations_that_do_more_than_compute_are_refused(name: str) -> None:
    with pytest.raises(FixInputError, match="is not one that a graph may hold"):
        resolve(name)


@given(st.text(max_size=20) | st.text("aten._dfu", max_size=12).map("aten.".__add__))
def test_no_name_raises_anything_else(name: str) -> None:
    text = ""
    try:
        assert callable(resolve(name))
    except SlimfrontError as error:
        text = str(error)
    assert "\n" not in text


def test_operations_that_compute_are_resolved() -> None:
    import torch

    assert resolve("aten.add.Tensor")(torch.tensor(1), torch.tensor(2)) == 3
    assert resolve("operator.getitem")([1, 2], 1) == 2

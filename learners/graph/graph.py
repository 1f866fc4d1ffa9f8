"""The graph: a model as a list of ATen operations that is plain data.

It holds no code and no tensors, so that it can be stored, hashed, sent to a worker and read from an untrusted file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from storage.errors import FixInputError

REFERENCE = "%"  # JSON strings that start with it name a value
LITERAL = "'"  # JSON strings that start with it are themselves
TORCH_TYPE = "!"  # JSON strings that start with it are a torch dtype, layout or memory format

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Ref:
    """The value of an earlier node, of the input, or of a parameter."""

    name: str


@dataclass(frozen=True)
class TorchType:
    """A dtype, device, layout or memory format by its printed name, such as "torch.float32"."""

    name: str


Argument: TypeAlias = "Ref | TorchType | int | float | bool | str | tuple[Argument, ...] | None"


@dataclass(frozen=True)
class Node:
    """One operation: `name` is its value, `op` an ATen overload such as "aten.conv2d.default"."""

    name: str
    op: str
    args: tuple[Argument, ...]
    kwargs: tuple[tuple[str, Argument], ...] = ()

    def references(self) -> Iterator[str]:
        """Names of the values and parameters that the node reads, in the order of its arguments."""
        for argument in (*self.args, *(value for _, value in self.kwargs)):
            yield from _references(argument)

    def reads(self, position: int) -> str | None:
        """The name that argument `position` refers to; None if it is absent or no reference."""
        argument = self.args[position] if position < len(self.args) else None
        return argument.name if isinstance(argument, Ref) else None

    def argument(self, position: int, default: Argument) -> Argument:
        """Argument `position`, or `default` if the node leaves it out."""
        return self.args[position] if position < len(self.args) else default

    def rename(self, names: Mapping[str, str]) -> Node:
        """The same node, with the values it reads renamed."""
        kwargs = tuple((key, _rename(value, names)) for key, value in self.kwargs)
        return Node(self.name, self.op, tuple(_rename(argument, names) for argument in self.args), kwargs)


@dataclass(frozen=True)
class Graph:
    """A model from one float input [n, ...] to one float output [n, ...]."""

    input: str
    nodes: tuple[Node, ...]  # in an order in which every value is made before it is read
    output: str

    def node(self, name: str) -> Node | None:
        """The node that makes `name`; None for the input and for parameters."""
        return next((node for node in self.nodes if node.name == name), None)

    def consumers(self) -> dict[str, list[Node]]:
        """For every name that is read, the nodes that read it; a node that reads it twice stands twice."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.references():
                found.setdefault(name, []).append(node)
        return found

    def parameters(self) -> tuple[str, ...]:
        """Names that are read and made by no node, in the order of first use."""
        made = {self.input, *(node.name for node in self.nodes)}
        read = dict.fromkeys(name for node in self.nodes for name in node.references())
        return tuple(name for name in read if name not in made)

    def to_json(self) -> str:
        """Compact JSON that `from_json` reads back to an equal graph."""
        nodes = [
            [node.name, node.op, [_encode(a) for a in node.args], {k: _encode(v) for k, v in node.kwargs}]
            for node in self.nodes
        ]
        document = {"version": FORMAT_VERSION, "input": self.input, "nodes": nodes, "output": self.output}
        return json.dumps(document, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Graph:
        """Inverse of `to_json`. Raises FixInputError for another version or anything malformed."""
        try:
            document = json.loads(text)
            if document["version"] != FORMAT_VERSION:
                raise FixInputError(
                    f"graph of version {document['version']}: this Slimfront reads version {FORMAT_VERSION}; upgrade it"
                )
            nodes = tuple(
                Node(name, op, tuple(map(_decode, args)), tuple((k, _decode(v)) for k, v in kwargs.items()))
                for name, op, args, kwargs in document["nodes"]
            )
            return cls(document["input"], nodes, document["output"])
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise FixInputError(f"not a Slimfront graph ({error!r}): export the model again") from error

    @property
    def content_hash(self) -> str:
        """sha256 of the JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def compact(self) -> Graph:
        """The same graph with values named by short numbers, which compress well; parameters keep their names."""
        taken = set(self.parameters())
        source = unused_name("x", taken)
        names = {self.input: source}
        names.update({node.name: unused_name(str(number), taken) for number, node in enumerate(self.nodes)})
        nodes = tuple(
            Node(names[node.name], node.op, (renamed := node.rename(names)).args, renamed.kwargs) for node in self.nodes
        )
        return Graph(source, nodes, names[self.output])


def unused_name(name: str, taken: Collection[str]) -> str:
    """`name`, with underscores behind it if it is one of `taken`."""
    while name in taken:
        name += "_"
    return name


def replace_nodes(graph: Graph, edit: Callable[[Node], Node | str]) -> Graph:
    """Rewrite a graph node by node: `edit` gives the node to keep, or the name of the value that stands in for it."""
    names: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        kept = edit(node.rename(names))
        if isinstance(kept, str):
            names[node.name] = kept
        else:
            nodes.append(kept)
    return Graph(graph.input, tuple(nodes), names.get(graph.output, graph.output))


def without_unread(graph: Graph) -> Graph:
    """The graph without the nodes that its output does not depend on."""
    needed = {graph.output}
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if node.name in needed:
            kept.append(node)
            needed.update(node.references())
    return Graph(graph.input, tuple(reversed(kept)), graph.output)


def _references(argument: Argument) -> Iterator[str]:
    if isinstance(argument, Ref):
        yield argument.name
    elif isinstance(argument, tuple):
        for item in argument:
            yield from _references(item)


def _rename(argument: Argument, names: Mapping[str, str]) -> Argument:
    if isinstance(argument, Ref):
        return Ref(names.get(argument.name, argument.name))
    if isinstance(argument, tuple):
        return tuple(_rename(item, names) for item in argument)
    return argument


def _encode(argument: Argument) -> object:
    if isinstance(argument, Ref):
        return REFERENCE + argument.name
    if isinstance(argument, TorchType):
        return TORCH_TYPE + argument.name
    if isinstance(argument, str):
        return LITERAL + argument
    if isinstance(argument, tuple):
        return [_encode(item) for item in argument]
    return argument


def _decode(value: object) -> Argument:
    if isinstance(value, list):
        return tuple(map(_decode, value))
    if isinstance(value, str):
        kind, rest = value[:1], value[1:]
        if kind == REFERENCE:
            return Ref(rest)
        if kind == TORCH_TYPE:
            return TorchType(rest)
        if kind == LITERAL:
            return rest
        raise ValueError(f"text without a kind: {value[:40]!r}")
    if value is None or isinstance(value, bool | int | float):
        return value
    raise ValueError(f"{type(value).__name__} in a graph")

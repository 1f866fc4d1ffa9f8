"""Computes once what a forward computes from its parameters alone, such as the weight of a weight norm."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import torch

from learners.graph.graph import Argument, Graph, Node, Ref, TorchType, replace_nodes, unused_name, without_unread
from learners.graph.layers import MULTIPLYING
from learners.graph.operations import resolve
from learners.graph.run import torch_type
from storage.errors import FixInputError

ROLES = {1: "weight", 2: "bias"}  # of the arguments of what multiplies
# How torch's own parametrisations call what a tensor is computed from: parametrizations, then weight_norm and
# spectral_norm as hooks.
PARAMETRISED = re.compile(r"^(?P<module>.*?)parametrizations\.(?P<name>\w+)\.")
HOOKED = re.compile(r"^(?P<name>.*)_(g|v|u|orig)$")


def fold_constants(graph: Graph, tensors: Mapping[str, torch.Tensor]) -> tuple[Graph, dict[str, torch.Tensor]]:
    """An equal graph in which what depends on `tensors` alone is a tensor of its own, and its tensors.

    A weight or a bias of a layer is called as if the module held it. Left as they are: what draws random numbers; what
    is larger than the tensors that it is made of, unless it is a weight or a bias; and what is made of a matrix that is
    read elsewhere, too, as the two would have to stay equal.
    """
    graph = _without_repeats(graph, tensors)
    values = _evaluate(graph, tensors)
    sources = _sources(graph, tensors, values)
    refused: set[str] = set()
    while True:
        chosen = _choose(graph, tensors, values, sources, refused)
        shared = _shared(graph, tensors, sources, chosen)
        if not shared:
            break
        refused |= shared
    taken = {graph.input, *tensors, *(node.name for node in graph.nodes)} - {graph.output}
    read = {name for node in _rest(graph, chosen).nodes for name in node.references()}
    taken = {name for name in taken if name not in tensors or name in read}
    found, names = dict(tensors), {}
    for name, role in chosen.items():
        names[name] = unused_name(_own_name(name, sorted(sources[name]), role), taken)
        taken.add(names[name])
        value = values[name]
        assert isinstance(value, torch.Tensor)
        found[names[name]] = value.contiguous()
    graph = without_unread(replace_nodes(graph, lambda node: names.get(node.name, node)))
    return graph, {name: found[name] for name in graph.parameters()}


def _without_repeats(graph: Graph, tensors: Mapping[str, torch.Tensor]) -> Graph:
    """The graph in which the same operation on the same parameters stands once, as where a module is called twice."""
    constant, first = set(tensors), dict[object, str]()

    def edit(node: Node) -> Node | str:
        if not set(node.references()) <= constant or _draws(node):
            return node
        known = first.setdefault((node.op, node.args, node.kwargs), node.name)
        constant.add(node.name)
        return node if known == node.name else known

    return replace_nodes(graph, edit)


def _evaluate(graph: Graph, tensors: Mapping[str, torch.Tensor]) -> dict[str, object]:
    """The values that do not depend on the input, but for parameters."""
    known: dict[str, object] = dict(tensors)
    for node in graph.nodes:
        if all(name in known for name in node.references()) and not _draws(node):
            try:
                function = resolve(node.op)
            except FixInputError:  # it is refused where the graph is run
                continue
            arguments = [_value(item, known) for item in node.args]
            with torch.no_grad():
                known[node.name] = function(*arguments, **{key: _value(item, known) for key, item in node.kwargs})
    return {name: value for name, value in known.items() if name not in tensors}


def _draws(node: Node) -> bool:
    """Whether two runs of a node may differ."""
    try:
        return torch.Tag.nondeterministic_seeded in getattr(resolve(node.op), "tags", ())
    except FixInputError:
        return True


def _value(argument: Argument, known: Mapping[str, object]) -> object:
    if isinstance(argument, Ref):
        return known[argument.name]
    if isinstance(argument, tuple):
        return [_value(item, known) for item in argument]
    return torch_type(argument.name) if isinstance(argument, TorchType) else argument


def _sources(
    graph: Graph, tensors: Mapping[str, torch.Tensor], values: Mapping[str, object]
) -> dict[str, frozenset[str]]:
    """The parameters that each of `values` is made of."""
    found = {name: frozenset([name]) for name in tensors}
    for node in graph.nodes:
        if node.name in values:
            found[node.name] = frozenset[str]().union(*(found[name] for name in node.references()))
    return found


def _choose(
    graph: Graph,
    tensors: Mapping[str, torch.Tensor],
    values: Mapping[str, object],
    sources: Mapping[str, frozenset[str]],
    refused: Collection[str],
) -> dict[str, str]:
    """The values to be kept as tensors, and what they are to those that read them: "weight", "bias" or nothing."""
    chosen: dict[str, str] = {}
    stays = {graph.output}
    for node in reversed(graph.nodes):
        if node.name in values and node.name not in stays:
            continue  # only what has been chosen reads it
        for name in node.references():
            if name not in values:
                continue
            value, role = values[name], _role(node, name)
            size = sum(tensors[source].numel() for source in sources[name])
            fits = isinstance(value, torch.Tensor) and (role != "" or value.numel() <= size)
            if fits and name not in refused and name not in stays:
                chosen[name] = chosen.get(name) or role
            else:
                stays.add(name)
                chosen.pop(name, None)
    return {node.name: chosen[node.name] for node in graph.nodes if node.name in chosen}


def _role(node: Node, name: str) -> str:
    places = ROLES if node.op in MULTIPLYING else {}
    return next((role for place, role in places.items() if node.reads(place) == name), "")


def _rest(graph: Graph, chosen: Collection[str]) -> Graph:
    """The graph once the chosen values are parameters."""
    nodes = tuple(node for node in graph.nodes if node.name not in chosen)
    return without_unread(Graph(graph.input, nodes, graph.output))


def _shared(
    graph: Graph,
    tensors: Mapping[str, torch.Tensor],
    sources: Mapping[str, frozenset[str]],
    chosen: Collection[str],
) -> set[str]:
    """Those of `chosen` that are made of a matrix which something else reads."""
    rest = _rest(graph, chosen)
    readers: dict[str, set[str]] = {}
    for name in (name for node in rest.nodes for name in node.references()):
        if name in tensors:
            readers.setdefault(name, set()).add("")
    for name in chosen:
        for source in sources[name]:
            readers.setdefault(source, set()).add(name)
    return {
        name for name in chosen if any(tensors[item].dim() > 1 and len(readers[item]) > 1 for item in sources[name])
    }


def _own_name(value: str, sources: Sequence[str], role: str) -> str:
    """What a module that held the value would call it."""
    names = {_plain(name, sources) for name in sources}
    if len(names) == 1:
        return names.pop()
    modules = {name.rpartition(".")[0] for name in sources}
    if role and len(modules) == 1:
        return f"{modules.pop()}.{role}".removeprefix(".")
    return value


def _plain(name: str, sources: Sequence[str]) -> str:
    """The name of the tensor that torch's parametrisation computes of parameters such as `name`."""
    parametrised = PARAMETRISED.match(name)
    if parametrised:
        return f"{parametrised['module']}{parametrised['name']}"
    hooked = HOOKED.match(name)
    if hooked and {f"{hooked['name']}_v", f"{hooked['name']}_orig"} & set(sources) and len(sources) > 1:
        return hooked["name"]
    return name

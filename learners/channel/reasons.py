"""Reasons: which layer of the user's model keeps channels where they are, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from learners.channel.lanes import Atoms, Lanes, Partition
from learners.graph.graph import Graph, Node
from learners.graph.layers import Layer

MODEL_OUTPUT = "they are the model's output"
PASSED_ON = "a depthwise convolution passes on {}"
TOGETHER = "they go together with those of `{}`: {}"
COMBINED = "they are combined with {}"
NO_LAYERS = "channels that no layer makes, such as the model's input"
SEVERAL_WAYS = "their parameter `{}` is read in several ways, and would have to shrink in each"
LIFTED = "lifted_tensor_"  # what torch.export calls constants that the forward writes


def unfollowed(reader: str) -> str:
    """The reason of channels that `reader`, as `place` puts it, reads."""
    return f"read by {reader}, through which channels cannot be followed"


def place(operation: str, before: str | None, after: str | None) -> str:
    """Where an operation without parameters stands: in the module that holds both neighbours, or between these."""
    shared = []
    for one, other in zip((before or "").split("."), (after or "").split("."), strict=False):
        if one != other:
            break
        shared.append(one)
    if before and before != after and any(shared):
        return f"`{'.'.join(shared)}` ({operation})"
    if before and after:
        return f"{operation} between `{before}` and `{after}`"
    if before or after:
        return f"{operation} {f'behind `{before}`' if before else f'before `{after}`'}"
    return operation


def module_names(tensors: Iterable[str], maps: Iterable[Layer]) -> dict[str, str]:
    """The layer or module that each parameter belongs to; index maps are none of the user's."""
    own = {name for layer in maps for name in (layer.weight, layer.bias)}
    return {
        name: name.removesuffix(".weight").removesuffix(".bias")
        for name in tensors
        if name not in own and not name.startswith(LIFTED)
    }


def module_of(owner: str) -> str:
    """The module that people know: "cell" of "cell.weight_ih_l0"."""
    module, _, parameter = owner.rpartition(".")
    return module if module and "weight" in parameter else owner


class Places:
    """Where the operations of a traced graph stand among the modules of the user's model."""

    def __init__(self, graph: Graph, names: Mapping[str, str]) -> None:
        """`names` says of parameters which layer or module they belong to."""
        self._nodes = {node.name: node for node in graph.nodes}
        self._consumers = graph.consumers()
        self._names = names

    def owner(self, node: Node) -> str | None:
        """The layer or module whose parameters `node` reads; None if it reads none."""
        return next((self._names[name] for name in node.references() if name in self._names), None)

    def operation(self, node: Node, name: str) -> str:
        """`node`, an operation called `name`, for people."""
        owner = self.owner(node)
        if owner is not None:
            return f"`{module_of(owner)}` ({name})"
        return place(name, self._nearest(node, self._sources), self._nearest(node, self._readers))

    def origin(self, value: str, stays: Callable[[str], bool]) -> str | None:
        """The nearest layer before `value` through values that `stays` holds for; None if it is the model's input."""
        for name in self._walk([value], lambda item: filter(stays, self._nodes[item].references())):
            owner = self.owner(self._nodes[name])
            if owner is not None:
                return owner
        return None

    def _sources(self, name: str) -> Iterable[str]:
        return self._nodes[name].references()

    def _readers(self, name: str) -> Iterable[str]:
        return (node.name for node in self._consumers.get(name, ()))

    def _nearest(self, node: Node, neighbours: Callable[[str], Iterable[str]]) -> str | None:
        found = (self.owner(self._nodes[name]) for name in self._walk(neighbours(node.name), neighbours))
        return next((owner for owner in found if owner is not None), None)

    def _walk(self, start: Iterable[str], neighbours: Callable[[str], Iterable[str]]) -> Iterable[str]:
        """Names of nodes, the nearest first."""
        ahead = dict.fromkeys(name for name in start if name in self._nodes)
        seen = set(ahead)
        queue = list(ahead)
        for name in queue:
            yield name
            more = [item for item in dict.fromkeys(neighbours(name)) if item in self._nodes and item not in seen]
            seen.update(more)
            queue += more


class Reasons:
    """Puts into words why channels stay."""

    def __init__(self, graph: Graph, names: Mapping[str, str], protected: Mapping[str, str]) -> None:
        """`names` as for `Places`; `protected` gives the reasons of layers that are left alone."""
        self._places = Places(graph, names)
        self._protected = protected

    def reader(self, node: Node, name: str) -> str:
        """The reason of channels that `node`, an operation called `name`, reads."""
        owner = self._places.owner(node)
        if owner is not None and owner in self._protected:
            return f"read by `{module_of(owner)}`, which is left alone: {self._protected[owner]}"
        return unfollowed(self._places.operation(node, name))

    def origin(
        self, value: str, partition: Partition, outputs: Mapping[str, Atoms], lanes: Mapping[str, Lanes | None]
    ) -> str:
        """Whose channels those of `value` are that stay, and why."""

        def stays(name: str) -> bool:
            found = lanes.get(name)
            return found is None or not partition.roots(found.atoms).all()

        owner = self._places.origin(value, stays)
        if owner is None:
            return "the model's input, whose channels stay"
        why = self._protected.get(owner) or (partition.reason(outputs[owner]) if owner in outputs else None)
        before = COMBINED.format("")
        if why is not None and why.startswith(before):
            return why.removeprefix(before)  # the layer that these go together with says more
        return f"the channels of `{owner}`, which stay{f': {why}' if why else ''}"

    def of_layers(
        self,
        sources: Mapping[str, str],
        partition: Partition,
        outputs: Mapping[str, Atoms],
        lanes: Mapping[str, Lanes | None],
    ) -> dict[str, str]:
        """Why all output channels of each layer of `sources`, which says what it reads, stay.

        That is its own reason, or that of the nearest layer whose channels go together with its own.
        """
        causes = partition.causes()
        makers: dict[int, str] = {}
        for name, made in outputs.items():
            for atom in made.tolist():
                makers.setdefault(atom, name)
        found = {}
        for layer, source in sources.items():
            atoms = outputs[layer]
            cause = next((causes[atom] for atom in atoms.tolist() if atom in causes), None)
            if cause is None:
                origin = self.origin(source, partition, outputs, lanes)
                found[layer] = COMBINED.format(NO_LAYERS) if atoms.any() else PASSED_ON.format(origin)
            else:
                own, maker = partition.reason(np.array([cause])), makers.get(cause, layer)
                found[layer] = str(own) if maker == layer or cause in atoms else TOGETHER.format(maker, own)
        return found

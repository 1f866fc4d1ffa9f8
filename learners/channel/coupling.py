"""Coupling: follows the channels of every layer through a traced graph and finds which can only go together.

The idea is that of dependency graphs (Fang et al. 2023, "DepGraph", 2301.12900), done by labels: each output channel of
a layer is an atom, operations that only move values are run on tensors of atoms in place of values, and operations that
combine channels join their atoms. Any slicing, splitting, shuffling or flattening is followed so without knowing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from learners.channel import operations as ops
from learners.channel.lanes import FIXED, ONLY_CHANNEL, Atoms, Lanes, Partition
from learners.channel.reasons import COMBINED, MODEL_OUTPUT, SEVERAL_WAYS, Reasons, module_names, unfollowed
from learners.graph.graph import Argument, Graph, Node, Ref
from learners.graph.layers import DEPTHWISE, Layer
from learners.graph.operations import resolve
from storage.records.space import Protected


@dataclass(frozen=True)
class Slot:
    """An axis of a tensor that shrinks with the units along it."""

    axis: int
    units: Atoms  # [length of the axis]


@dataclass(frozen=True)
class Resized:
    """A node whose arguments name a number of channels."""

    node: str
    outputs: tuple[Slot | None, ...]  # one but for splits; None where nothing can go
    source: Slot | None  # of what it reads
    axis: int | None  # that a split or a slice speaks of, from the front; None of reshapes


@dataclass(frozen=True)
class Coupling:
    """Which channels of a model go together. Units are numbered by their smallest atom; 0 must stay."""

    tensors: Mapping[str, tuple[Slot, ...]]  # of every parameter that shrinks
    inputs: Mapping[str, Atoms]  # layer -> unit of each input channel that it reads, all groups in turn
    outputs: Mapping[str, Atoms]  # layer -> unit of each output channel
    resized: Mapping[str, Resized]
    together: tuple[frozenset[int], ...]  # sets of units of one tensor: of each at least one must stay
    reasons: Mapping[str, str]  # layer -> why all its output channels stay


def find_coupling(
    graph: Graph,
    tensors: Mapping[str, torch.Tensor],
    shapes: Mapping[str, tuple[int, ...]],
    layers: Sequence[Layer],
    maps: Sequence[Layer],
    protected: Sequence[Protected] = (),
) -> Coupling:
    """The coupling of a folded graph. `shapes` are those of all its values for one sample.

    `layers` may lose channels, `maps` are index maps (`learners.graph.index_maps`), which have channels of their own
    but no weights to fit; everything else that has a weight keeps its channels and those that it reads. `protected`
    is asked for the reasons of layers that are left alone.
    """
    reasons = Reasons(graph, module_names(tensors, maps), {item.name: item.reason for item in protected})
    return _Follower(graph, tensors, shapes, [*layers, *maps], reasons).run()


class _Follower:
    def __init__(
        self,
        graph: Graph,
        tensors: Mapping[str, torch.Tensor],
        shapes: Mapping[str, tuple[int, ...]],
        layers: Sequence[Layer],
        reasons: Reasons,
    ) -> None:
        self._reasons = reasons
        self._graph = graph
        self._tensors = tensors
        self._shapes = shapes
        self._layers = {layer.node: layer for layer in layers}
        self._partition = Partition()
        self._lanes: dict[str, Lanes | None] = {graph.input: None}
        self._lists: dict[str, list[Lanes | None]] = {}  # of operations with several outputs
        self._sizes: dict[str, object] = {}  # numbers that the forward computes
        self._followers: dict[str, list[Lanes]] = {}  # parameters
        self._inputs: dict[str, Lanes | None] = {}
        self._outputs: dict[str, Atoms] = {}
        self._resized: dict[str, tuple[list[Lanes | None], Lanes | None]] = {}
        self._axes: dict[str, int | None] = {}

    def run(self) -> Coupling:
        for node in self._graph.nodes:
            self._visit(node)
        lanes = self._lanes.get(self._graph.output)
        if lanes is not None:
            self._partition.fix(lanes.atoms, MODEL_OUTPUT)
        return self._coupling()

    def _visit(self, node: Node) -> None:
        name = ops.operator_name(node.op)
        layer = self._layers.get(node.name)
        if node.name not in self._shapes and name not in ops.SEVERAL:
            self._without_shape(node, name)
        elif layer is not None:
            self._lanes[node.name] = self._layer(node, layer)
        elif name == "getitem" and node.reads(0) in self._lists:
            self._lanes[node.name] = self._lists[cast(str, node.reads(0))][cast(int, node.args[1])]
        elif not any(self._lanes.get(item) or self._lists.get(item) for item in node.references()):
            self._lanes[node.name] = None  # made of what must stay, or of parameters alone
            self._lists[node.name] = _Fixed()
        elif name == ops.NORM:
            self._lists[node.name] = [self._norm(node)]
        elif name in ops.INDEXED:
            self._lists[node.name] = [self._spatial(node, name)] * 2
        elif name in ops.ELEMENTWISE:
            self._lanes[node.name] = self._elementwise(node)
        elif name in ops.PRELU or name in ops.SPATIAL:
            self._lanes[node.name] = self._spatial(node, name)
        elif name in ops.REDUCING:
            self._lanes[node.name] = self._reduced(node)
        elif name in ops.MOVING:
            self._move(node, name)
        else:
            self._opaque(node, name)

    def _without_shape(self, node: Node, name: str) -> None:
        """A number, or a tuple that no code above knows."""
        if name == "sym_size":
            source, axis = node.reads(0) or "", cast(int, node.args[1])
            self._sizes[node.name] = self._shapes[source][axis]
        elif node.op.startswith("operator.") and not any(item in self._lanes for item in node.references()):
            self._sizes[node.name] = resolve(node.op)(*(self._number(item) for item in node.args))
        else:
            self._opaque(node, name)

    def _number(self, argument: Argument) -> object:
        if isinstance(argument, Ref):
            return self._sizes[argument.name]
        if isinstance(argument, tuple):
            return [self._number(item) for item in argument]
        return argument

    def _opaque(self, node: Node, name: str) -> None:
        reason = self._reasons.reader(node, name)
        for item in node.references():
            for lanes in (self._lanes.get(item), *self._lists.get(item, ())):
                if lanes is not None:
                    self._partition.fix(lanes.atoms, reason)
        self._lanes[node.name] = None
        self._lists[node.name] = _Fixed()

    def _fix(self, lanes: Lanes | None, reason: str) -> None:
        if lanes is not None:
            self._partition.fix(lanes.atoms, reason)

    # Layers

    def _layer(self, node: Node, layer: Layer) -> Lanes | None:
        lanes = self._lanes.get(layer.source)
        axis = len(self._shapes[layer.source]) - 1 if layer.kind == "linear" else 1
        if lanes is not None and lanes.axis != axis:
            self._fix(lanes, unfollowed(f"`{layer.name}` across its channels"))
            lanes = None
        output = len(self._shapes[node.name]) - 1 if layer.kind == "linear" else 1
        if layer.kind == DEPTHWISE:
            read = np.full(layer.groups, FIXED) if lanes is None else lanes.atoms
            made = np.repeat(read, layer.rows)
        else:
            read = np.full(layer.groups * layer.shape[1], FIXED) if lanes is None else lanes.atoms
            made = self._partition.fresh(layer.shape[0])
            if layer.groups > 1:  # the same places of all groups go together
                self._join_groups(read, layer.groups)
                self._join_groups(made, layer.groups)
        if len(np.unique(self._partition.roots(made))) == 1:
            self._partition.fix(made, ONLY_CHANNEL)
        self._inputs[layer.name] = Lanes(axis, read)
        self._outputs[layer.name] = made
        result = Lanes(output, made)
        self._follow(layer.weight, Lanes(0, made))
        if layer.kind != DEPTHWISE:
            per_group = len(read) // layer.groups
            self._follow(layer.weight, Lanes(1, read[:per_group]))
        if layer.bias is not None:
            self._follow(layer.bias, Lanes(0, made))
        return result

    def _join_groups(self, atoms: Atoms, groups: int) -> None:
        rows = atoms.reshape(groups, -1)
        for row in rows[1:]:
            self._partition.join(rows[0], row)

    def _follow(self, parameter: str, lanes: Lanes) -> None:
        self._followers.setdefault(parameter, []).append(lanes)

    # Operations on every channel by itself

    def _norm(self, node: Node) -> Lanes | None:
        lanes = self._lanes[node.reads(0) or ""]
        if lanes is None:
            return None
        if lanes.axis != 1:
            self._fix(lanes, self._reasons.reader(node, "batch norm across its channels"))
            return None
        for position in range(1, 5):
            name = node.reads(position)
            if name is not None:
                self._follow(name, Lanes(0, lanes.atoms))
        return lanes

    def _spatial(self, node: Node, name: str) -> Lanes | None:
        lanes = self._lanes.get(node.reads(0) or "")
        axes = len(self._shapes[node.reads(0) or ""])
        pads = cast(tuple[int, ...], node.args[1]) if name in ops.PADS else ()
        others = [self._lanes.get(item) for item in list(node.references())[1:]]
        if lanes is None or lanes.axis != 1 or len(pads) > 2 * (axes - 2) or any(item is not None for item in others):
            self._opaque(node, name)
            return None
        if name in ops.PRELU and self._tensors[node.reads(1) or ""].numel() > 1:
            self._follow(node.reads(1) or "", Lanes(0, lanes.atoms))
        elif name not in ops.PRELU and any(item in self._tensors for item in node.references()):
            self._opaque(node, name)  # an instance norm with parameters
            return None
        return lanes

    def _elementwise(self, node: Node) -> Lanes | None:
        shape = self._shapes[node.name]
        inputs = list(dict.fromkeys(node.references()))
        found: list[tuple[int, Atoms]] = []
        for item in inputs:
            lanes = self._lanes.get(item)
            if lanes is not None and len(lanes.atoms) > 1:  # a single channel stays, and goes with any number of others
                found.append((lanes.axis + len(shape) - len(self._shapes[item]), lanes.atoms))
        if not found:
            return None
        axis, atoms = found[0]
        for other, more in found[1:]:
            if other != axis or len(more) != len(atoms):
                self._opaque(node, ops.operator_name(node.op))
                return None
            self._partition.join(atoms, more)
        for item in inputs:
            if self._lanes.get(item) is not None or item in self._sizes:
                continue
            own = tuple(self._tensors[item].shape) if item in self._tensors else self._shapes[item]
            place = axis - (len(shape) - len(own))
            if place < 0 or own[place] == 1:
                continue
            if item not in self._tensors:
                self._fix(Lanes(axis, atoms), self._combined(item))
                return None
            self._follow(item, Lanes(place, atoms))
        return Lanes(axis, atoms)

    def _combined(self, value: str) -> str:
        """The reason of channels that are combined with `value`, whose channels stay."""
        return COMBINED.format(self._reasons.origin(value, self._partition, self._outputs, self._lanes))

    def _reduced(self, node: Node) -> Lanes | None:
        source = node.reads(0) or ""
        lanes = self._lanes.get(source)
        given = node.args[1] if len(node.args) > 1 else None
        axes = len(self._shapes[source])
        if lanes is None or not isinstance(given, tuple) or not given:
            self._opaque(node, ops.operator_name(node.op))
            return None
        gone = {cast(int, item) % axes for item in given}
        if lanes.axis in gone:
            self._opaque(node, f"{ops.operator_name(node.op)} over its channels")
            return None
        kept = len(self._shapes[node.name]) == axes
        return Lanes(lanes.axis if kept else lanes.axis - sum(item < lanes.axis for item in gone), lanes.atoms)

    # Operations that move values

    def _move(self, node: Node, name: str) -> None:
        try:
            result = resolve(node.op)(
                *(self._labels(item) for item in node.args), **{key: self._labels(value) for key, value in node.kwargs}
            )
        except (RuntimeError, KeyError):  # made for another type than that of labels, or reads something unknown
            self._opaque(node, name)
            return
        values = result if isinstance(result, list | tuple) else [result]
        lanes = [self._partition.compress(cast(torch.Tensor, value).numpy()) for value in values]
        read = {item: self._lanes.get(item) for item in node.references() if item not in self._sizes}
        source = next((item for item in read.values() if item is not None), None)
        staying = next((name for name, item in read.items() if item is None), None)
        if staying is not None and source is not None:
            self._partition.explain(source.atoms, self._combined(staying))
        position = {ops.SLICE: 1, ops.SPLIT: 2, ops.SPLIT_SIZES: 2, ops.CHUNK: 2}.get(name)
        axis = node.argument(position, 0) if position is not None else None
        self._axes[node.name] = axis % len(self._shapes[node.reads(0) or ""]) if isinstance(axis, int) else None
        if name in ops.SIZED and not self._can_resize(node, name, lanes, source):
            self._opaque(node, name)
            return
        if name in ops.SIZED:
            self._resized[node.name] = (lanes, source)
        if isinstance(result, list | tuple):
            self._lists[node.name] = lanes
        else:
            self._lanes[node.name] = lanes[0]

    def _can_resize(self, node: Node, name: str, lanes: Sequence[Lanes | None], source: Lanes | None) -> bool:
        """Whether `learners.channel.surgery` can write the arguments for fewer channels."""
        if name == ops.SLICE:
            return source is None or self._axes[node.name] != source.axis or node.argument(4, 1) == 1
        if name in (ops.RESHAPE, ops.EXPAND) and lanes[0] is not None:
            size = cast(tuple[Argument, ...], node.args[1])[lanes[0].axis]
            return not isinstance(size, Ref)
        return True

    def _labels(self, argument: Argument) -> object:
        if isinstance(argument, Ref):
            if argument.name in self._sizes:
                return self._sizes[argument.name]
            shape = self._shapes[argument.name]
            lanes = self._lanes.get(argument.name)
            atoms = np.full(shape, FIXED) if lanes is None else lanes.expand(shape)
            return torch.from_numpy(np.array(atoms))
        if isinstance(argument, tuple):
            return [self._labels(item) for item in argument]
        return argument

    # The result

    def _coupling(self) -> Coupling:
        partition = self._partition
        self._fix_conflicts()

        def slot(lanes: Lanes) -> Slot:
            return Slot(lanes.axis, partition.roots(lanes.atoms))

        tensors: dict[str, tuple[Slot, ...]] = {}
        for name, found in self._followers.items():
            by_axis = {lanes.axis: slot(lanes) for lanes in found}
            if any(item.units.any() for item in by_axis.values()):
                tensors[name] = tuple(by_axis[axis] for axis in sorted(by_axis))
        every = [*self._lanes.values(), *(item for part in self._lists.values() for item in part)]
        sets = {frozenset(partition.roots(lanes.atoms).tolist()) for lanes in every if lanes is not None}
        sets |= {frozenset(partition.roots(atoms).tolist()) for atoms in self._outputs.values()}
        resized = {
            name: Resized(
                name,
                tuple(None if item is None else slot(item) for item in found),
                None if source is None else slot(source),
                self._axes[name],
            )
            for name, (found, source) in self._resized.items()
        }
        outputs = {name: partition.roots(atoms) for name, atoms in self._outputs.items()}
        return Coupling(
            tensors=tensors,
            inputs={name: partition.roots(lanes.atoms) for name, lanes in self._inputs.items() if lanes is not None},
            outputs=outputs,
            resized=resized,
            together=tuple(sorted((item for item in sets if FIXED not in item), key=sorted)),
            reasons=self._reasons.of_layers(
                {layer.name: layer.source for layer in self._layers.values() if not outputs[layer.name].any()},
                partition,
                self._outputs,
                self._lanes,
            ),
        )

    def _fix_conflicts(self) -> None:
        """A parameter that is read in two ways shrinks the same way in both, or not at all."""
        for found in self._followers.values():
            first: dict[int, Lanes] = {}
            for lanes in found:
                if lanes.axis in first:
                    self._partition.join(first[lanes.axis].atoms, lanes.atoms)
                first.setdefault(lanes.axis, lanes)
        readers: dict[str, int] = {}
        for node in self._graph.nodes:
            for name in set(node.references()):
                readers[name] = readers.get(name, 0) + 1
        for name, found in self._followers.items():
            axes = {lanes.axis for lanes in found}
            if readers.get(name, 0) * len(axes) > len(found):  # somebody reads it whole
                for lanes in found:
                    self._partition.fix(lanes.atoms, SEVERAL_WAYS.format(name))


class _Fixed(list["Lanes | None"]):
    """The outputs of an operation of which nothing can go, however many there are."""

    def __getitem__(self, index: object) -> None:  # type: ignore[override]
        return None

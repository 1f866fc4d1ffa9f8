"""Folds batch norms into the layers before them and drops what does nothing at inference."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from learners.graph.graph import Graph, Node, Ref, replace_nodes, unused_name

IDENTITIES = frozenset(
    {
        "aten.dropout.default",
        "aten.feature_dropout.default",
        "aten.alpha_dropout.default",
        "aten.clone.default",
        "aten.detach.default",
        "aten.alias.default",
        "aten.contiguous.default",
        "aten.lift_fresh_copy.default",
    }
)
# A view needs a layout that folding and channels-last scoring change; a reshape does not.
VIEWS = frozenset({"aten.view.default", "aten._unsafe_view.default"})
BATCH_NORM = "aten._native_batch_norm_legit_no_training.default"
LINEAR = "aten.linear.default"
FOLDS_INTO = frozenset({"aten.conv2d.default", LINEAR})
RESHAPE = "aten.reshape.default"
BIAS_POSITION = 2  # of conv2d and linear alike
STRIDE_POSITION, PADDING_POSITION, DILATION_POSITION = 3, 4, 5


def fold(
    graph: Graph, tensors: dict[str, torch.Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[Graph, dict[str, torch.Tensor]]:
    """An equal graph without batch norms that follow a layer, and its tensors; `shapes` are those of all values.

    A batch norm is folded where it alone reads the layer, the layer's weight and bias are used once, and the channels
    are the layer's outputs (a batch norm of tokens is not so); in double precision. Others stay as they are. Every
    layer gets a bias.
    """
    graph = replace_nodes(graph, lambda node: _normalise(node, tensors))
    consumers = graph.consumers()
    tensors = dict(tensors)
    folded: dict[str, Node] = {}  # layers with their new bias
    gone: dict[str, str] = {}  # batch norms and their first outputs -> the layer
    for node in graph.nodes:
        if node.op != BATCH_NORM:
            continue
        layer = graph.node(node.reads(0) or "")
        readers = consumers.get(node.name, [])
        if layer is None or layer.op not in FOLDS_INTO or len(consumers[layer.name]) != 1:
            continue
        weight, bias = layer.reads(1), layer.reads(BIAS_POSITION)
        alone = all(name in tensors and len(consumers[name]) == 1 for name in (weight, bias) if name is not None)
        tokens = layer.op == LINEAR and len(shapes[layer.name]) != 2  # the channels of a batch norm are axis 1
        if weight is None or not alone or tokens or any(item.args[1] != 0 for item in readers):
            continue
        folded[layer.name] = _fold_one(layer, node, tensors)
        gone[node.name] = layer.name
        gone.update({item.name: layer.name for item in readers})

    def edit(node: Node) -> Node | str:
        if node.name in gone:
            return gone[node.name]
        replacement = folded.get(node.name)
        return Node(node.name, node.op, (node.args[0], *replacement.args[1:])) if replacement else node

    graph = replace_nodes(graph, edit)
    graph = replace_nodes(graph, lambda node: _with_bias(node, tensors))
    return graph, {name: tensors[name] for name in graph.parameters()}


def norm_gammas(graph: Graph, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """|gamma| of each batch norm that directly follows a layer, by the layer's name; before anything is folded."""
    found = {}
    for node in graph.nodes:
        layer, gamma = graph.node(node.reads(0) or ""), node.reads(1)
        if node.op != BATCH_NORM or gamma is None or layer is None:
            continue
        if gamma in tensors and layer.op in FOLDS_INTO:
            found[(layer.reads(1) or "").removesuffix(".weight")] = tensors[gamma].abs()
    return found


def _bias_name(weight: str, tensors: Mapping[str, torch.Tensor]) -> str:
    """A name for the bias that a layer has not had; what is called so already may be another operation's."""
    return unused_name(weight.removesuffix("weight") + "bias", tensors)


def _with_bias(node: Node, tensors: dict[str, torch.Tensor]) -> Node:
    """The layer with a bias of zeros if it has none: bias correction needs a place."""
    weight = node.reads(1)
    if node.op not in FOLDS_INTO or weight not in tensors or node.reads(BIAS_POSITION) is not None:
        return node
    bias = _bias_name(weight, tensors)
    tensors[bias] = torch.zeros(len(tensors[weight]))
    return Node(node.name, node.op, (*node.args[:BIAS_POSITION], Ref(bias), *node.args[BIAS_POSITION + 1 :]))


def _normalise(node: Node, tensors: dict[str, torch.Tensor]) -> Node | str:
    if node.op in IDENTITIES:
        source = node.reads(0)
        assert source is not None
        return source
    if node.op in VIEWS:
        return Node(node.name, RESHAPE, node.args)
    if node.op == "aten.conv2d.padding":
        return _explicit_padding(node, tensors)
    return node


def _explicit_padding(node: Node, tensors: dict[str, torch.Tensor]) -> Node:
    """`padding="same"` or "valid" as numbers, where they are the same on both sides."""
    weight = tensors.get(node.reads(1) or "")
    args = [*node.args, *((1, 1), "valid", (1, 1), 1)[len(node.args) - STRIDE_POSITION :]]
    dilation = args[DILATION_POSITION]
    if weight is None or not isinstance(dilation, tuple):
        return node
    steps = dilation if len(dilation) == 2 else dilation * 2
    reach = [int(step) * (size - 1) for step, size in zip(steps, weight.shape[2:], strict=True)]  # type: ignore[arg-type]
    if args[PADDING_POSITION] == "same":
        if any(item % 2 for item in reach):
            return node
        args[PADDING_POSITION] = tuple(item // 2 for item in reach)
    else:
        args[PADDING_POSITION] = (0, 0)
    return Node(node.name, "aten.conv2d.default", tuple(args))


def _fold_one(layer: Node, norm: Node, tensors: dict[str, torch.Tensor]) -> Node:
    """Puts the scaled weight and bias into `tensors`; the layer as it reads them."""
    weight_name = layer.reads(1)
    bias_name = layer.reads(BIAS_POSITION)
    assert weight_name is not None
    weight = tensors[weight_name].double()
    gamma, beta, mean, variance = (
        tensors[name].double() if (name := norm.reads(position)) is not None else None for position in (1, 2, 3, 4)
    )
    assert mean is not None
    assert variance is not None
    epsilon = norm.args[6]
    assert isinstance(epsilon, float)
    scale = torch.rsqrt(variance + epsilon)
    if gamma is not None:
        scale = scale * gamma
    bias = tensors[bias_name].double() if bias_name is not None else torch.zeros_like(mean)
    bias = (bias - mean) * scale
    if beta is not None:
        bias = bias + beta
    shape = (-1, *[1] * (weight.dim() - 1))
    tensors[weight_name] = (weight * scale.reshape(shape)).float()
    new_bias = bias_name or _bias_name(weight_name, tensors)
    tensors[new_bias] = bias.float()
    return Node(layer.name, layer.op, (*layer.args[:BIAS_POSITION], Ref(new_bias), *layer.args[BIAS_POSITION + 1 :]))

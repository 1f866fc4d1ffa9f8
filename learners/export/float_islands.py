"""Float layers that read and feed int8 tensors stay in float.

ONNX Runtime quantises the float weights of a Conv or Gemm that stands between a dequantise and a quantise operation
by itself, with one scale for the whole weight (its pass "weight bias quantization"). A layer that is left in float32
because int8 hurts it would run in worse int8 than any candidate has. The pass looks for a quantise operation behind
nothing but Relu and Clip, once others have moved it in front of what only moves values and have folded constant factors
and summands into the layer. A LeakyRelu ends its search, is the same function of finite values at the slopes 0 (Relu)
and 1 (identity), and is fused into the layer as Relu is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import onnx
from onnx import helper

from learners.export.region import CLAMPS, MOVES

# What the pass looks at. A MatMul becomes a Gemm only if it has two axes, which exporters write as Gemm at once.
LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm"})
# Go into the layer before them if their other inputs are constant.
FOLDED = frozenset({"Add", "Mul", "BatchNormalization"})
BEFORE = "_f"  # ends the name of an output that is only read by the identity behind it


def keep_in_float(nodes: Sequence[onnx.NodeProto], constants: Collection[str]) -> list[onnx.NodeProto]:
    """The nodes, in order, with a LeakyRelu behind every float layer between int8 tensors. The nodes are changed;
    `constants` are the names of the initializers."""
    maker = {name: node for node in nodes for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    kept = []
    for node in nodes:
        kept.append(node)
        if not _reads_int8_in_float(node, maker) or not _feeds_int8(node, constants, readers):
            continue
        (reader,) = readers[node.output[0]]
        if reader.op_type == "Relu":
            reader.CopyFrom(helper.make_node("LeakyRelu", reader.input, reader.output, reader.name, alpha=0.0))
        else:
            name = node.output[0]
            node.output[0] = name + BEFORE
            kept.append(helper.make_node("LeakyRelu", [name + BEFORE], [name], alpha=1.0))
    return kept


def _reads_int8_in_float(node: onnx.NodeProto, maker: Mapping[str, onnx.NodeProto]) -> bool:
    """Whether the node is a layer whose input is dequantised, perhaps moved, and whose weight is not."""
    if node.op_type not in LAYERS or _is_dequantised(node.input[1], maker):
        return False
    source = node.input[0]
    while source in maker and maker[source].op_type in MOVES:
        source = maker[source].input[0]
    return _is_dequantised(source, maker)


def _is_dequantised(name: str, maker: Mapping[str, onnx.NodeProto]) -> bool:
    return name in maker and maker[name].op_type == "DequantizeLinear"


def _feeds_int8(
    node: onnx.NodeProto, constants: Collection[str], readers: Mapping[str, Sequence[onnx.NodeProto]]
) -> bool:
    """Whether the output is quantised, at once or behind what the runtime folds or moves, and nothing else reads it on
    the way."""
    while True:
        name = node.output[0]
        following = readers.get(name, [])
        if len(following) != 1:
            return False
        node = following[0]
        folds = node.op_type in FOLDED and all(other in constants for other in node.input if other != name)
        if node.op_type not in CLAMPS | MOVES and not folds:
            return node.op_type == "QuantizeLinear"

"""Float layers that read and feed int8 tensors stay in float.

ONNX Runtime quantises the float weights of a Conv or Gemm that stands between a dequantise and a quantise operation
by itself, with one scale for the whole weight (its pass "weight bias quantization"). A layer that is left in float32
because int8 hurts it would run in worse int8 than any candidate has. The pass looks for a quantise operation behind
nothing but Relu and Clip, once others have moved it in front of what only moves values. A LeakyRelu ends its search,
is the same function at the slopes 0 (Relu) and 1 (identity), and is fused into the layer as Relu is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
from onnx import helper

from learners.export.region import CLAMPS, MOVES

LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm"})  # that the pass looks at; MatMul is not among them
BEFORE = "_f"  # ends the name of an output that is only read by the identity behind it


def keep_in_float(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The nodes, in order, with a LeakyRelu behind every float layer between int8 tensors. The nodes are changed."""
    maker = {name: node for node in nodes for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    kept = []
    for node in nodes:
        kept.append(node)
        if not _reads_int8_in_float(node, maker) or not _feeds_int8(node, readers):
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
    """Whether the node is a layer whose input is dequantised and whose weight is not."""
    if node.op_type not in LAYERS:
        return False
    source, weight = (name in maker and maker[name].op_type == "DequantizeLinear" for name in node.input[:2])
    return source and not weight


def _feeds_int8(node: onnx.NodeProto, readers: Mapping[str, Sequence[onnx.NodeProto]]) -> bool:
    """Whether the output is quantised, at once or behind clamps and moves, and nothing else reads it on the way."""
    while True:
        following = readers.get(node.output[0], [])
        if len(following) != 1:
            return False
        node = following[0]
        if node.op_type not in CLAMPS | MOVES:
            return node.op_type == "QuantizeLinear"

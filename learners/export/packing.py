"""Puts a candidate together: the packed model, from which every other file is derived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, numpy_helper

from learners.analysis import Analysis
from learners.base import Adapted, LevelWeights
from learners.channel.onnx_surgery import cut_onnx
from learners.export.activations import Range
from learners.export.qdq import Quantised, external, quantise
from learners.quant.grid import storable_bias
from learners.stitch import other_tensors, stitched_graph
from objectives.runtimes.packed import initializers
from storage.codes import coded_bytes, packed_bytes
from storage.slim import InputContract, PackedLayer, PackedModel, PackedTensor, row_bytes

INLINE_BYTES = 64  # float constants up to this size, bounds, stay in the template
# Shapes, splits and pads do, too: runtimes want them when they read it. Only maps of many indices are larger.
INLINE_INTEGER_BYTES = 4096
FLOAT_BITS = 32
MAP_BITS = 1  # of the zeros and ones of an index map


def level_bytes(bits: int, rows: int, weights: int, counts: npt.NDArray[np.int64] | None) -> float:
    """What a layer adds to `model.slim` at a width; every layer has a bias. `counts` as in `weight_bytes`."""
    beside = 4 * rows if bits == FLOAT_BITS else row_bytes(bits, rows, bias=True)
    return weight_bytes(bits, weights, counts) + beside


def weight_bytes(bits: int, weights: int, counts: npt.NDArray[np.int64] | None) -> float:
    """What `weights` weights take in `model.slim`. `counts` [2^bits] are of their codes, None in float32; or of codes
    that are as frequent in theirs."""
    if bits == FLOAT_BITS:
        return 4.0 * weights
    assert counts is not None
    coded = coded_bytes(counts)
    return packed_bytes(bits, weights) if coded is None else coded * weights / int(counts.sum())


def pack_candidate(
    analysis: Analysis, adapted: Adapted, ranges: Mapping[str, Range], contract: InputContract
) -> PackedModel:
    """The packed model of a candidate, its channels taken out and its layers at their widths."""
    kept, levels = adapted.kept, adapted.weights
    low = [layer.name for layer in analysis.layers if levels[layer.name].codes is not None]
    floats = float_tensors_of(analysis, adapted)
    model = cut_onnx(analysis.template, analysis.lanes, analysis.coupling, kept, _onnx_values(analysis, floats))
    quantised = quantise(model, analysis.nodes, low, ranges, [layer.name for layer in analysis.maps])
    maps = {layer.name: levels[layer.name] for layer in analysis.maps}
    layers = tuple(
        _packed_layer(
            _one_bit(maps[item.node.name]) if item.node.name in maps else levels[item.node.name],
            item.node.name,
            item.node.form,
            item.activation,
        )
        for item in quantised.layers
    )
    tensors = _other_tensors(analysis, quantised, {layer.name for layer in layers}, floats)
    template = _take_out(quantised.template, {item.name for item in tensors if item.use != "torch"})
    return PackedModel(
        contract=contract,
        graph=stitched_graph(analysis, kept).compact().to_json(),
        template=template,
        activations=quantised.activations,
        layers=layers,
        tensors=tensors,
    )


def float_tensors_of(analysis: Analysis, adapted: Adapted) -> dict[str, torch.Tensor]:
    """The tensors of a candidate's graph, zeros in the right shape where a layer has codes."""
    found = other_tensors(analysis, adapted.kept)
    for layer in (*analysis.layers, *analysis.maps):
        level = adapted.weights[layer.name]
        shape = level.codes.shape if level.codes is not None else None
        found[layer.weight] = level.weight() if shape is None else torch.zeros(shape)
        if layer.bias is not None:
            assert level.bias is not None
            found[layer.bias] = level.bias
    return found


def _onnx_values(analysis: Analysis, tensors: Mapping[str, torch.Tensor]) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors as the template's initializers have them."""
    transposed = {node.weight for node in analysis.nodes.values() if node.form == "matmul"}
    return {name: (item.T if name in transposed else item).contiguous().numpy() for name, item in tensors.items()}


def _one_bit(level: LevelWeights) -> LevelWeights:
    """An index map's zeros and ones as codes of one bit."""
    assert level.values is not None
    assert level.bias is not None
    bias, exponent = storable_bias(level.bias)
    rows = len(level.values)
    return replace(
        level,
        bits=MAP_BITS,
        values=None,
        codes=level.values.to(torch.uint8),
        scale=torch.ones(rows, dtype=torch.float16),
        zero=torch.zeros(rows, dtype=torch.uint8),
        bias=bias,
        bias_exponent=exponent,
    )


def assemble_onnx(model: PackedModel) -> bytes:
    """The packed model as one ordinary ONNX file: its template with all tensors in it."""
    proto = onnx.load_from_string(model.template)
    arrays = initializers(model)
    filled = [
        numpy_helper.from_array(arrays[item.name], item.name) if item.data_location == TensorProto.EXTERNAL else item
        for item in proto.graph.initializer
    ]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(filled)
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def _packed_layer(level: LevelWeights, name: str, form: str, activation: int) -> PackedLayer:
    assert level.codes is not None
    assert level.scale is not None
    assert level.zero is not None
    bias = None
    if level.bias is not None:
        bias = (level.bias.numpy() * np.float32(2.0**-level.bias_exponent)).astype(np.float16)
    return PackedLayer(
        name=name,
        form=form,
        bits=level.bits,
        codes=level.codes.numpy(),
        scale=level.scale.numpy(),
        zero=level.zero.numpy(),
        bias=bias,
        activation=activation,
        exponent=level.exponent,
        bias_exponent=level.bias_exponent,
    )


def _other_tensors(
    analysis: Analysis, quantised: Quantised, packed: set[str], tensors: Mapping[str, torch.Tensor]
) -> tuple[PackedTensor, ...]:
    """What is stored as it is: tensors of the graph that no packed layer holds, and large constants of the template."""
    covered = {
        name
        for layer in (*analysis.layers, *analysis.maps)
        if layer.name in packed
        for name in (layer.weight, layer.bias)
    }
    transposed = {node.weight for node in analysis.nodes.values() if node.form == "matmul"}
    inline = {item.name: item for item in quantised.template.graph.initializer}
    found = []
    for name in analysis.graph.parameters():
        if name in covered:
            continue
        use = "torch" if name not in inline else "transposed" if name in transposed else "both"
        found.append(PackedTensor(name, tensors[name].numpy(), use))
    known = {item.name for item in found}
    for name, tensor in inline.items():
        if name not in known and tensor.data_location != TensorProto.EXTERNAL:
            array = numpy_helper.to_array(tensor)
            if array.nbytes > (INLINE_INTEGER_BYTES if array.dtype.kind in "iu" else INLINE_BYTES):
                found.append(PackedTensor(name, array, "onnx"))
    return tuple(found)


def _take_out(template: onnx.ModelProto, names: set[str]) -> bytes:
    """The serialised template with the initializers called `names` declared as external."""
    kept: Sequence[onnx.TensorProto] = [
        external(item.name, item.data_type, list(item.dims)) if item.name in names else item
        for item in template.graph.initializer
    ]
    del template.graph.initializer[:]
    template.graph.initializer.extend(kept)
    data: bytes = template.SerializeToString(deterministic=True)
    return data

"""What every file of a candidate must satisfy, computed without the code that makes it where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import onnx
import onnxruntime
import torch

from learners.channel.coupling import Coupling
from learners.channel.surgery import Kept
from learners.device import single_thread
from learners.export.packing import assemble_onnx
from learners.graph.graph import Graph
from learners.graph.layers import DEPTHWISE, Layer
from learners.graph.module import GraphModule
from learners.graph.run import Program
from learners.materialise import materialise
from objectives.runtimes.onnxruntime import LOG_ERRORS_ONLY, PROVIDER
from objectives.runtimes.packed import PackedSession
from storage.records.space import CHANNEL, FLOAT_BITS, QUANT, SearchSpace
from storage.slim import PackedModel, pack, unpack
from tests.built import Built, Floats

EXACT = 1e-5  # of the largest output, between float32 computations in another order
SMALL_FILE_BYTES = 64  # what 2 % of a file of some kilobytes would be too little for
SIZE_SHARE = 0.02
# Where float32 and int8 layers alternate, every border has a grid of its own, which no table knows of.
BORDER_BYTES = 90

Levels = tuple[int, ...]


def difference(found: Floats, wanted: Floats) -> float:
    """The largest, relative to the largest output."""
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max() / max(1.0, float(np.abs(wanted).max())))


def onnx_session(
    data: bytes,
    level: onnxruntime.GraphOptimizationLevel = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
) -> Callable[[Floats], Floats]:
    """A session of ONNX Runtime itself, so that a test does not use ours."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = level
    options.log_severity_level = LOG_ERRORS_ONLY
    session = onnxruntime.InferenceSession(data, options, providers=[PROVIDER])
    source = session.get_inputs()[0].name

    def run(batch: Floats) -> Floats:
        output: Floats = session.run(None, {source: batch})[0]
        return output

    return run


def random_levels(space: SearchSpace, generator: np.random.Generator) -> Levels:
    """Any candidate."""
    return tuple(int(generator.integers(len(site.levels))) for site in space.sites)


def with_bits(space: SearchSpace, levels: Levels, bits: int) -> Levels:
    """The candidate with the channels of `levels` and one width everywhere."""
    uniform = space.uniform_bits(bits)
    pairs = zip(space.sites, levels, uniform, strict=True)
    return tuple(level if site.learner == CHANNEL else other for site, level, other in pairs)


def check_files(network: Built, levels: Levels) -> PackedModel:
    """Asserts that a candidate's files agree with each other, have its channels, its size and its MACs."""
    data = pack(network.packed(levels))
    model = unpack(data)
    stitched = network.stitched(levels)
    module = materialise(model)
    with single_thread(), torch.no_grad():
        materialised = module(torch.from_numpy(network.images)).numpy()
    assert difference(materialised, stitched) < EXACT
    exported = assemble_onnx(model)
    slim = PackedSession(model)(network.images)
    assert difference(onnx_session(exported)(network.images), slim) < EXACT
    check_channels(network, levels, module, exported, model)
    space = network.library.space
    assert space.macs(levels) == onnx_macs(exported, map_weights(network, model))
    assert abs(space.size_bytes(levels) - len(data)) <= max(SIZE_SHARE * len(data), few_bytes(network, levels, model))
    return model


def check_channels(network: Built, levels: Levels, module: GraphModule, exported: bytes, model: PackedModel) -> None:
    """Asserts that the weights in both files have as many channels as the levels say, and no more."""
    space, state = network.library.space, module.state_dict()
    owner = {layer.name: layer for layer in (*network.library.analysis.layers, *network.library.analysis.maps)}
    initializers = {item.name: tuple(item.dims) for item in onnx.load_from_string(exported).graph.initializer}
    places = {layer.name: index for index, layer in enumerate(model.layers)}
    for site, level in zip(space.sites, space.choose(levels), strict=True):
        if site.learner != CHANNEL:
            continue
        shape = tuple(state[owner[site.name].weight].shape)
        assert shape[0] == level.channels
        assert shape[0] < owner[site.name].shape[0] or level is site.levels[0]
    for name, layer in owner.items():
        shape = tuple(state[layer.weight].shape)
        stored = initializers[f"l{places[name]}w" if name in places else layer.weight]
        form = network.library.analysis.nodes[name].form
        assert stored == (shape[::-1] if form == "matmul" else shape)


def map_weights(network: Built, model: PackedModel) -> set[str]:
    """The weights of index maps in the ONNX file: they multiply by one, which nobody counts."""
    maps = {layer.name: layer.weight for layer in network.library.analysis.maps}
    places = {layer.name: index for index, layer in enumerate(model.layers)}
    return {f"l{places[name]}w" if name in places else weight for name, weight in maps.items()}


def few_bytes(network: Built, levels: Levels, model: PackedModel) -> int:
    """How far off the predicted size of a file of some kilobytes may be."""
    library = network.library
    bits = [
        level.bits
        for site, level in zip(library.space.sites, library.space.choose(levels), strict=True)
        if site.learner == QUANT
    ]
    in_float = bits.count(FLOAT_BITS)
    borders = BORDER_BYTES * in_float if in_float < len(bits) else 0
    # The costs take index maps for one bit wide, and spread what the dense model's are in float32 over all layers. One
    # that reads the model's input is in float32 beside int8 layers, too.
    packed = {layer.name for layer in model.layers}
    maps = sum(4 * prod(layer.shape) for layer in library.analysis.maps if in_float or layer.name not in packed)
    return SMALL_FILE_BYTES + borders + maps


def onnx_macs(data: bytes, uncounted: set[str]) -> int:
    """Multiply-accumulates of one sample, counted from the shapes that an ONNX file's tensors have when it runs."""
    model = onnx.load_from_string(data)
    shapes = {item.name: tuple(item.dims) for item in model.graph.initializer}
    sources = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    found: dict[str, int] = {}  # what is counted at -> the multiply-accumulates of each of its values
    for node in model.graph.node:
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            continue
        weight = sources.get(node.input[1], node.input[1])
        if weight not in shapes or weight in uncounted:
            continue
        # A MatMul's weight is [in, out], and so is a Gemm's that is not transposed; all others have a row a value.
        transposed = any(item.name == "transB" and item.i for item in node.attribute)
        by_column = node.op_type == "MatMul" or (node.op_type == "Gemm" and not transposed)
        values = prod(shapes[weight]) // shapes[weight][1 if by_column else 0]
        at = node.input[0] if node.op_type == "ConvTranspose" else node.output[0]
        found[at] = found.get(at, 0) + values
    sizes = _sizes(model, list(found))
    return sum(sizes[name] * each for name, each in found.items())


def _sizes(model: onnx.ModelProto, names: list[str]) -> dict[str, int]:
    """How many values each of some tensors has for one sample."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    source = model.graph.input[0]
    shape = (1, *(axis.dim_value for axis in source.type.tensor_type.shape.dim[1:]))
    values = session.run(names, {source.name: np.zeros(shape, np.float32)})
    return {name: value.size for name, value in zip(names, values, strict=True)}


def masked(
    graph: Graph, tensors: dict[str, torch.Tensor], coupling: Coupling, layers: list[Layer], kept: Kept, x: torch.Tensor
) -> torch.Tensor:
    """Output of the dense graph whose readers ignore the removed channels: what surgery must leave."""
    changed = dict(tensors)
    for layer in layers:
        if layer.kind == DEPTHWISE:
            continue
        weight = tensors[layer.weight].clone()
        stays = torch.from_numpy(kept[coupling.inputs[layer.name]]).reshape(layer.groups, -1)
        for part, places in zip(weight.chunk(layer.groups), stays, strict=True):
            part[:, ~places] = 0
        changed[layer.weight] = weight
    with single_thread(), torch.no_grad():
        return Program(graph)(changed, x)

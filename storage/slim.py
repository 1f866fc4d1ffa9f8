"""The packed format, `model.slim`: true bit-widths, float16 scales and biases, a compressed graph, checksums.

Needs numpy and the standard library only. Layout, little-endian::

    4 bytes   magic "SLIM"
    2 bytes   version
    4 bytes   length of the compressed header
    16 bytes  BLAKE2b digest of everything after it
    header    raw LZMA2: lengths, JSON of names and shapes, the graph (JSON), the ONNX template
    payload   activations: float32 scales, uint8 zero points
              each layer: codes, `bits` wide, lowest bit first, padded to a byte; float16 scales; uint8 zero points
              (not at 8 bits, where they are constant); float16 biases
              each other tensor: raw

The same model gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from storage.errors import PackedFileError

Array: TypeAlias = npt.NDArray[Any]

MAGIC = b"SLIM"
VERSION = 2
PREFIX = struct.Struct("<4sHI16s")
LENGTHS = struct.Struct("<III")
DIGEST_BYTES = 16
BYTE_BITS = 8
BYTE_ZERO = 128  # see learners.quant.grid: 8-bit codes are int8 values around 64
BYTE_ZEROS = {1: 254, VERSION: BYTE_ZERO}  # by version; the first one had them around 127
FILTERS = ({"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 3, "lp": 0, "pb": 0},)
LARGEST_EXPONENT = 160  # float32 reaches from 2^-149 to 2^128
LARGEST_HEADER = 64 * 2**20  # a graph is kilobytes; more is an attack on memory
WIDTHS = (1, 2, 3, 4, 5, 6, 8)  # twice a 7-bit code does not fit into the int8 that the weight is run as
# What reading lies can raise: a checksum proves that a file is whole, not that it is honest.
MALFORMED = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    RecursionError,
    struct.error,
    lzma.LZMAError,
)
USES = ("both", "transposed", "torch", "onnx")
DTYPES = ("float32", "float16", "int64", "int32", "int8", "uint8", "bool", "float64")


@dataclass(frozen=True)
class Activation:
    """The uint8 grid of one activation tensor: value = scale * (code - zero)."""

    scale: float  # float32
    zero: int


@dataclass(frozen=True)
class PackedLayer:
    """A layer with low-bit weights: weight[o] = 2^exponent * scale[o] / 2 * (2 * codes[o] - zero[o])."""

    name: str
    form: str  # "conv" and "gemm" have weights [out, ...] and int32 biases; "matmul" [in, out] and a float one
    bits: int
    codes: Array  # uint8 [out, ...]
    scale: Array  # float16 [out]
    zero: Array  # uint8 [out]
    bias: Array | None  # float16 [out]
    activation: int  # which activation it reads
    exponent: int = 0
    bias_exponent: int = 0  # the bias is 2^bias_exponent times what is stored

    def float_scale(self) -> npt.NDArray[np.float32]:
        """The scales [out] with their power of two; exact in float32."""
        return np.ldexp(self.scale.astype(np.float32), self.exponent)

    def float_bias(self) -> npt.NDArray[np.float32]:
        """The biases [out] with their power of two. ValueError if the layer has none."""
        if self.bias is None:
            raise ValueError(f"layer {self.name} has no bias")
        return np.ldexp(self.bias.astype(np.float32), self.bias_exponent)


@dataclass(frozen=True)
class InputContract:
    """What a caller must feed: float32 [n, *shape], each channel (x - mean) / std with x in [0, 1]."""

    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PackedTensor:
    """A tensor that is stored as it is."""

    name: str
    array: Array
    use: str = "both"  # "both"; "transposed" for ONNX; "torch": only the graph reads it; "onnx": only the template


@dataclass(frozen=True)
class PackedModel:
    """Everything in a `model.slim`."""

    contract: InputContract
    graph: str  # learners.graph.Graph as JSON, of the dense model
    template: bytes  # ONNX without the tensors below
    activations: tuple[Activation, ...]
    layers: tuple[PackedLayer, ...]
    tensors: tuple[PackedTensor, ...]


def layer_bytes(bits: int, rows: int, weights: int, bias: bool) -> int:
    """Payload bytes of a layer of `rows` output channels and `weights` weights."""
    zeros = 0 if bits == BYTE_BITS else rows
    return (weights * bits + 7) // 8 + 2 * rows + zeros + (2 * rows if bias else 0)


def pack(model: PackedModel) -> bytes:
    """The file's bytes."""
    document = {
        "input": [model.contract.shape, model.contract.mean, model.contract.std, model.contract.classes],
        "activations": len(model.activations),
        "layers": [
            [
                layer.name,
                layer.form,
                layer.bits,
                layer.codes.shape,
                int(layer.bias is not None),
                layer.activation,
                layer.exponent,
                layer.bias_exponent,
            ]
            for layer in model.layers
        ],
        "tensors": [[item.name, str(item.array.dtype), item.array.shape, item.use] for item in model.tensors],
    }
    texts = [json.dumps(document, separators=(",", ":")).encode(), model.graph.encode(), model.template]
    header = lzma.compress(
        LENGTHS.pack(*map(len, texts)) + b"".join(texts), format=lzma.FORMAT_RAW, filters=list(FILTERS)
    )
    payload = [
        np.array([item.scale for item in model.activations], "<f4").tobytes(),
        np.array([item.zero for item in model.activations], np.uint8).tobytes(),
    ]
    for layer in model.layers:
        payload.append(pack_codes(layer.codes, layer.bits))
        payload.append(layer.scale.astype("<f2").tobytes())
        if layer.bits != BYTE_BITS:
            payload.append(layer.zero.astype(np.uint8).tobytes())
        if layer.bias is not None:
            payload.append(layer.bias.astype("<f2").tobytes())
    payload.extend(np.ascontiguousarray(item.array).tobytes() for item in model.tensors)
    body = header + b"".join(payload)
    return PREFIX.pack(MAGIC, VERSION, len(header), _digest(body)) + body


def unpack(data: bytes) -> PackedModel:
    """Inverse of `pack`. Raises PackedFileError, which says what is wrong, for anything else than its output."""
    if len(data) < PREFIX.size or data[:4] != MAGIC:
        raise PackedFileError("not a model.slim file: it does not begin with SLIM; pass the file that export wrote")
    _, version, header_length, digest = PREFIX.unpack_from(data)
    if version not in BYTE_ZEROS:
        raise PackedFileError(
            f"model.slim of version {version}; this Slimfront reads up to version {VERSION}: upgrade it"
        )
    body = memoryview(data)[PREFIX.size :]
    if _digest(body) != digest:
        raise PackedFileError("model.slim is truncated or altered (checksum differs): copy or export it again")
    try:
        return _parse(bytes(body[:header_length]), body[header_length:], BYTE_ZEROS[version])
    except MALFORMED as error:
        raise PackedFileError(f"model.slim cannot be read ({error}): export it again") from error


def pack_codes(codes: Array, bits: int) -> bytes:
    """Codes below 2^bits, `bits` wide each, lowest bit first, padded to whole bytes."""
    flat = codes.reshape(-1).astype(np.uint8)
    if flat.size and int(flat.max()) >> bits:
        raise ValueError(f"code {int(flat.max())} does not fit into {bits} bits")
    planes = np.unpackbits(flat[:, None], axis=1, count=bits, bitorder="little")
    return np.packbits(planes.reshape(-1), bitorder="little").tobytes()


def unpack_codes(data: bytes | memoryview, bits: int, count: int) -> npt.NDArray[np.uint8]:
    """Inverse of `pack_codes`: `count` codes."""
    planes = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits, bitorder="little")
    return np.packbits(planes.reshape(count, bits), axis=1, bitorder="little").reshape(-1)


def _digest(body: bytes | memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest()


class _Reader:
    """Takes arrays off the front of a payload."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._position = 0

    def take(self, count: int) -> memoryview:
        part = self._data[self._position : self._position + count]
        if count < 0 or len(part) != count:
            raise ValueError("its payload is too short")
        self._position += count
        return part

    def array(self, dtype: str, shape: Sequence[int]) -> Array:
        size = prod(shape) * np.dtype(dtype).itemsize
        return np.frombuffer(self.take(size), dtype).reshape(shape)

    def finish(self) -> None:
        if self._position != len(self._data):
            raise ValueError("its payload is too long")


def _parse(header: bytes, payload: memoryview, byte_zero: int) -> PackedModel:
    decompressor = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=list(FILTERS))
    text = decompressor.decompress(header, max_length=LARGEST_HEADER)
    lengths = LENGTHS.unpack_from(text)
    parts, position = [], LENGTHS.size
    for length in lengths:
        parts.append(text[position : position + length])
        position += length
    if position != len(text):
        raise ValueError("its header has the wrong length")
    document = json.loads(parts[0])
    reader = _Reader(payload)
    count = int(document["activations"])
    scales, zeros = reader.array("<f4", [count]), reader.array("u1", [count])
    activations = tuple(Activation(float(s), int(z)) for s, z in zip(scales, zeros, strict=True))
    layers = tuple(_layer(reader, count, byte_zero, *entry) for entry in document["layers"])
    tensors = tuple(_tensor(reader, *entry) for entry in document["tensors"])
    reader.finish()
    shape, mean, std, classes = document["input"]
    contract = InputContract(tuple(shape), tuple(mean), tuple(std), tuple(classes))
    return PackedModel(contract, parts[1].decode(), parts[2], activations, layers, tensors)


def _layer(
    reader: _Reader,
    activations: int,
    byte_zero: int,
    name: str,
    form: str,
    bits: int,
    shape: list[int],
    bias: int,
    activation: int,
    exponent: int,
    bias_exponent: int,
) -> PackedLayer:
    if form not in ("conv", "gemm", "matmul") or bits not in WIDTHS or not 0 <= activation < activations:
        raise ValueError(f"its layer {name} is malformed")
    if not all(isinstance(item, int) and abs(item) <= LARGEST_EXPONENT for item in (exponent, bias_exponent)):
        raise ValueError(f"the exponents of its layer {name} are out of range")
    count, rows = prod(shape), shape[0]
    codes = unpack_codes(reader.take((count * bits + 7) // 8), bits, count).reshape(shape)
    scale = reader.array("<f2", [rows])
    zero = np.full(rows, byte_zero, np.uint8) if bits == BYTE_BITS else reader.array("u1", [rows])
    if bits != BYTE_BITS and (zero > 2 * (2**bits - 1)).any():
        raise ValueError(f"a zero point of its layer {name} lies outside the grid")
    kept = reader.array("<f2", [rows]) if bias else None
    return PackedLayer(name, form, bits, codes, scale, zero, kept, activation, exponent, bias_exponent)


def _tensor(reader: _Reader, name: str, dtype: str, shape: list[int], use: str) -> PackedTensor:
    if dtype not in DTYPES or use not in USES:
        raise ValueError(f"its tensor {name} is malformed")
    return PackedTensor(name, reader.array(dtype, shape), use)

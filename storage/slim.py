"""The packed format, `model.slim`: true bit-widths, float16 scales and biases, a compressed graph, checksums.

Needs numpy and the standard library only. Layout, little-endian::

    4 bytes   magic "SLIM"
    2 bytes   version
    4 bytes   length of the compressed header
    16 bytes  BLAKE2b digest of the version and of everything after the digest
    header    raw LZMA2: lengths, JSON of names and shapes, the graph (JSON), the ONNX template
    payload   activations: float32 scales, uint8 zero points
              each layer: codes, `bits` wide, lowest bit first, padded to a byte, or the table of its entropy code;
              float16 scales; uint8 zero points (not at 8 bits, where they are constant); float16 biases
              each other tensor: raw
              the stream of all entropy-coded layers (storage.rans), if there are any

The same model gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from storage import rans
from storage.codes import code_counts, coded_bytes, pack_codes, packed_bytes, unpack_codes
from storage.errors import PackedFileError

Array: TypeAlias = npt.NDArray[Any]

SLIM_FILE = "model.slim"  # what such a file is called
MAGIC = b"SLIM"
VERSION = 3
CODED, CODED_FIELDS = 3, 9  # the first version with entropy codes, and how many fields its layers have
PREFIX = struct.Struct("<4sHI16s")
LENGTHS = struct.Struct("<III")
DIGEST_BYTES = 16
BYTE_BITS = 8
BYTE_ZERO = 128  # see learners.quant.grid: 8-bit codes are int8 values around 64
BYTE_ZEROS = {1: 254, 2: BYTE_ZERO, VERSION: BYTE_ZERO}  # by version; the first one had them around 127
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
    MemoryError,
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


def row_bytes(bits: int, rows: int, bias: bool) -> int:
    """Payload bytes of a layer of `rows` output channels beside its codes."""
    zeros = 0 if bits == BYTE_BITS else rows
    return 2 * rows + zeros + (2 * rows if bias else 0)


def pack(model: PackedModel) -> bytes:
    """The file's bytes."""
    tables, stream = _entropy_coded(model.layers)
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
                int(table is not None),
            ]
            for layer, table in zip(model.layers, tables, strict=True)
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
    for layer, table in zip(model.layers, tables, strict=True):
        payload.append(pack_codes(layer.codes, layer.bits) if table is None else table.stored)
        payload.append(layer.scale.astype("<f2").tobytes())
        if layer.bits != BYTE_BITS:
            payload.append(layer.zero.astype(np.uint8).tobytes())
        if layer.bias is not None:
            payload.append(layer.bias.astype("<f2").tobytes())
    payload.extend(np.ascontiguousarray(item.array).tobytes() for item in model.tensors)
    payload.append(stream)
    body = header + b"".join(payload)
    return PREFIX.pack(MAGIC, VERSION, len(header), _digest(body, VERSION)) + body


def _entropy_coded(layers: Sequence[PackedLayer]) -> tuple[list[rans.Table | None], bytes]:
    """The tables of the layers that are entropy-coded, and the stream of their codes."""
    none: list[rans.Table | None] = [None] * len(layers)
    counts = [code_counts(layer.codes, layer.bits) for layer in layers]
    tables = [rans.Table.of(item) if coded_bytes(item) is not None else None for item in counts]
    coded = [(layer, table) for layer, table in zip(layers, tables, strict=True) if table is not None]
    if not coded:
        return none, b""
    stream = rans.encode([(layer.codes.reshape(-1), table) for layer, table in coded])
    total = sum(layer.codes.size for layer, _ in coded)
    packed = sum(packed_bytes(layer.bits, layer.codes.size) for layer, _ in coded)
    pays = len(stream) + sum(len(table.stored) for _, table in coded) < packed
    return (tables, stream) if pays and rans.fits(total, len(stream)) else (none, b"")


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
    if _digest(body, version) != digest:
        raise PackedFileError("model.slim is truncated or altered (checksum differs): copy or export it again")
    try:
        return _parse(bytes(body[:header_length]), body[header_length:], version)
    except MALFORMED as error:
        raise PackedFileError(f"model.slim cannot be read ({error}): export it again") from error


def _digest(body: bytes | memoryview, version: int) -> bytes:
    """Up to version 2 the version was not part of it."""
    digest = hashlib.blake2b(version.to_bytes(2, "little") if version >= CODED else b"", digest_size=DIGEST_BYTES)
    digest.update(body)
    return digest.digest()


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

    def rest(self) -> memoryview:
        """All that is left."""
        return self.take(len(self._data) - self._position)

    def finish(self) -> None:
        if self._position != len(self._data):
            raise ValueError("its payload is too long")


def _parse(header: bytes, payload: memoryview, version: int) -> PackedModel:
    decompressor = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=list(FILTERS))
    text = decompressor.decompress(header, max_length=LARGEST_HEADER)
    if not decompressor.eof or decompressor.unused_data:
        raise ValueError("its header is too long, or does not end where it should")
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
    layers, tables = [], []
    for entry in document["layers"]:
        if len(entry) != (CODED_FIELDS if version >= CODED else CODED_FIELDS - 1):
            raise ValueError("a layer of its header has another number of fields")
        layer, table = _layer(reader, count, BYTE_ZEROS[version], *entry)
        layers.append(layer)
        tables.append(table)
    tensors = tuple(_tensor(reader, *entry) for entry in document["tensors"])
    if any(tables):
        layers = _decoded(reader.rest(), layers, tables)
    reader.finish()
    shape, mean, std, classes = document["input"]
    contract = InputContract(tuple(shape), tuple(mean), tuple(std), tuple(classes))
    return PackedModel(contract, parts[1].decode(), parts[2], activations, tuple(layers), tensors)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _size(shape: object) -> int:
    """How many values a shape of the header has."""
    if not isinstance(shape, list) or not all(map(_is_count, shape)):
        raise ValueError("a shape in its header is none")
    return prod(shape)


def _decoded(
    stream: memoryview, layers: Sequence[PackedLayer], tables: Sequence[rans.Table | None]
) -> list[PackedLayer]:
    """The layers with the codes of those that have a table."""
    parts = [(prod(layer.codes.shape), table) for layer, table in zip(layers, tables, strict=True) if table]
    found = iter(rans.decode(stream, parts))
    return [
        replace(layer, codes=next(found).reshape(layer.codes.shape)) if table else layer
        for layer, table in zip(layers, tables, strict=True)
    ]


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
    coded: int = 0,
) -> tuple[PackedLayer, rans.Table | None]:
    """A layer, and the table of its codes if these are in the stream."""
    known = form in ("conv", "gemm", "matmul") and bits in WIDTHS and coded in (0, 1)
    if not known or not _is_count(activation) or activation >= activations:
        raise ValueError(f"its layer {name} is malformed")
    if not all(isinstance(item, int) and abs(item) <= LARGEST_EXPONENT for item in (exponent, bias_exponent)):
        raise ValueError(f"the exponents of its layer {name} are out of range")
    count, rows = _size(shape), shape[0]
    if coded:
        table = rans.Table(bytes(reader.take(1 << bits)))
        codes = np.broadcast_to(np.uint8(0), shape)  # until the stream is read; takes no memory
    else:
        table = None
        codes = unpack_codes(reader.take(packed_bytes(bits, count)), bits, count).reshape(shape)
    scale = reader.array("<f2", [rows])
    zero = np.full(rows, byte_zero, np.uint8) if bits == BYTE_BITS else reader.array("u1", [rows])
    if bits != BYTE_BITS and (zero > 2 * (2**bits - 1)).any():
        raise ValueError(f"a zero point of its layer {name} lies outside the grid")
    kept = reader.array("<f2", [rows]) if bias else None
    return PackedLayer(name, form, bits, codes, scale, zero, kept, activation, exponent, bias_exponent), table


def _tensor(reader: _Reader, name: str, dtype: str, shape: list[int], use: str) -> PackedTensor:
    if dtype not in DTYPES or use not in USES:
        raise ValueError(f"its tensor {name} is malformed")
    _size(shape)
    return PackedTensor(name, reader.array(dtype, shape), use)

"""The packed format: nothing is lost, and nothing damaged, foreign or malicious is taken for a model."""

from __future__ import annotations

import dataclasses
import json
import lzma
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import rans
from storage.codes import code_counts, coded_bytes, packed_bytes
from storage.errors import PackedFileError
from storage.slim import (
    BYTE_ZERO,
    FILTERS,
    LENGTHS,
    MAGIC,
    PREFIX,
    VERSION,
    Activation,
    InputContract,
    PackedLayer,
    PackedModel,
    PackedTensor,
    _digest,
    pack,
    row_bytes,
    unpack,
)
from tests.storage.packed_models import layers, models

SMALL = PackedModel(
    contract=InputContract((3, 8, 8), (0.5,) * 3, (0.25,) * 3, ("cat", "dög")),
    graph="{}",
    template=b"template",
    activations=(Activation(0.5, 3),),
    layers=(
        PackedLayer(
            "conv",
            "conv",
            3,
            np.arange(8, dtype=np.uint8).reshape(2, 4),
            np.array([1, 2], np.float16),
            np.array([7, 8], np.uint8),
            np.array([0.5, -1], np.float16),
            0,
        ),
    ),
    tensors=(PackedTensor("norm", np.arange(3, dtype=np.float32)),),
)
DOCUMENT: dict[str, Any] = {
    "input": [[3], [0.0], [1.0], []],
    "activations": 1,
    "layers": [["a", "conv", 2, [2, 2], 0, 0, 0, 0, 0]],
    "tensors": [["b", "float32", [2], "both"]],
}
PAYLOAD = bytes(5) + bytes(1 + 4 + 2) + bytes(8)


def crafted(document: object, payload: bytes = PAYLOAD, texts: tuple[bytes, bytes] = (b"{}", b"")) -> bytes:
    """A file with a right checksum around any header."""
    parts = [document if isinstance(document, bytes) else json.dumps(document).encode(), *texts]
    header = lzma.compress(
        LENGTHS.pack(*map(len, parts)) + b"".join(parts), format=lzma.FORMAT_RAW, filters=list(FILTERS)
    )
    return framed(header, payload)


def framed(header: bytes, payload: bytes, length: int | None = None) -> bytes:
    body = header + payload
    return PREFIX.pack(MAGIC, VERSION, len(header) if length is None else length, _digest(body, VERSION)) + body


def of_version(data: bytes, version: int) -> bytes:
    """A file as an earlier version would have written it, which had no entropy codes."""
    length = PREFIX.unpack_from(data)[2]
    header, payload = data[PREFIX.size :][:length], data[PREFIX.size :][length:]
    text = lzma.decompress(header, format=lzma.FORMAT_RAW, filters=list(FILTERS))
    document, *texts = parts_of(text)
    earlier = json.loads(document)
    earlier["layers"] = [entry[:-1] for entry in earlier["layers"]]
    parts = [json.dumps(earlier).encode(), *texts]
    header = lzma.compress(
        LENGTHS.pack(*map(len, parts)) + b"".join(parts), format=lzma.FORMAT_RAW, filters=list(FILTERS)
    )
    return PREFIX.pack(MAGIC, version, len(header), _digest(header + payload, version)) + header + payload


def parts_of(text: bytes) -> list[bytes]:
    """The three parts of a header."""
    found, place = [], LENGTHS.size
    for length in LENGTHS.unpack_from(text):
        found.append(text[place : place + length])
        place += length
    return found


def same(first: object, second: object) -> bool:
    """Equality of records that hold arrays, element types included."""
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()
    if isinstance(first, tuple) and isinstance(second, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if dataclasses.is_dataclass(first) and type(first) is type(second):
        names = [field.name for field in dataclasses.fields(first)]
        return all(same(getattr(first, name), getattr(second, name)) for name in names)
    return first == second


@settings(max_examples=40)
@given(models())
def test_models_come_back(model: PackedModel) -> None:
    data = pack(model)
    assert same(unpack(data), model)
    assert pack(unpack(data)) == data


@settings(max_examples=40)
@given(layers(1))
def test_the_size_of_a_layer_is_what_it_adds(layer: PackedLayer) -> None:
    model = dataclasses.replace(SMALL, layers=(layer,))
    data = pack(model)
    header = PREFIX.unpack_from(data)[2]
    fixed = PREFIX.size + header + 5 + 12  # one activation, three floats
    rows = layer.codes.shape[0]
    beside = row_bytes(layer.bits, rows, layer.bias is not None)
    whole = beside + packed_bytes(layer.bits, layer.codes.size)
    coded = coded_bytes(code_counts(layer.codes, layer.bits))
    assert len(data) - fixed == whole if coded is None else len(data) - fixed <= whole


def skewed(count: int, bits: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Codes as layers have them: most in the middle."""
    drawn = np.random.default_rng(seed).normal(2**bits / 2 - 0.5, 2**bits / 8, count)
    return np.clip(np.round(drawn), 0, 2**bits - 1).astype(np.uint8)


def large(bits: int, rows: int = 40, columns: int = 90, seed: int = 0) -> PackedLayer:
    return PackedLayer(
        name=f"layer{seed}",
        form="conv",
        bits=bits,
        codes=skewed(rows * columns, bits, seed).reshape(rows, columns),
        scale=np.ones(rows, np.float16),
        zero=np.full(rows, BYTE_ZERO if bits == 8 else 2, np.uint8),
        bias=None,
        activation=0,
    )


def test_entropy_coded_layers_come_back_and_take_what_is_said_of_them() -> None:
    layers = tuple(large(bits, seed=bits) for bits in (2, 3, 4, 6, 8))
    model = dataclasses.replace(SMALL, layers=(layers[0], SMALL.layers[0], *layers[1:]))
    data = pack(model)
    assert same(unpack(data), model)
    assert pack(unpack(data)) == data
    coded = [coded_bytes(code_counts(layer.codes, layer.bits)) for layer in layers]
    for size, layer in zip(coded, layers, strict=True):
        assert size is not None
        assert size < packed_bytes(layer.bits, layer.codes.size)
    beside = sum(row_bytes(layer.bits, len(layer.codes), layer.bias is not None) for layer in model.layers)
    fixed = PREFIX.size + PREFIX.unpack_from(data)[2] + 5 + 12 + 3 + beside  # three: the small layer's codes
    states = rans.STATE_BYTES * rans.lanes(5 * 3600)
    found = len(data) - fixed
    assert abs(found - sum(size or 0.0 for size in coded)) <= states


def test_codes_of_a_single_value_do_not_unpack_to_gigabytes() -> None:
    layer = dataclasses.replace(large(8), codes=np.zeros((40, 10_000), np.uint8))
    data = pack(dataclasses.replace(SMALL, layers=(layer,)))
    assert same(unpack(data).layers[0], layer)
    table = rans.Table.of(np.array([1, 0]))
    many = 2 * rans.HARMLESS_CODES
    stream = bytes(4) * rans.lanes(many)
    document = {**DOCUMENT, "layers": [["a", "conv", 1, [1, many], 0, 0, 0, 0, 1]]}
    with pytest.raises(PackedFileError, match="more than its bytes may hold"):
        unpack(crafted(document, bytes(5) + table.stored + bytes(2 + 1) + bytes(8) + stream))


def test_a_code_that_does_not_fit_is_refused_when_it_is_packed() -> None:
    layer = large(2)
    layer.codes[3, 3] = 4
    with pytest.raises(ValueError, match="code 4 does not fit into 2 bits"):
        pack(dataclasses.replace(SMALL, layers=(layer,)))


def test_files_without_entropy_codes_are_read() -> None:
    """Version 2 had none."""
    assert same(unpack(of_version(pack(SMALL), 2)), SMALL)


def test_the_bytes_are_the_same_in_another_process() -> None:
    script = "import sys; from tests.storage.test_slim import SMALL, pack; sys.stdout.buffer.write(pack(SMALL))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert found.stdout == pack(SMALL)


def test_every_altered_bit_is_noticed() -> None:
    data = pack(SMALL)
    for position in range(len(data)):
        for flip in (0x01, 0x80, 0xFF):
            altered = bytearray(data)
            altered[position] ^= flip
            with pytest.raises(PackedFileError):
                unpack(bytes(altered))


def test_every_truncation_and_every_addition_is_noticed() -> None:
    data = pack(SMALL)
    for length in range(len(data)):
        with pytest.raises(PackedFileError):
            unpack(data[:length])
    with pytest.raises(PackedFileError, match="truncated or altered"):
        unpack(data + b"\0")


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(PackedFileError, match=r"not a model\.slim file"):
        unpack(data)


@given(st.binary(max_size=100))
def test_junk_behind_a_right_prefix_is_refused(data: bytes) -> None:
    with pytest.raises(PackedFileError):
        unpack(framed(data, b""))


def test_a_newer_version_says_so() -> None:
    data = pack(SMALL)
    newer = MAGIC + (VERSION + 1).to_bytes(2, "little") + data[6:]
    with pytest.raises(PackedFileError, match="version 4; this Slimfront reads up to version 3: upgrade"):
        unpack(newer)


def test_the_first_version_had_8_bit_codes_around_127() -> None:
    layer = dataclasses.replace(SMALL.layers[0], bits=8, zero=np.full(len(SMALL.layers[0].zero), BYTE_ZERO, np.uint8))
    data = pack(dataclasses.replace(SMALL, layers=(layer,)))
    old = unpack(of_version(data, 1))
    assert set(old.layers[0].zero.tolist()) == {254}
    assert np.array_equal(old.layers[0].codes, layer.codes)


def test_the_crafted_file_is_right_before_it_is_spoilt() -> None:
    assert unpack(crafted(DOCUMENT)).layers[0].name == "a"


HUGE = 10**30
SPOILT: list[tuple[str, object]] = [
    ("layers", [["a", "conv", 2, [HUGE, HUGE], 0, 0, 0, 0, 0]]),
    ("layers", [["a", "conv", 2, [HUGE, 0], 0, 0, 0, 0, 0]]),
    ("layers", [["a", "conv", 8, [10**12, 0], 0, 0, 0, 0, 0]]),
    ("layers", [["a", "conv", 2, [-2, -2], 0, 0, 0, 0, 0]]),
    ("layers", [["a", "conv", 2, [], 0, 0, 0, 0, 0]]),
    ("layers", [["a", "conv", 2, [2.0, 2], 0, 0, 0, 0, 0]]),
    ("layers", [["a", "conv", 2, None, 0, 0, 0, 0, 0]]),
    ("layers", [["a", "conv", 0, [2, 2], 0, 0, 0, 0, 0]]),
    ("layers", [["a", "conv", 9, [2, 2], 0, 0, 0, 0, 0]]),
    ("layers", [["a", "conv", "2", [2, 2], 0, 0, 0, 0, 0]]),
    ("layers", [["a", "pool", 2, [2, 2], 0, 0, 0, 0, 0]]),
    ("layers", [["a", "conv", 2, [2, 2], 0, 1, 0, 0, 0]]),
    ("layers", [["a", "conv", 2, [2, 2], 0, -1, 0, 0, 0]]),
    ("layers", [["a", "conv", 2, [2, 2], 0, 0, 161, 0, 0]]),
    ("layers", [["a", "conv", 2, [2, 2], 0, 0, 0, -161, 0]]),
    ("layers", [["a", "conv", 2, [2, 2], 0, 0, 1.5, 0, 0]]),
    ("layers", [["a", "conv", 2, [2, 2], 0, 0, None, 0, 0]]),
    ("layers", [["a", "conv", 2]]),
    ("layers", [5]),
    ("layers", {"a": 1}),
    ("layers", None),
    ("tensors", [["b", "object", [2], "both"]]),
    ("tensors", [["b", "float32", [HUGE], "both"]]),
    ("tensors", [["b", "float32", [HUGE, 0], "both"]]),
    ("tensors", [["b", "float32", [-1], "both"]]),
    ("tensors", [["b", "float32", [2], "neither"]]),
    ("tensors", [["b", ["float32"], [2], "both"]]),
    ("activations", HUGE),
    ("activations", -1),
    ("activations", float("inf")),
    ("activations", None),
    ("input", []),
    ("input", 3),
]


@pytest.mark.parametrize(("key", "value"), SPOILT)
def test_headers_that_lie_are_refused(key: str, value: object) -> None:
    with pytest.raises(PackedFileError):
        unpack(crafted({**DOCUMENT, key: value}))


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 100_000, json.dumps({}).encode()],
    ids=["empty", "list", "null", "half", "not text", "nested", "number", "no keys"],
)
def test_headers_that_are_no_document_are_refused(document: bytes) -> None:
    with pytest.raises(PackedFileError):
        unpack(crafted(document))


def test_payloads_of_another_length_are_refused() -> None:
    for payload in (PAYLOAD[:-1], PAYLOAD + b"\0", b""):
        with pytest.raises(PackedFileError, match=r"too (short|long)"):
            unpack(crafted(DOCUMENT, payload))


def test_a_header_that_unpacks_to_gigabytes_does_not_fill_the_memory() -> None:
    bomb = lzma.compress(bytes(300 * 2**20), format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0}])
    data = framed(bomb, b"")
    tracemalloc.start()
    with pytest.raises(PackedFileError):
        unpack(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 2**20


def test_lengths_beyond_the_header_are_refused() -> None:
    text = LENGTHS.pack(2**32 - 1, 2**32 - 1, 2**32 - 1) + b"{}"
    header = lzma.compress(text, format=lzma.FORMAT_RAW, filters=list(FILTERS))
    with pytest.raises(PackedFileError, match="wrong length"):
        unpack(framed(header, b""))


def test_codes_whose_weights_are_no_int8_are_refused() -> None:
    """The int8 file would wrap around what the float32 module computes."""
    document = {**DOCUMENT, "layers": [["a", "conv", 7, [2, 2], 0, 0, 0, 0, 0]]}
    with pytest.raises(PackedFileError, match="layer a is malformed"):
        unpack(crafted(document, bytes(5) + b"\xff\xff\xff\x0f" + bytes(4 + 2) + bytes(8)))
    for zero, legal in ((6, True), (7, False)):
        data = crafted(DOCUMENT, bytes(5) + bytes(1 + 4) + bytes([0, zero]) + bytes(8))
        if legal:
            assert unpack(data).layers[0].zero.tolist() == [0, zero]
        else:
            with pytest.raises(PackedFileError, match="outside the grid"):
                unpack(data)

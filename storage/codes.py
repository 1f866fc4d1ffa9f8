"""Codes of weights as bytes: so many bits each, or entropy-coded where that is less."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from storage.rans import coded_bits

Array: TypeAlias = npt.NDArray[Any]


def packed_bytes(bits: int, count: int) -> int:
    """What `count` codes take that are `bits` wide each."""
    return (count * bits + 7) // 8


def code_counts(codes: Array, bits: int) -> npt.NDArray[np.int64]:
    """How often each code occurs, [2^bits]. ValueError for codes that do not fit into their bits."""
    counts = np.bincount(codes.reshape(-1), minlength=1 << bits).astype(np.int64)
    if len(counts) > 1 << bits:
        raise ValueError(f"code {len(counts) - 1} does not fit into {bits} bits")
    return counts


def coded_bytes(counts: npt.NDArray[np.int64]) -> float | None:
    """What codes take that occur so often, [2^bits], if they are entropy-coded, their table included; None where that
    is no less than their width. Parts of a byte count, as all layers share one stream."""
    count = int(counts.sum())
    if not count:
        return None
    coded = coded_bits(counts) / 8
    return coded if coded < packed_bytes(len(counts).bit_length() - 1, count) else None


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

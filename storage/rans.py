"""Entropy coding of small integers: range asymmetric numeral systems with static tables (Duda 2013, "Asymmetric numeral
systems", arXiv 1311.2540), many coders side by side in one stream (Giesen 2014, "Interleaved entropy coders", arXiv
1402.3392), so that numpy decodes a row of symbols at a time.

Needs numpy only. Tables and streams are made by integers alone: the same bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]

PROBABILITY_BITS = 14  # frequencies add up to 16384: the one that every symbol has at least is little even to 256
TOTAL = 1 << PROBABILITY_BITS
LEAST_STATE = 1 << 16  # states stay in [2^16, 2^32), and pass on 16 bits at a time
WORD_BITS = 16
STATE_BYTES, WORD_BYTES = 4, 2
# A frequency takes a byte of the table: 0, or 16 plus four bits, shifted. That is off by a few percent, which costs a
# thousandth of a bit a symbol, or two.
MANTISSA_BITS = 4
LARGEST_SHIFT = PROBABILITY_BITS
ROWS = 8192  # steps of decoding, about: a tenth of a second for up to 2^25 codes
FEWEST_LANES, MOST_LANES = 8, 4096
# A stream says little of how many codes it holds, as those of a single value take nothing: so many are no attack on
# memory, and of more each byte holds so many at most, a sixty-fourth of a bit a code.
HARMLESS_CODES, MOST_CODES_A_BYTE = 1 << 24, 512


@dataclass(frozen=True)
class Table:
    """How likely each symbol is."""

    stored: bytes  # one for each symbol

    @classmethod
    def of(cls, counts: Counts) -> Table:
        """The table for symbols that occur so often, [symbols], not all 0."""
        scaled = -(-counts.astype(np.int64) * (TOTAL << MANTISSA_BITS) // int(counts.sum()))  # rounded up: none is lost
        shift = np.maximum(np.frexp(scaled.astype(np.float64))[1] - MANTISSA_BITS - 1, 0)
        mantissa = np.clip(scaled >> shift, 1 << MANTISSA_BITS, (2 << MANTISSA_BITS) - 1) - (1 << MANTISSA_BITS)
        stored = np.where(counts > 0, 1 + (shift << MANTISSA_BITS | mantissa), 0)
        return cls(stored.astype(np.uint8).tobytes())

    def frequencies(self) -> Counts:
        """[symbols], of TOTAL. ValueError for a table that none of ours is."""
        stored = np.frombuffer(self.stored, np.uint8).astype(np.int64)
        value = np.maximum(stored - 1, 0)
        shift, mantissa = value >> MANTISSA_BITS, value & ((1 << MANTISSA_BITS) - 1)
        if not stored.any() or int(shift.max()) > LARGEST_SHIFT:
            raise ValueError("a table of its codes is malformed")
        weights = np.where(stored > 0, (mantissa + (1 << MANTISSA_BITS)) << shift, 0)
        there = stored > 0
        shared = TOTAL - int(there.sum())  # beside the 1 that each symbol has that occurs
        ends = np.cumsum(there) + np.cumsum(weights) * shared // int(weights.sum())
        found: Counts = np.diff(ends, prepend=0)
        return found


def lanes(count: int) -> int:
    """How many coders share `count` codes."""
    wanted = max(1, count // ROWS)
    return min(max(FEWEST_LANES, 1 << (wanted - 1).bit_length()), MOST_LANES)


def fits(codes: int, size: int) -> bool:
    """Whether a stream of `size` bytes may hold so many codes: some bytes must not unpack to gigabytes."""
    return codes <= max(HARMLESS_CODES, MOST_CODES_A_BYTE * size)


def coded_bits(counts: Counts) -> float:
    """What codes take that occur so often, [symbols], their table included: by logarithms, in 1024ths, so that two
    machines do not differ by their last digits."""
    table = Table.of(counts)
    frequencies = table.frequencies()
    there = counts > 0
    bits = float((counts[there] * (PROBABILITY_BITS - np.log2(frequencies[there]))).sum())
    return round(1024 * bits) / 1024 + 8 * len(table.stored)


def encode(parts: Sequence[tuple[Codes, Table]]) -> bytes:
    """All codes, each part [n] by its own table, which must have their symbols."""
    count = lanes(sum(len(codes) for codes, _ in parts))
    states = np.full(count, LEAST_STATE, np.uint64)
    words: list[npt.NDArray[np.uint16]] = []
    for codes, table in reversed(parts):
        frequencies = table.frequencies()
        starts = np.cumsum(frequencies) - frequencies
        for first in reversed(range(0, len(codes), count)):
            row = codes[first : first + count]
            frequency, state = frequencies[row].astype(np.uint64), states[: len(row)]
            full = state >= frequency << np.uint64(2 * WORD_BITS - PROBABILITY_BITS)
            words.append(state[full].astype(np.uint16))
            state = np.where(full, state >> np.uint64(WORD_BITS), state)
            high, rest = np.divmod(state, frequency)
            states[: len(row)] = (high << np.uint64(PROBABILITY_BITS)) + rest + starts[row].astype(np.uint64)
    stream = np.concatenate([np.zeros(0, np.uint16), *reversed(words)])
    return states.astype("<u4").tobytes() + stream.astype("<u2").tobytes()


def decode(data: bytes | memoryview, parts: Sequence[tuple[int, Table]]) -> list[Codes]:
    """Inverse of `encode`: as many codes of each part as are asked for. ValueError for anything else than its output,
    and for more codes than `fits` allows."""
    total = sum(length for length, _ in parts)
    count = lanes(total)
    head = count * STATE_BYTES
    if not fits(total, len(data)):
        raise ValueError("its codes are more than its bytes may hold")
    if len(data) < head or (len(data) - head) % WORD_BYTES:
        raise ValueError("its codes are cut short")
    states = np.frombuffer(data[:head], "<u4").astype(np.uint32)
    words = np.frombuffer(data[head:], "<u2").astype(np.uint32)
    position, found = 0, []
    for length, table in parts:
        frequencies = table.frequencies()
        symbol = np.repeat(np.arange(len(frequencies), dtype=np.uint8), frequencies)
        frequency = frequencies.astype(np.uint32)[symbol]
        offset = (np.arange(TOTAL) - (np.cumsum(frequencies) - frequencies)[symbol]).astype(np.uint32)
        codes = np.empty(length, np.uint8)
        for first in range(0, length, count):
            row = codes[first : first + count]
            state = states[: len(row)]
            slot = state & np.uint32(TOTAL - 1)
            row[:] = symbol[slot]
            state = frequency[slot] * (state >> np.uint32(PROBABILITY_BITS)) + offset[slot]
            low = np.flatnonzero(state < LEAST_STATE)
            part = words[position : position + len(low)]
            if len(part) != len(low):
                raise ValueError("its codes are cut short")
            position += len(low)
            state[low] = state[low] << np.uint32(WORD_BITS) | part
            states[: len(row)] = state
        found.append(codes)
    if position != len(words) or (states != LEAST_STATE).any():
        raise ValueError("its codes do not end where they should")
    return found

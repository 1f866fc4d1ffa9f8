"""The entropy coder: nothing is lost, little is wasted, and lies are refused."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from storage.rans import STATE_BYTES, TOTAL, Table, coded_bits, decode, encode, lanes

COUNTS = hnp.arrays(np.int64, st.sampled_from([2, 4, 8, 64, 256]), elements=st.integers(0, 10**6)).filter(np.any)


@given(COUNTS)
def test_tables_add_up_and_leave_no_symbol_out(counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    table = Table.of(counts)
    frequencies = table.frequencies()
    assert int(frequencies.sum()) == TOTAL
    assert ((frequencies > 0) == (counts > 0)).all()
    assert len(table.stored) == len(counts)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 300), st.sampled_from([1, 2, 3, 6, 8])), min_size=1), st.integers())
def test_codes_come_back(parts: list[tuple[int, int]], seed: int) -> None:
    draws = np.random.default_rng(abs(seed))
    coded = []
    for length, bits in parts:
        codes = (draws.integers(0, 2**bits, length) * draws.integers(0, 2, length)).astype(np.uint8)
        coded.append((codes, Table.of(np.bincount(codes, minlength=2**bits) + (length == 0))))
    data = encode(coded)
    found = decode(data, [(len(codes), table) for codes, table in coded])
    assert [codes.tolist() for codes in found] == [codes.tolist() for codes, _ in coded]


@pytest.mark.parametrize(("bits", "deviation"), [(2, 0.7), (4, 2.0), (8, 20.0)])
def test_next_to_nothing_is_wasted(bits: int, deviation: float) -> None:
    drawn = np.random.default_rng(bits).normal(2 ** (bits - 1), deviation, 60_000)
    codes = np.clip(drawn.round(), 0, 2**bits - 1).astype(np.uint8)
    counts = np.bincount(codes, minlength=2**bits)
    shares = counts[counts > 0] / len(codes)
    entropy = float(-(shares * np.log2(shares)).sum()) * len(codes) / 8
    table = Table.of(counts)
    stream = len(encode([(codes, table)]))
    assert entropy < stream < 1.003 * entropy + STATE_BYTES * lanes(len(codes))
    predicted = coded_bits(counts) / 8 - len(table.stored)
    assert abs(stream - predicted) <= STATE_BYTES * lanes(len(codes))


def test_a_model_of_many_weights_is_read_in_a_moment() -> None:
    codes = (np.arange(4_000_000) ** 2 % 7 % 4).astype(np.uint8)
    table = Table.of(np.bincount(codes, minlength=4))
    data = encode([(codes, table)])
    started = time.process_time()
    (found,) = decode(data, [(len(codes), table)])
    assert time.process_time() - started < 1.0  # a tenth of that where nothing disturbs
    assert np.array_equal(found, codes)


def test_whatever_is_no_stream_of_ours_is_refused() -> None:
    codes = np.random.default_rng(0).integers(0, 3, 1000).astype(np.uint8)
    table = Table.of(np.bincount(codes, minlength=4))
    data = encode([(codes, table)])
    part = [(len(codes), table)]
    for wrong in (b"", data[:-1], data[:-2], data + bytes(2), bytes(len(data))):
        with pytest.raises(ValueError, match="its codes"):
            decode(wrong, part)
    for length in (999, 1001):
        with pytest.raises(ValueError, match="its codes"):
            decode(data, [(length, table)])
    for stored in (bytes(4), b"\xff" * 4):
        with pytest.raises(ValueError, match="a table of its codes is malformed"):
            Table(stored).frequencies()

"""Codes as bytes: what they take is what is said of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from storage.codes import code_counts, coded_bytes, pack_codes, packed_bytes, unpack_codes


@given(bits=st.integers(1, 8), data=st.data())
def test_codes_come_back(bits: int, data: st.DataObject) -> None:
    codes = data.draw(hnp.arrays(np.uint8, st.integers(0, 70), elements=st.integers(0, 2**bits - 1)))
    packed = pack_codes(codes, bits)
    assert len(packed) == packed_bytes(bits, len(codes))
    assert unpack_codes(packed, bits, len(codes)).tolist() == codes.tolist()


def test_codes_lie_lowest_bit_first() -> None:
    assert pack_codes(np.array([1, 2, 3], np.uint8), 3) == bytes([0b11_010_001, 0b0])
    assert pack_codes(np.array([0, 0, 4], np.uint8), 3) == bytes([0, 1])


@pytest.mark.parametrize("bits", range(1, 8))
def test_codes_that_do_not_fit_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=f"{2**bits} does not fit into {bits} bits"):
        pack_codes(np.array([2**bits], np.uint8), bits)


def test_codes_are_entropy_coded_where_that_is_less() -> None:
    assert coded_bytes(code_counts(np.zeros(0, np.uint8), 2)) is None
    assert coded_bytes(code_counts(np.arange(4000, dtype=np.uint8) % 4, 2)) is None
    skewed = np.repeat(np.arange(4, dtype=np.uint8), (100, 1900, 1900, 100))
    coded = coded_bytes(code_counts(skewed, 2))
    entropy = -sum(share * np.log2(share) for share in (0.025, 0.475, 0.475, 0.025))
    assert coded is not None
    assert 4 + len(skewed) * entropy / 8 <= coded < 4.5 + 1.001 * len(skewed) * entropy / 8

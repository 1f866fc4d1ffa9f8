"""Files that were altered at random, or made to mislead: a named error, or the right output."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np

from storage.errors import PackedFileError
from storage.slim import PREFIX, _digest, pack, unpack
from tests.storage.test_slim import DOCUMENT, PAYLOAD, SMALL, crafted, large, same

JUNK: tuple[Any, ...] = (
    *(0, 1, -1, 2, 2**31, 2**62, 10**30, 0.5, "2", "yes", None, True),
    *([], [1], [2, 2], {"a": 1}, [2**62, [1]], [3, "2"]),
)


def test_headers_of_junk_are_refused_or_read() -> None:
    """With a right checksum, and a payload that may be long enough."""
    draws = random.Random(20261202)
    read = 0
    for _ in range(2000):
        entry: list[Any] = ["a", "conv", draws.choice([1, 2, 8]), [2, 2], 0, 0, 0, 0, 0]
        tensor: list[Any] = ["b", "float32", [2], "both"]
        for _ in range(draws.randrange(3)):
            entry[draws.randrange(2, len(entry))] = draws.choice(JUNK)
        if draws.randrange(3) == 0:
            tensor[draws.randrange(len(tensor))] = draws.choice(JUNK)
        payload = PAYLOAD + draws.randbytes(draws.choice([0, 0, 1, 40]))
        try:
            unpack(crafted({**DOCUMENT, "layers": [entry], "tensors": [tensor]}, payload))
            read += 1
        except PackedFileError:
            continue
    assert read > 50


def test_a_thousand_mutations_give_an_error_or_the_same() -> None:
    """Also such as a right checksum covers: whoever alters a file may compute it anew."""
    model = dataclasses.replace(SMALL, layers=(large(3), large(8, seed=1)))
    data = pack(model)
    draws = random.Random(20261201)
    for number in range(1000):
        altered = bytearray(data)
        for _ in range(draws.randint(1, 4)):
            match draws.randrange(3):
                case 0:
                    altered[draws.randrange(len(altered))] ^= 1 << draws.randrange(8)
                case 1:
                    place = draws.randrange(len(altered))
                    del altered[place : place + draws.randint(1, 40)]
                case _:
                    place = draws.randrange(len(altered))
                    altered[place:place] = draws.randbytes(draws.randint(1, 8))
        assert altered != data
        if number % 2:
            body = bytes(altered[PREFIX.size :])
            magic, version, length, _ = PREFIX.unpack_from(bytes(altered[: PREFIX.size]).ljust(PREFIX.size, b"\0"))
            altered = bytearray(PREFIX.pack(magic, version, length, _digest(body, version)) + body)
        try:
            found = unpack(bytes(altered))
        except PackedFileError:
            continue
        # A checksum that was made anew proves nothing of the numbers; that they are a model's is all that can be seen.
        assert number % 2 or same(found, model)
        assert all(layer.codes.dtype == np.uint8 and int(layer.codes.max()) < 2**layer.bits for layer in found.layers)

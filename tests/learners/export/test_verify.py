"""Files of a candidate against each other, and against what they were made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from learners.export.packing import assemble_onnx
from learners.export.verify import Verification, verify
from storage.errors import GiveUpError
from storage.slim import PackedModel, pack, unpack
from tests.built import Built


def model(network: Built, bits: int = 4) -> PackedModel:
    return network.packed(network.library.space.uniform_bits(bits))


def trained(network: Built) -> PackedModel:
    """As if trained: no candidate of the library has its weights."""
    found = model(network)
    layers = [replace(layer, scale=(layer.scale * np.float16(1.1)).astype(np.float16)) for layer in found.layers]
    return unpack(pack(replace(found, layers=tuple(layers))))


def checked(network: Built, found: PackedModel, exported: PackedModel, against: int | None) -> Verification:
    library = network.library
    adapted = None if against is None else library.choose(library.space.uniform_bits(against), library.id)
    return verify(library, adapted, pack(found), assemble_onnx(exported), network.images)


def test_files_of_a_candidate_agree_with_what_they_were_made_from(built: Callable[[str], Built]) -> None:
    network = built("plain")
    found = checked(network, model(network), model(network), 4)
    assert found.images == len(network.images)
    assert found.torch_difference < 1e-5
    assert found.agreement > 0.9
    with pytest.raises(GiveUpError, match="the exported files differ"):
        checked(network, model(network), model(network), 3)


def test_a_trained_file_is_compared_with_itself_alone(built: Callable[[str], Built]) -> None:
    network = built("plain")
    found = checked(network, trained(network), trained(network), None)
    assert found.torch_difference == 0.0
    assert found.onnx_difference < 1e-5
    assert found.agreement > 0.9
    with pytest.raises(GiveUpError, match="the exported files differ"):
        checked(network, trained(network), trained(network), 4)


def test_a_trained_file_that_its_onnx_form_differs_from_is_refused(built: Callable[[str], Built]) -> None:
    network = built("plain")
    with pytest.raises(GiveUpError, match=r"the exported files differ \(module 0, ONNX"):
        checked(network, trained(network), model(network), None)

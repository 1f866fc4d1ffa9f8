"""Files that training has left, as a study opens them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learners.export.packing import assemble_onnx
from objectives.runtimes.packed import PackedSession
from searcher.stages.files import Files, stored_file_session, trained_file
from storage.artifacts import ArtifactStore
from storage.errors import FixInputError, GiveUpError, PackedFileError
from storage.home import Home
from storage.records.candidate import Candidate, Trial
from storage.records.config import RuntimeConfig
from storage.slim import SLIM_FILE, PackedModel, pack
from tests.built import Built

STUDY = "study"


@pytest.fixture
def network(built: Callable[[str], Built]) -> Built:
    return built("plain")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def files(network: Built, home: Home, runtime: str = "onnxruntime") -> Files:
    return Files(
        library=network.library,
        artifacts=ArtifactStore(home.artifacts),
        study=STUDY,
        calibration=network.images,
        runtime=RuntimeConfig(name=runtime),
        contract=network.contract,
    )


def trial(network: Built) -> Trial:
    """A trained version; its weights are of no library."""
    levels = network.library.space.uniform_bits(4)
    return Trial(7, Candidate(levels, "finetune:1"), "finetune", None, parent=3)


def trained(network: Built) -> PackedModel:
    found = network.packed(network.library.space.uniform_bits(4))
    layers = [replace(layer, scale=(layer.scale * np.float16(1.1)).astype(np.float16)) for layer in found.layers]
    return replace(found, layers=tuple(layers))


def left(network: Built, home: Home, data: bytes | None = None) -> Path:
    path = home.artifacts / STUDY / "7" / SLIM_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(pack(trained(network)) if data is None else data)
    return path


def test_what_is_measured_is_what_training_has_left(network: Built, home: Home) -> None:
    path = left(network, home)
    content = path.read_bytes()
    found = files(network, home).export(trial(network))
    assert found.size_bytes == len(content)
    assert found.onnx_bytes == len(assemble_onnx(trained(network)))
    wanted = PackedSession(trained(network))(network.images)
    for session in (
        found.session,
        files(network, home).stored_session(trial(network)),
        stored_file_session(home, STUDY, trial(network), "onnxruntime", 1),
    ):
        np.testing.assert_array_equal(session(network.images), wanted)
    parent = network.packed(network.library.space.uniform_bits(4))
    assert not np.array_equal(PackedSession(parent)(network.images), wanted)
    assert path.read_bytes() == content
    assert [item.name for item in path.parent.iterdir()] == [SLIM_FILE]


def test_it_cannot_be_made_again(network: Built, home: Home) -> None:
    with pytest.raises(GiveUpError, match=r"7/model\.slim, which training has left, is gone \(No such file .*put it"):
        files(network, home).export(trial(network))
    with pytest.raises(GiveUpError, match="which training has left, is gone"):
        files(network, home).stored_session(trial(network))
    with pytest.raises(FixInputError, match="holds no model of study/7"):
        stored_file_session(home, STUDY, trial(network), "onnxruntime", 1)
    with pytest.raises(GiveUpError, match="which training has left, is gone"):
        trained_file(home.artifacts / "none")


def test_a_damaged_one_is_refused_and_stays(network: Built, home: Home) -> None:
    path = left(network, home, pack(trained(network))[:-1])
    before = path.read_bytes()
    for opened in (files(network, home).export, files(network, home).stored_session):
        with pytest.raises(PackedFileError, match="truncated or altered"):
            opened(trial(network))
    assert path.read_bytes() == before

"""The workload as a whole."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from objectives.metric import Agreement, CallableMetric, Top1
from objectives.workload import workload as module
from objectives.workload.digits import digits_part
from objectives.workload.workload import Workload, open_workload
from storage.errors import FixInputError
from tests.objectives.workload.material import NETS, image_tree, small_weights, study, write_model, write_tar
from tests.shared_material import REPOSITORY, shared_file

DATA = """
import numpy as np

def splits():
    x = np.random.default_rng(0).random((60, 1, 8, 8), dtype=np.float32)
    return {"train": x, "val": x}
"""


def test_the_digits_workload(tmp_path: Path) -> None:
    workload = open_workload(study(write_model(tmp_path)))
    assert workload.input_shape == (1, 8, 8)
    assert workload.classes == tuple("0123456789")
    assert [len(part) for part in (workload.calibration, workload.quick, workload.confirmation)] == [
        256,
        180,
        180,
    ]
    assert len(workload.notes) == 2
    assert "the quick score uses 180 images" in workload.notes[0]
    assert "the confirmation uses 180 images" in workload.notes[1]
    assert workload.rescoring is None  # a quarter of what is left is fewer than those of the quick score
    assert workload.quick is workload.quick  # decoded once
    with torch.no_grad():
        outputs = workload.model()(torch.from_numpy(workload.quick.images))
    assert outputs.shape == (180, 10)
    assert isinstance(workload.metric, Top1)


def test_parts_are_stratified_disjoint_and_of_their_splits(tmp_path: Path) -> None:
    workload = open_workload(study(write_model(tmp_path)))

    def contents(images: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> set[bytes]:
        return {image.tobytes() for image in images}

    train, val, test = (contents(digits_part(name).images) for name in ("train", "val", "test"))
    calibration, quick, confirmation = (
        contents(part.images) for part in (workload.calibration, workload.quick, workload.confirmation)
    )
    assert calibration < train
    assert quick | confirmation == val
    assert not quick & confirmation
    assert not (calibration | quick | confirmation) & test
    for part in (workload.calibration, workload.quick, workload.confirmation):
        assert part.labels is not None
        counts = np.bincount(part.labels, minlength=10)
        assert counts.max() - counts.min() <= 0.05 * len(part)


def test_the_sizes_of_the_study_file_count(tmp_path: Path) -> None:
    config = study(write_model(tmp_path), data={"calibration": 5000, "quick": 30, "rescore": 70})
    workload = open_workload(config)
    assert workload.rescoring is not None
    parts = (workload.calibration, workload.quick, workload.rescoring, workload.confirmation)
    assert [len(part) for part in parts] == [1078, 30, 70, 260]
    assert len({image.tobytes() for part in parts[1:] for image in part.images}) == 360


def test_the_same_study_gives_the_same_hash_also_elsewhere(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_model(tmp_path / name)
    config = study(tmp_path / "one")
    here = open_workload(config)
    assert open_workload(study(tmp_path / "two")).content_hash == here.content_hash
    code = (
        "import sys; from storage.records.config import StudyConfig;"
        "from objectives.workload.workload import open_workload;"
        "w = open_workload(StudyConfig.from_json(sys.argv[1])); print(w.content_hash, w.library_hash)"
    )
    command = [sys.executable, "-c", code, config.to_json()]
    output = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert output.split() == [here.content_hash, here.library_hash]


def _edit_weights(folder: Path) -> None:
    torch.save(small_weights(seed=2), folder / "w.pt")


def _edit_factory(folder: Path) -> None:
    (folder / "nets.py").write_text(NETS.replace("relu()", "sigmoid()"))


CHANGES: dict[str, tuple[Callable[[Path], None] | None, dict[str, object], bool]] = {
    # what is changed on disk, what is changed in the study, and whether a library must be built anew
    "weights": (_edit_weights, {}, True),
    "factory": (_edit_factory, {}, True),
    "seed": (None, {"seed": 1}, True),
    "normalisation": (None, {"data": {"mean": [0.5]}}, True),
    "calibration": (None, {"data": {"calibration": 100}}, True),
    "quick": (None, {"data": {"quick": 100}}, False),
    "metric": (None, {"data": {"metric": "agreement"}}, False),
}


@pytest.mark.parametrize("case", CHANGES)
def test_every_change_of_content_changes_the_hash(tmp_path: Path, case: str) -> None:
    edit, tables, rebuilds = CHANGES[case]
    before = open_workload(study(write_model(tmp_path)))
    hashes = before.content_hash, before.library_hash
    if edit is not None:
        edit(tmp_path)
    after = open_workload(study(tmp_path, **tables))
    assert after.content_hash != hashes[0]
    assert (after.library_hash != hashes[1]) == rebuilds


def test_an_edited_metric_changes_the_hash(tmp_path: Path) -> None:
    config = study(write_model(tmp_path), data={"metric": "m.py:score"})
    hashes = set()
    for factor in (1, 0.5):
        (tmp_path / "m.py").write_text(
            f"def score(outputs, labels):\n    return (outputs.argmax(1) == labels) * {factor}\n"
        )
        workload = open_workload(config)
        assert isinstance(workload.metric, CallableMetric)
        hashes.add(workload.content_hash)
    assert len(hashes) == 2


def test_python_data_without_labels_is_judged_by_agreement(tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text(DATA)
    data = {"kind": "python", "factory": "data.py:splits"}
    workload = open_workload(study(write_model(tmp_path), data=data))
    assert isinstance(workload.metric, Agreement)
    assert workload.quick.labels is None
    assert workload.classes == ()
    assert (len(workload.quick), len(workload.confirmation), len(workload.calibration)) == (30, 30, 60)
    assert len(workload.content_hash) == 64
    with pytest.raises(FixInputError, match='metric = "top1" needs labels'):
        open_workload(study(tmp_path, data=data | {"metric": "top1"}))


def test_images_from_an_archive(tmp_path: Path) -> None:
    write_tar(tmp_path / "images.tar.xz", image_tree(train=6, val=20), "w:xz")
    tables = {"model": {"input": [3, 6, 5]}, "data": {"kind": "images", "path": "images.tar.xz", "quick": 10}}
    workload = open_workload(study(write_model(tmp_path), **tables))
    assert workload.quick.labels is not None
    assert np.bincount(workload.quick.labels).tolist() == [5, 5]
    assert (len(workload.confirmation), len(workload.calibration)) == (30, 12)
    digest = workload.content_hash
    (tmp_path / "images.tar.xz").unlink()
    write_tar(tmp_path / "images.tar.xz", dict(reversed(image_tree(train=6, val=20).items())), "w:xz")
    assert open_workload(study(tmp_path, **tables)).content_hash == digest


def test_too_few_validation_images(tmp_path: Path) -> None:
    write_tar(tmp_path / "images.tar", image_tree(train=6, val=9))
    tables = {"model": {"input": [3, 6, 5]}, "data": {"kind": "images", "path": "images.tar"}}
    with pytest.raises(FixInputError, match="the val split has 18 images; at least 20 are needed"):
        open_workload(study(write_model(tmp_path), **tables))


def test_large_splits_stay_within_memory_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SUBSET_BYTES", 100 * 8 * 8 * 4)
    workload = open_workload(study(write_model(tmp_path)))
    assert [len(part) for part in (workload.calibration, workload.quick, workload.confirmation)] == [
        100,
        100,
        100,
    ]
    assert "the confirmation uses 100 of 260 images" in workload.notes[-1]


def test_a_missing_weights_file_has_no_hash(tmp_path: Path) -> None:
    workload = open_workload(study(write_model(tmp_path)))
    (tmp_path / "w.pt").unlink()
    with pytest.raises(FixInputError, match=r"w.pt: cannot be read"):
        _ = workload.content_hash


def test_an_empty_train_split_is_refused(tmp_path: Path) -> None:
    workload = open_workload(study(write_model(tmp_path)))
    splits = workload._splits
    empty = dataclasses.replace(digits_part("train"), images=np.zeros((0, 1, 8, 8), np.float32), labels=None)
    with pytest.raises(FixInputError, match="the train split is empty"):
        Workload(workload.config, dataclasses.replace(splits, train=empty))


@pytest.mark.shared
def test_cifar_subsets(tmp_path: Path) -> None:
    tables = {
        "model": {"input": [3, 32, 32]},
        "data": {"kind": "images", "path": str(shared_file("data/cifar10.tar.xz"))},
    }
    workload = open_workload(study(write_model(tmp_path), **tables))
    assert [len(workload.calibration), len(workload.quick)] == [256, 256]
    assert workload.quick.labels is not None
    assert set(np.bincount(workload.quick.labels)) == {25, 26}
    assert workload.notes == ()
    assert 0.2 < workload.quick.images.mean() < 0.8

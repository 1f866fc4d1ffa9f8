"""The test split of every kind of data: opened for a certificate, known by its hash, refused where it is none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from objectives.workload.arrays import keep_arrays, open_arrays
from objectives.workload.digits import digits_part
from objectives.workload.image_files import list_images
from objectives.workload.splits import ArraySplit, Split
from objectives.workload.test_split import open_test, split_hash
from objectives.workload.workload import open_workload
from storage.errors import FixInputError
from storage.records.config import StudyConfig
from tests.objectives.workload.material import CLASSES, image_tree, pixels, png, study, write_tar, write_tree

COUNT = 12  # test images of a class
X = np.arange(30 * 6, dtype=np.float32).reshape(30, 1, 2, 3)
Y = np.arange(30, dtype=np.int64) % 5
FACTORY = """
import numpy as np

x = np.arange(30 * 6, dtype=np.float32).reshape(30, 1, 2, 3)
y = np.arange(30) % 5

def splits():
    return {}
"""


def readable_tree() -> dict[str, bytes]:
    """As `image_tree`, with test images that can be decoded."""
    files = {name: content for name, content in image_tree().items() if not name.startswith("test/")}
    for place, name in enumerate(CLASSES):
        for index in range(COUNT):
            files[f"test/{name}/{index:03}.png"] = png(pixels(5000 + 100 * place + index))
    return files


def images_study(folder: Path, path: Path) -> StudyConfig:
    return study(folder, model={"input": [3, 6, 5]}, data={"kind": "images", "path": str(path)})


def opened(folder: Path, files: Mapping[str, bytes], name: str = "photos") -> Split:
    path = write_tar(folder / name, files) if name.endswith(".tar") else write_tree(folder / name, files)
    return open_test(images_study(folder, path))


def arrays_study(folder: Path, path: Path) -> StudyConfig:
    return study(folder, model={"input": [1, 2, 3]}, data={"kind": "arrays", "path": str(path)})


def python_study(folder: Path, returned: str, seed: int = 0) -> StudyConfig:
    (folder / "data.py").write_text(FACTORY.format(returned))
    data = {"factory": f"{folder}/data.py:splits", "kind": "python"}
    return study(folder, model={"input": [1, 2, 3]}, data=data, seed=seed)


def refused(config: StudyConfig) -> str:
    with pytest.raises(FixInputError) as caught:
        open_test(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_and_an_archive_are_the_same_split(tmp_path: Path) -> None:
    files = readable_tree()
    folder, archive = opened(tmp_path, files), opened(tmp_path, dict(reversed(files.items())), "a.tar")
    for split in (folder, archive):
        assert len(split) == 2 * COUNT
        assert split.labels is not None
        assert split.labels.tolist() == [0] * COUNT + [1] * COUNT
        expected = pixels(5100).transpose(2, 0, 1) / 255
        np.testing.assert_allclose(split.batch([COUNT])[0], expected, rtol=1e-6)
    assert split_hash(folder) == split_hash(archive)


def test_nothing_is_decoded_when_it_is_opened(tmp_path: Path) -> None:
    files = {name: b"junk" if name.startswith("test/") else content for name, content in readable_tree().items()}
    split = opened(tmp_path, files)
    assert len(split) == 2 * COUNT
    with pytest.raises(FixInputError, match=r"test/bird/000.png: is not a readable JPEG or PNG image"):
        split.batch([0])


def test_only_what_is_asked_for_is_listed(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", readable_tree())
    found = {split: sum(map(len, classes.values())) for split, classes in list_images(path, ("train", "test")).items()}
    assert found == {"train": 8, "val": 0, "test": 2 * COUNT}


def test_the_hash_is_of_the_images_and_labels_alone(tmp_path: Path) -> None:
    files = readable_tree()
    first = split_hash(opened(tmp_path, files, "first"))
    other_names = {name.replace("/00", "/9"): content for name, content in files.items()}
    assert split_hash(opened(tmp_path, other_names, "names")) == first
    other_train = files | {"train/cat/more.png": png(pixels(1))}
    assert split_hash(opened(tmp_path, other_train, "train")) == first
    swapped = dict(files)
    swapped["test/cat/000.png"], swapped["test/bird/000.png"] = files["test/bird/000.png"], files["test/cat/000.png"]
    more = files | {"test/cat/more.png": png(pixels(1))}
    changed = files | {"test/cat/000.png": png(pixels(1))}
    others = {split_hash(opened(tmp_path, tree, name)) for tree, name in ((swapped, "s"), (more, "m"), (changed, "c"))}
    assert len(others | {first}) == 4


def test_the_hash_of_arrays() -> None:
    order = np.random.default_rng(0).permutation(30)
    first = split_hash(ArraySplit(X, Y))
    assert split_hash(ArraySplit(X[order], Y[order])) == first
    assert len({first, split_hash(ArraySplit(X[order], Y)), split_hash(ArraySplit(X, None))}) == 3
    assert len(first) == 64


@pytest.mark.parametrize(
    ("prefix", "extra", "expected"),
    [
        ("test/", {}, "test/ is missing; a certificate needs test/ beside train/ and val/"),
        ("test/cat", {}, "train/ has the class cat and test/ has not"),
        ("train/cat", {}, "val/ has the class cat and train/ has not"),
        ("val/cat", {}, "train/ has the class cat and val/ has not"),
        ("test/cat", {"test/cat/x.txt": b""}, "test/cat/ holds no JPEG or PNG image"),
        ("test/cat/00", {}, "the test split has 14 images; a certificate needs at least 20"),
    ],
)
@pytest.mark.parametrize("name", ["folder", "a.tar"])
def test_bad_layouts(tmp_path: Path, prefix: str, extra: dict[str, bytes], expected: str, name: str) -> None:
    files = {key: content for key, content in readable_tree().items() if not key.startswith(prefix)} | extra
    path = write_tar(tmp_path / name, files) if name.endswith(".tar") else write_tree(tmp_path / name, files)
    assert expected in refused(images_study(tmp_path, path))


def test_arrays(tmp_path: Path) -> None:
    train, test = ArraySplit(X[:4], Y[:4]), ArraySplit(X, Y)
    path = keep_arrays(tmp_path, train, train, test)
    split = open_test(arrays_study(tmp_path, path))
    assert np.array_equal(split.batch(range(30)), X)
    assert np.array_equal(split.labels, Y)  # type: ignore[arg-type]
    assert split_hash(split) == split_hash(test)
    assert len(open_arrays(path, (1, 2, 3)).val) == 4
    bare = ArraySplit(X, None)
    assert open_test(arrays_study(tmp_path, keep_arrays(tmp_path, train, bare, bare))).labels is None


def test_arrays_without_a_test_split_are_as_before(tmp_path: Path) -> None:
    split = ArraySplit(X, Y)
    path = keep_arrays(tmp_path, split, split)
    assert "holds no test split" in refused(arrays_study(tmp_path, path))
    assert set(safetensors.torch.load_file(path)) == {
        f"{a}.{b}" for a in ("train", "val") for b in ("images", "labels")
    }


def test_arrays_that_cannot_be_used(tmp_path: Path) -> None:
    labelled, bare = ArraySplit(X, Y), ArraySplit(X, None)
    path = keep_arrays(tmp_path, labelled, labelled, bare)
    assert '"val" has labels and "test" has none; give both or neither' in refused(arrays_study(tmp_path, path))
    path = keep_arrays(tmp_path, labelled, bare, labelled)
    assert '"test" has labels and "val" has none; give both or neither' in refused(arrays_study(tmp_path, path))
    small = ArraySplit(X[:19], Y[:19])
    assert "the test split has 19 images" in refused(
        arrays_study(tmp_path, keep_arrays(tmp_path, labelled, labelled, small))
    )
    tensors = {f"{part}.images": torch.from_numpy(X) for part in ("train", "val")} | {"test.images": torch.zeros(30, 2)}
    safetensors.torch.save_file(
        {name: tensor.clone() for name, tensor in tensors.items()}, tmp_path / "odd.safetensors"
    )
    assert "test.images must be float32 [n, 1, 2, 3]" in refused(arrays_study(tmp_path, tmp_path / "odd.safetensors"))


@pytest.mark.parametrize(
    "returned",
    [
        "'train': (x[:3], y[:3]), 'val': (x[:3], y[:3]), 'test': (x, y)",
        "'val': [(x[:3], y[:3])], 'test': ((x[i:i + 7], y[i:i + 7]) for i in range(0, 30, 7))",
    ],
)
def test_python(tmp_path: Path, returned: str) -> None:
    split = open_test(python_study(tmp_path, f"{{{returned}}}"))
    assert np.array_equal(split.batch(range(30)), X)
    assert split_hash(split) == split_hash(ArraySplit(X, Y))


def test_no_more_than_one_batch_of_val_is_read_for_it(tmp_path: Path) -> None:
    split = open_test(python_study(tmp_path, "{'val': ((x, y) for _ in iter(int, 1)), 'test': (x, y)}"))
    assert len(split) == 30


def test_a_loader_that_shuffles_gives_the_same_split_with_every_seed(tmp_path: Path) -> None:
    shuffled = "[(x[i:i + 1], y[i:i + 1]) for i in np.random.permutation(30)]"
    returned = f"{{'val': (x, y), 'test': {shuffled}}}"
    first, second = (open_test(python_study(tmp_path, returned, seed)) for seed in (1, 2))
    assert not np.array_equal(first.batch(range(30)), second.batch(range(30)))
    assert split_hash(first) == split_hash(second)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("{'train': x, 'val': x}", "data.py:splits returned no \"test\" (only 'train', 'val')"),
        ("{'val': (x, y), 'test': x}", 'data.py:splits: "val" has labels and "test" has none; give both or neither'),
        ("{'val': x, 'test': (x, y)}", '"test" has labels and "val" has none; give both or neither'),
        ("{'val': x, 'test': x[:5]}", "the test split has 5 images; a certificate needs at least 20"),
        ("{'val': x, 'test': 'anything'}", '"test" is a str'),
        ("{'val': x, 'test': (1 / 0 for _ in range(3))}", 'gave a "test" that raised ZeroDivisionError'),
    ],
)
def test_python_that_cannot_be_used(tmp_path: Path, returned: str, expected: str) -> None:
    assert expected in refused(python_study(tmp_path, returned))


def test_the_digits_test_part_is_no_part_of_a_workload(tmp_path: Path) -> None:
    config = study(tmp_path)
    split = open_test(config)
    assert len(split) == len(digits_part("test")) == 359
    workload = open_workload(config)
    seen = {image.tobytes() for part in (workload.quick, workload.confirmation) for image in part.images}
    seen |= {image.tobytes() for image in workload.training.batch(range(len(workload.training)))}
    assert not seen & {image.tobytes() for image in split.batch(range(len(split)))}

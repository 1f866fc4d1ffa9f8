"""Data of kind "images": layouts, archives, decoding, and every bad input."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from objectives.workload import image_files
from objectives.workload.image_files import list_images
from objectives.workload.images import ImageSplit, open_images
from objectives.workload.splits import Splits
from storage.errors import FixInputError
from tests.objectives.workload.material import CLASSES, image_tree, pixels, png, write_tar, write_tree
from tests.shared_material import shared_file

SHAPE = (3, 6, 5)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
ARCHIVES = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.xz": "w:xz"}


def opened(path: Path, shape: tuple[int, ...] = SHAPE) -> Splits:
    return open_images(path, shape, MEAN[: shape[0]], STD[: shape[0]])


def refused(path: Path, action: Callable[[Splits], object] = id) -> str:
    with pytest.raises(FixInputError) as caught:
        action(opened(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pixels_are_normalised_and_labels_follow_the_sorted_classes(tmp_path: Path) -> None:
    splits = opened(write_tree(tmp_path, image_tree()))
    assert splits.classes == CLASSES
    assert (len(splits.train), len(splits.val)) == (8, 40)
    assert splits.train.labels is not None
    assert splits.train.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    batch = splits.train.batch([5, 0])
    assert batch.dtype == np.float32
    assert batch.shape == (2, *SHAPE)
    expected = (pixels(6).transpose(2, 0, 1) / 255 - np.array(MEAN)[:, None, None]) / np.array(STD)[:, None, None]
    np.testing.assert_allclose(batch[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("suffix", ARCHIVES)
@pytest.mark.parametrize("top", ["", "./", "cifar/", "./cifar/"])
def test_archives_and_folders_agree(tmp_path: Path, suffix: str, top: str) -> None:
    files = image_tree(train=2)
    folder = opened(
        write_tree(tmp_path / "folder" / top, files).parents[0] if top else write_tree(tmp_path / "f", files)
    )
    archive = opened(write_tar(tmp_path / f"a{suffix}", {top + key: files[key] for key in files}, ARCHIVES[suffix]))
    everything = range(len(folder.val))
    assert archive.classes == folder.classes
    assert np.array_equal(archive.val.batch(everything), folder.val.batch(everything))
    assert archive.val.digest(everything) == folder.val.digest(everything)
    assert archive.train.digest([0, 1]) != folder.train.digest([1, 0])


def test_the_order_in_an_archive_does_not_matter(tmp_path: Path) -> None:
    files = image_tree(train=2)
    first = opened(write_tar(tmp_path / "a.tar", files))
    second = opened(write_tar(tmp_path / "b.tar", dict(reversed(files.items()))))
    assert first.val.digest(range(40)) == second.val.digest(range(40))


def test_grey_images_for_one_channel(tmp_path: Path) -> None:
    splits = opened(write_tree(tmp_path, image_tree(channels=1)), (1, 6, 5))
    assert isinstance(splits.train, ImageSplit)
    assert np.array_equal(splits.train.pixels([0])[0, 0], pixels(1, channels=1))
    rgb = opened(tmp_path)
    assert isinstance(rgb.train, ImageSplit)
    assert np.array_equal(rgb.train.pixels([0])[0], np.repeat(pixels(1, channels=1)[None], 3, axis=0))


def test_jpeg_palette_and_transparency_are_read(tmp_path: Path) -> None:
    files = image_tree()
    array = pixels(99)
    palette = Image.fromarray(array).quantize(4)
    stream = io.BytesIO()
    palette.save(stream, format="PNG", transparency=b"\x00\xff")
    files["train/bird/a.JPG"] = png(array, "JPEG")
    files["train/bird/b.png"] = stream.getvalue()
    files["train/bird/c.png"] = png(np.dstack([array, array[..., :1]]))
    split = opened(write_tree(tmp_path, files)).train
    assert isinstance(split, ImageSplit)
    names = [Path(file.name).name for file in split.files]
    assert np.array_equal(split.pixels([names.index("c.png")])[0], array.transpose(2, 0, 1))
    assert np.abs(split.pixels([names.index("a.JPG")])[0].mean() - array.mean()) < 8
    expected = np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(split.pixels([names.index("b.png")])[0], expected)


def test_nested_files_count_and_hidden_or_foreign_ones_do_not(tmp_path: Path) -> None:
    files = image_tree()
    plain = len(files)
    extra = {
        "train/bird/deep/x.png": png(pixels(7)),
        "train/bird/._000.png": b"",
        "train/.git/x.png": b"",
        "val/notes.txt": b"",
    }
    extra |= {"train/bird/Thumbs.db": b"", "README.md": b"", ".hidden/train/x.png": b""}
    for found in (
        list_images(write_tree(tmp_path / "f", files | extra)),
        list_images(write_tar(tmp_path / "a.tar", files | extra)),
    ):
        assert tuple(found["train"]) == CLASSES
        counted = sum(len(images) for split in found.values() for images in split.values())
        assert counted == plain - 4 + 1  # without the four test images, with the nested one


def test_the_test_split_is_never_read(tmp_path: Path) -> None:
    files = image_tree()
    folder = write_tree(tmp_path / "f", files)
    for file in (folder / "test").rglob("*.png"):
        file.unlink()
        file.symlink_to(tmp_path / "nowhere")
    archive = write_tar(tmp_path / "a.tar", files)
    for path in (folder, archive):
        assert list_images(path)["test"] == {"bird": (), "cat": ()}
        opened(path).val.batch(range(40))
    bare = write_tree(tmp_path / "bare", {key: files[key] for key in files if not key.startswith("test")})
    assert "test" not in list_images(bare)


def test_nothing_of_an_archive_escapes(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    evil = {
        "../train/bird/x.png": b"evil",
        "/tmp/train/bird/y.png": b"evil",
        "train/../../bird/z.png": b"evil",
    }
    path = write_tar(inner / "a.tar", image_tree() | evil)
    splits = opened(path)
    assert (len(splits.train), splits.classes) == (8, CLASSES)
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["a.tar", "inner"]


def test_links_in_archives_are_refused_by_name(tmp_path: Path) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        path = write_tar(tmp_path / "a.tar", image_tree())
        with tarfile.open(path, "a") as archive:
            member = tarfile.TarInfo("train/bird/zz.png")
            member.type, member.linkname = kind, "train/bird/000.png"
            archive.addfile(member)
        assert "train/bird/zz.png is a link" in refused(path)


def test_only_what_is_used_is_decoded(tmp_path: Path) -> None:
    files = image_tree()
    files["train/bird/000.png"] = b"junk"
    splits = opened(write_tree(tmp_path, files))
    assert len(splits.train.batch([1, 2, 3])) == 3
    with pytest.raises(FixInputError, match=r"train/bird/000.png: is not a readable JPEG or PNG image"):
        splits.train.batch([0])


def _bmp() -> bytes:
    return png(pixels(1), "BMP")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is not a readable JPEG or PNG"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "is not a readable JPEG or PNG"),
        (png(pixels(1))[:60], "is not a readable JPEG or PNG"),
        (png(pixels(1, 60, 50), "JPEG")[:900], "is 60 x 50 pixels"),
        (_bmp(), "is not a readable JPEG or PNG"),
        (png(pixels(1, 5, 6)), "is 5 x 6 pixels (height x width), [model] input wants 6 x 5"),
        (png(np.zeros((6, 5), dtype=np.uint16)), "more than 8 bits a channel"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_bad_images_are_named(tmp_path: Path, content: bytes, expected: str, packed: bool) -> None:
    files = image_tree()
    files["val/cat/003.png"] = content
    path = write_tar(tmp_path / "a.tar", files) if packed else write_tree(tmp_path, files)
    message = refused(path, lambda splits: splits.val.batch(range(40)))
    assert "val/cat/003.png" in message
    assert expected in message


def test_a_truncated_jpeg_of_the_right_size_is_named(tmp_path: Path) -> None:
    files = image_tree()
    content = png(pixels(1), "JPEG")
    files["val/cat/003.png"] = content[: len(content) - 30]
    assert "val/cat/003.png: is not a readable" in refused(
        write_tree(tmp_path, files), lambda splits: splits.val.batch(range(40))
    )


def without(prefix: str) -> dict[str, bytes]:
    return {key: value for key, value in image_tree().items() if not key.startswith(prefix)}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (without("train"), "train/ is missing; it must hold train/ and val/"),
        (without("val"), "val/ is missing; it must hold train/ and val/"),
        (without("train/cat"), "val/ has the class cat and train/ has not"),
        (without("val/cat"), "train/ has the class cat and val/ has not"),
        (without("test/cat"), "train/ has the class cat and test/ has not"),
        (without("val/cat") | {"val/cat/x.txt": b""}, "val/cat/ holds no JPEG or PNG image"),
        ({key: value for key, value in image_tree().items() if "bird" in key}, "one class only, bird"),
        ({"a/x.png": b""}, "it must hold train/ and val/"),
    ],
)
def test_bad_layouts(tmp_path: Path, files: dict[str, bytes], expected: str, packed: bool) -> None:
    path = write_tar(tmp_path / "a.tar", files) if packed else write_tree(tmp_path / "f", files)
    message = refused(path)
    assert expected in message
    assert message.startswith(str(path))


def test_empty_folders_and_splits(tmp_path: Path) -> None:
    assert "found no folders" in refused(tmp_path)
    (tmp_path / "train" / "bird").mkdir(parents=True)
    (tmp_path / "val").mkdir()
    assert "val/ is empty" in refused(tmp_path)
    (tmp_path / "val" / "bird").mkdir()
    (tmp_path / "train" / "cat").mkdir()
    (tmp_path / "val" / "cat").mkdir()
    assert "train/bird/ holds no JPEG or PNG image" in refused(tmp_path)


def test_two_sets_in_one_archive(tmp_path: Path) -> None:
    files = image_tree()
    path = write_tar(tmp_path / "a.tar", {f"{top}/{key}": value for key, value in files.items() for top in "xy"})
    assert "holds splits below x and y" in refused(path)


@pytest.mark.parametrize("suffix", ARCHIVES)
def test_archives_that_are_none(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    for content in (b"", b"junk" * 1000):
        path.write_bytes(content)
        assert "a.tar" in refused(path) or "a.tgz" in refused(path)
        assert "is not a readable tar archive" in refused(path)
    write_tar(path, image_tree(val=60), ARCHIVES[suffix])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "is not a readable tar archive" in refused(path)


def test_paths_that_are_none(tmp_path: Path) -> None:
    assert "there is no such folder or archive" in refused(tmp_path / "none")
    (tmp_path / "a.zip").write_bytes(b"PK")
    assert "is neither a folder nor an archive (.tar, .tar.gz" in refused(tmp_path / "a.zip")


def test_archives_beyond_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "MAX_ARCHIVE_BYTES", 1000)
    assert "unpack it and give the folder" in refused(write_tar(tmp_path / "a.tar", image_tree()))


@pytest.mark.shared
def test_the_cifar_archive() -> None:
    splits = opened(shared_file("data/cifar10.tar.xz"), (3, 32, 32))
    assert (len(splits.train), len(splits.val), len(splits.classes)) == (50_000, 5_000, 10)
    assert splits.classes[0] == "airplane"
    assert splits.val.batch([0, 4_999]).shape == (2, 3, 32, 32)

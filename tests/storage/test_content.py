"""Files named by their content: once, whole, readable by others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.content import HASH_DIGITS, keep_content
from storage.errors import DiskFullError, FixInputError


def writes(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def test_the_name_is_the_hash_and_the_same_content_is_one_file(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    first = keep_content(folder, ".txt", writes(b"one"))
    before = first.stat()
    again = keep_content(folder, ".txt", writes(b"one"))
    other = keep_content(folder, ".txt", writes(b"two"))
    assert first == again != other
    assert first.stat().st_ino == before.st_ino
    assert first.stat().st_mtime_ns >= before.st_mtime_ns  # young again, for whoever cleans up
    assert first.read_bytes() == b"one"
    assert sorted(entry.name for entry in folder.iterdir()) == sorted([first.name, other.name])
    assert len(first.stem) == len(other.stem) == HASH_DIGITS


def test_others_may_read_it(tmp_path: Path) -> None:
    def secretly(path: Path) -> None:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))

    before = os.umask(0o022)
    try:
        assert keep_content(tmp_path, "", secretly).stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def full(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskFullError, match="free some"):
        keep_content(tmp_path, "", full)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FixInputError, match="choose another path"):
        keep_content(tmp_path / "file", "", writes(b""))

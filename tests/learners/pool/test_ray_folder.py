"""Which folders of the temporary directory are removed when Ray starts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from learners.pool.ray_folder import LOCK, MOST_PATH, PREFIX, SHORT, SessionFolder, remove_left
from tests.slimfront.material import ROOT

HOLD = """
import sys
from learners.pool.ray_folder import SessionFolder
print(SessionFolder().path, flush=True)
sys.stdin.readline()
"""
SOCKET = "/session_2026-11-29_09-01-53_123456_1234567/sockets/plasma_store"
MOST_SOCKET = 107  # bytes of the path of one


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The temporary directory, empty, with a short path."""
    with tempfile.TemporaryDirectory(dir=SHORT) as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder_lives_as_long_as_the_process_that_made_it(temporary: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        path = Path(process.stdout.readline().strip())
        (path / "log").touch()
        remove_left()
        assert names(path) == {LOCK, "log"}
        process.kill()
    remove_left()
    assert names(temporary) == set()


def test_our_own_folder_is_ours_until_it_is_removed(temporary: Path) -> None:
    folder = SessionFolder()
    remove_left()
    assert names(temporary) == {folder.path.name}
    assert folder.path.stat().st_mode & 0o777 == 0o700
    folder.remove()
    assert names(temporary) == set()


def test_what_ray_was_not_started_in_stays(temporary: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    outside = temporary / "outside"
    for name in ("slimfront-2024-11", f"slimfront-{gone.pid}-front", f"{PREFIX}front", "outside"):
        (temporary / name).mkdir()
        (temporary / name / "model.onnx").touch()
    (outside / LOCK).touch()
    (temporary / f"{PREFIX}link").symlink_to(outside)
    (temporary / f"{PREFIX}file").touch()
    before = names(temporary)
    remove_left()
    assert names(temporary) == before
    assert names(outside) == {LOCK, "model.onnx"}


def test_folders_of_other_users_stay(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = temporary / f"{PREFIX}12345678"
    theirs.mkdir()
    (theirs / LOCK).touch()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: theirs.stat().st_uid + 1)
        remove_left()
    assert names(temporary) == {theirs.name}
    remove_left()
    assert names(temporary) == set()


@pytest.mark.parametrize("length", [MOST_PATH, MOST_PATH + 2, 38, 60])
def test_sockets_have_short_paths(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir=SHORT) as short:
        usual = Path(short if length == MOST_PATH else f"{short}/{'x' * (length - len(short) - 1)}")
        usual.mkdir(exist_ok=True)
        monkeypatch.setattr(tempfile, "tempdir", str(usual))
        folder = SessionFolder()
        assert len(f"{folder.path}{SOCKET}") <= MOST_SOCKET
        assert (folder.path.parent == usual) == (length == MOST_PATH)
        folder.remove()
        shutil.rmtree(usual, ignore_errors=True)

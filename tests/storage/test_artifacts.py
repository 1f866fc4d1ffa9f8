from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.artifacts import ArtifactStore
from storage.errors import FixInputError
from tests.storage.ordinary import open_folder, ordinary_user


def test_an_artifact_exists_once_it_is_whole(tmp_path: Path) -> None:
    artifacts = ArtifactStore(tmp_path / "artifacts")
    assert not artifacts.exists("s", "17")
    with artifacts.write("s", "17") as folder:
        (folder / "model.slim").write_bytes(b"x")
        assert not artifacts.exists("s", "17")
    assert artifacts.exists("s", "17")
    assert (artifacts.folder("s", "17") / "model.slim").read_bytes() == b"x"
    assert artifacts.folder("s", "17") == tmp_path / "artifacts" / "s" / "17"


def test_a_failed_export_leaves_no_artifact(tmp_path: Path) -> None:
    artifacts = ArtifactStore(tmp_path)
    with suppress(ZeroDivisionError), artifacts.write("s", "17") as folder:
        (folder / "model.slim").write_bytes(b"x")
        raise ZeroDivisionError
    assert not artifacts.exists("s", "17")


def test_deleting_a_study_leaves_the_others(tmp_path: Path) -> None:
    artifacts = ArtifactStore(tmp_path)
    for study in ("a", "b"):
        with artifacts.write(study, "1") as folder:
            (folder / "file").write_bytes(b"x")
    artifacts.delete_study("a")
    artifacts.delete_study("a")
    assert {path.name for path in tmp_path.iterdir()} == {"b"}
    assert artifacts.exists("b", "1")


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "/etc", "a\\b", "a\0b", "a\nb", "a\udc80"])
def test_names_cannot_leave_the_root(tmp_path: Path, name: str) -> None:
    artifacts = ArtifactStore(tmp_path / "root")
    for call in (
        lambda: artifacts.folder(name, "1"),
        lambda: artifacts.folder("s", name),
        lambda: artifacts.exists("s", name),
        lambda: artifacts.delete_study(name),
    ):
        with pytest.raises(FixInputError, match="cannot name a study's files: use letters"):
            call()
    with pytest.raises(FixInputError), artifacts.write("s", name):
        pytest.fail("the block must not run")
    assert list(tmp_path.iterdir()) == []


@given(study=st.text(max_size=6), name=st.text(max_size=6))
def test_every_accepted_name_lies_below_its_study(study: str, name: str) -> None:
    root = Path("/no/such/root")
    try:
        folder = ArtifactStore(root).folder(study, name)
    except FixInputError:
        return
    assert folder.parent == root / study
    assert folder.parent.parent == root


def test_a_link_out_of_the_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_bytes(b"x")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "s").symlink_to(tmp_path / "outside")
    artifacts = ArtifactStore(tmp_path / "root")
    with pytest.raises(FixInputError, match="leads out of"):
        artifacts.folder("s", "1")
    with pytest.raises(FixInputError, match="leads out of"):
        artifacts.delete_study("s")
    assert (tmp_path / "outside" / "kept").exists()


def test_deleting_without_permission_says_so() -> None:
    with open_folder() as root:
        artifacts = ArtifactStore(root)
        with artifacts.write("s", "1") as folder:
            (folder / "file").write_bytes(b"x")
        (root / "s").chmod(0o555)
        (root / "s" / "1").chmod(0o555)
        with ordinary_user(), pytest.raises(FixInputError, match="may not be written"):
            artifacts.delete_study("s")
        assert artifacts.exists("s", "1")

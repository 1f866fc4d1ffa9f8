"""A benchmark that was interrupted goes on with the part that is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import parts
from benchmarks.parts import Parts


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one source file."""
    monkeypatch.setattr(parts, "REPOSITORY", tmp_path)
    monkeypatch.setattr(parts, "FOLDER", tmp_path / "build")
    (tmp_path / "learners").mkdir()
    (tmp_path / "learners" / "one.py").write_text("1")
    return tmp_path


def interrupted() -> None:
    raise KeyboardInterrupt


def test_what_is_measured_is_not_measured_again(sources: Path) -> None:
    assert Parts("resnet20").get("first", lambda: {"points": 1.5}) == {"points": 1.5}
    with pytest.raises(KeyboardInterrupt):
        Parts("resnet20").get("second", interrupted)
    again = Parts("resnet20")
    assert again.get("first", interrupted) == {"points": 1.5}
    assert again.get("second", lambda: [2]) == [2]
    again.remove()
    assert not list((sources / "build").iterdir())


def test_parts_of_other_sources_or_of_another_benchmark_do_not_count(sources: Path) -> None:
    Parts("resnet20").get("first", lambda: 1)
    assert Parts("resnet56").get("first", lambda: 2) == 2
    (sources / "learners" / "one.py").write_text("2")
    assert Parts("resnet20").get("first", lambda: 3) == 3


def test_sources_that_change_while_they_are_measured_end_it(sources: Path) -> None:
    def edited() -> int:
        (sources / "learners" / "one.py").write_text("2")
        return 1

    kept = Parts("resnet20")
    with pytest.raises(SystemExit, match="run the benchmark again"):
        kept.get("first", edited)
    assert not (kept.folder / "first.json").exists()

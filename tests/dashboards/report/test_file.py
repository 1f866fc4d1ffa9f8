"""Where reports are written, and where not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from storage.errors import FixInputError
from tests.dashboards import samples
from tests.dashboards.report.written import finished, written


def test_a_report_is_written_whole_and_the_same_each_time(tmp_path: Path) -> None:
    store = finished()
    first = written(store, tmp_path / "new" / "a.html")
    assert (first.path, first.replaced) == (tmp_path / "new" / "a.html", False)
    content = first.path.read_bytes()
    assert first.size_bytes == len(content)
    assert content.endswith(b"</html>")
    again = written(store, first.path)
    assert again.replaced
    assert again.path.read_bytes() == content
    assert os.listdir(first.path.parent) == ["a.html"]


def test_other_files_are_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "thesis.html"
    path.write_text("<p>Years of work</p>")
    with pytest.raises(FixInputError, match="no report of Slimfront"):
        written(finished(), path)
    assert path.read_text() == "<p>Years of work</p>"
    with pytest.raises(FixInputError, match="is a folder"):
        written(finished(), tmp_path)


def test_a_path_through_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FixInputError, match="choose another path"):
        written(finished(), tmp_path / "file" / "a.html")


def test_a_study_without_results_says_so_and_writes_nothing(tmp_path: Path) -> None:
    store = samples.new_store()
    with pytest.raises(FixInputError, match="no results yet"):
        written(store, tmp_path / "a.html")
    samples.analyse(store)
    store.add_trials(samples.NAME, 1, samples.BASELINES)
    with pytest.raises(FixInputError, match="no results yet"):
        written(store, tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []

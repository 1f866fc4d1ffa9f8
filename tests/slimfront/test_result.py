"""What Python gets of a study: the same rows, verdict and files as the command line."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import slimfront
from objectives.workload.digits import digits_part
from slimfront.result import StudyResult
from slimfront.rows import Front
from slimfront.table import COLUMNS, html_table, text_table
from storage.errors import FixInputError, NotFoundError
from storage.open import open_store
from storage.records.study import StudyState
from tests.slimfront.finished import Finished
from tests.slimfront.material import invoke, study_text


@pytest.fixture
def result(at_home: Finished) -> StudyResult:
    return slimfront.load_study("tiny")


def test_it_says_what_the_command_line_says(result: StudyResult, monkeypatch: pytest.MonkeyPatch) -> None:
    assert result.to_dict() == slimfront.load_study("tiny").to_dict()
    assert json.loads(json.dumps(result.to_dict())) == json.loads(invoke("front", "tiny", "--json").out)
    assert (result.name, result.state, result.target_met) == ("tiny", "succeeded", True)
    assert result.target.to_dict() == {"size": "3x", "max_drop": 10.0}
    assert result.dense.size_bytes == result.to_dict()["dense"]["size_bytes"]
    monkeypatch.setenv("COLUMNS", "99")
    assert repr(result) == "\n".join(line.rstrip() for line in invoke("front", "tiny").out.rstrip().splitlines())
    assert result.seconds > 0


def test_the_front_is_a_sequence_of_rows(result: StudyResult) -> None:
    rows = result.to_dict()["front"]
    assert [row.candidate for row in result.front] == [row["candidate"] for row in rows]
    first = result.front[0]
    assert (first.accuracy, first.size_bytes, first.study) == (rows[0]["accuracy"], rows[0]["size_bytes"], "tiny")
    assert result.front[-1] == list(result.front)[-1]
    assert isinstance(result.front[1:], Front)
    assert len(result.front[1:]) == len(result.front) - 1
    assert result.front == slimfront.load_study("tiny").front != result.baselines
    with pytest.raises(FrozenInstanceError):
        first.accuracy = 100.0  # type: ignore[misc]
    with pytest.raises(IndexError):
        _ = result.front[99]
    assert [row.name for row in result.baselines][:2] == ["dense", "ort int8"]
    assert result.baselines[0].label == "1 dense"


def test_the_table_is_aligned(result: StudyResult) -> None:
    lines = repr(result.front).splitlines()
    assert len(lines) == len(result.front) + 1
    assert lines[0].split() == [word for name in COLUMNS for word in name.split()]
    end = lines[0].index("size") + len("size")
    assert all(line[end - 2 : end] in ("KB", " B") for line in lines[1:])
    assert repr(Front([])).split() == lines[0].split()
    assert text_table([("a", *[""] * 7)]).splitlines()[1] == "a"


def test_html_is_escaped(result: StudyResult) -> None:
    row = replace(result.baselines[0], name="<script>alert(1)</script>")
    shown = Front([row])._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert shown.count("<td") == shown.count("</td>") == len(COLUMNS) == shown.count("<th ")
    whole = result._repr_html_()
    assert result.front._repr_html_() in whole
    assert "target met (size 3x, max_drop 10.0)" in whole
    assert html_table([]).count("<td") == 0


def test_the_best_is_the_one_that_the_command_line_names(result: StudyResult) -> None:
    best = result.best()
    assert f"candidate {best.candidate} first" in invoke("front", "tiny").out
    assert best.meets_target
    assert result.nearest(1)[0].size_bytes <= result.dense.size_bytes  # type: ignore[operator]
    small = result.best("drop<=100")  # the smallest within it
    assert small.size_bytes == min(row.size_bytes for row in result.front)
    assert result.best({"max_drop": 100}) == small
    assert result.candidate(best.candidate) == best
    assert result.candidate(1).name == "dense"  # on the front, too


def test_an_honest_no(result: StudyResult) -> None:
    with pytest.raises(NotFoundError) as caught:
        result.best("size=100x drop<=0.1")
    near = result.nearest(3, "size=100x drop<=0.1")
    message = str(caught.value)
    assert message.startswith("no model of study tiny meets the target (size 100x, max_drop 0.1); the nearest is")
    assert f"candidate {near[0].candidate}: size" in message
    assert len(near) == 3
    with pytest.raises(FixInputError, match="is not a target"):
        result.best("small")
    with pytest.raises(NotFoundError, match="candidate 9999 is neither on the front of study tiny nor a baseline"):
        result.candidate(9999)


def test_rows_load_and_export(result: StudyResult, tmp_path: Path) -> None:
    row = result.best()
    images = digits_part("val").images
    outputs = row.load()(images)
    with torch.no_grad():
        wanted = row.load_torch()(torch.from_numpy(images)).numpy()
    assert np.abs(outputs - wanted).mean() <= 0.05 * wanted.std()
    done = row.export(tmp_path / "row")
    assert set(done.files) >= {"model.slim", "model.onnx", "README.md"}
    assert np.array_equal(slimfront.load(tmp_path / "row" / "model.slim")(images), outputs)
    again = result.export(str(tmp_path / "row"))
    assert again.replaced
    assert f"# tiny/{row.candidate}" in (tmp_path / "row" / "README.md").read_text()
    number = result.front[-1].candidate
    result.export(tmp_path / "other", candidate=number)
    assert f"# tiny/{number}" in (tmp_path / "other" / "README.md").read_text()
    with pytest.raises(FixInputError, match=r"tiny/2 has no model.slim, as another form of it was measured"):
        result.candidate(2).load()
    with pytest.raises(FixInputError, match="holds other files"):
        result.export(Path(__file__).parent)


def test_the_plot_is_that_of_the_report(result: StudyResult) -> None:
    figure = result.plot()
    numbers = {
        point[0] for trace in figure.data for point in (trace.customdata if trace.customdata is not None else ())
    }
    assert {row.candidate for row in result.front} <= {int(number) for number in numbers}
    assert figure.layout.xaxis.title.text == "file size (bytes, logarithmic)"
    assert result.plot("latency").layout.xaxis.title.text != result.plot("macs").layout.xaxis.title.text
    with pytest.raises(FixInputError, match="'bits' is nothing to plot against; the costs are size, latency, macs"):
        result.plot("bits")  # type: ignore[arg-type]


def test_a_study_without_results_says_so(tmp_path: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/other.db"
    monkeypatch.setenv("SLIMFRONT_HOME", str(tmp_path / "home"))
    store = open_store(url)
    config = slimfront_config(finished.folder)
    store.create_study("young", config)
    store.update_study("young", state=StudyState.FAILED, error="the disk burnt")
    store.close()
    result = slimfront.load_study("young", store=url)
    assert (result.state, len(result.front), result.dense.accuracy) == ("failed", 0, None)
    assert "nothing has been evaluated yet" in repr(result)
    assert "nothing is measured yet" in result._repr_html_()
    with pytest.raises(NotFoundError, match="study young \\(failed\\) has no measured model yet"):
        result.best()
    with pytest.raises(FixInputError, match="study young knows no size of any model yet"):
        result.plot()
    assert [line.state for line in slimfront.list_studies(url)] == ["failed"]
    with pytest.raises(NotFoundError, match="there is no study yung; did you mean young"):
        slimfront.load_study("yung", store=url)
    wrong: Any = 7
    with pytest.raises(FixInputError, match="a study's name is a string, not a int"):
        slimfront.load_study(wrong, store=url)


def slimfront_config(folder: Path) -> str:
    """The configuration of the study file in `folder`."""
    from slimfront.submit import read_config

    path = folder / "young.toml"
    path.write_text(study_text(name='"young"'))
    return read_config(path).to_json()

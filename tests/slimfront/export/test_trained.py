"""What training has made is shown, loaded and exported like any other candidate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import slimfront
from dashboards.study import StudyData, read_study
from objectives.workload.workload import open_workload
from slimfront.submit import read_config
from storage.home import Home
from storage.open import open_store
from storage.records.candidate import Trial
from storage.records.measurement import Rung
from tests.slimfront.finished import Finished
from tests.slimfront.material import invoke


@pytest.fixture
def data(tuned_home: Path) -> StudyData:
    store = open_store(Home(tuned_home).database_url)
    try:
        return read_study(store, "tuned")
    finally:
        store.close()


def longest(data: StudyData) -> Trial:
    """A searched candidate that was trained to the end."""
    return next(
        trial
        for trial in data.trials.values()
        if trial.parent is not None and trial.baseline is None and trial.number in data.results[Rung.FINAL]
    )


def test_an_exported_one_is_the_file_that_was_measured_and_says_what_it_is(
    tuned: Finished, data: StudyData, tuned_home: Path, tmp_path: Path
) -> None:
    trial = longest(data)
    assert trial.parent is not None
    assert data.trials[trial.parent].parent is not None  # the brief training goes before
    ran = invoke("export", f"tuned/{trial.number}", "-o", str(tmp_path / "out"))
    assert ran.code == 0, ran.err
    measured = tuned_home / "artifacts" / "tuned" / str(trial.number) / "model.slim"
    assert (tmp_path / "out" / "model.slim").read_bytes() == measured.read_bytes()
    images = open_workload(read_config(tuned.folder / "tuned.toml")).confirmation
    assert images.labels is not None
    outputs = slimfront.load(tmp_path / "out" / "model.slim")(images.images)
    accuracy = 100 * float((outputs.argmax(1) == images.labels).mean())
    assert accuracy == pytest.approx(data.files[trial.number].value("accuracy"), abs=1e-9)
    text = (tmp_path / "out" / "README.md").read_text()
    assert f"The weights were trained from candidate {trial.parent}." in text
    assert "by which it was chosen what to train" in text
    assert "## Certificate" not in text
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    shown = json.loads(invoke("show", f"tuned/{trial.number}", "--json").out)
    assert {key: plan[key] for key in shown} == shown
    assert (plan["parent"], plan["row"]["tuned"], plan["certificate"]) == (trial.parent, True, None)
    assert {layer["method"] for layer in plan["layers"]} == {"fine-tuned"}


def test_a_candidate_of_the_search_says_nothing_of_training(data: StudyData, tmp_path: Path) -> None:
    trial = longest(data)
    while trial.parent is not None:
        trial = data.trials[trial.parent]
    ran = invoke("export", f"tuned/{trial.number}", "-o", str(tmp_path / "out"))
    assert ran.code == 0, ran.err
    assert "train" not in (tmp_path / "out" / "README.md").read_text().partition("## Input")[0]


def test_an_artifact_that_is_gone_cannot_be_made_again(data: StudyData, tuned_home: Path, tmp_path: Path) -> None:
    number = longest(data).number
    (tuned_home / "artifacts" / "tuned" / str(number) / "model.slim").unlink()
    ran = invoke("export", f"tuned/{number}", "-o", str(tmp_path / "out"))
    assert ran.code == 1
    assert "which training has left, is gone" in ran.err
    assert not (tmp_path / "out").exists()


def test_commands_and_python_tell_where_it_comes_from(data: StudyData) -> None:
    trial = longest(data)
    lines = invoke("show", f"tuned/{trial.number}").out.splitlines()
    assert lines[1] == f"trained from candidate {trial.parent} (rung final): `slimfront show tuned/{trial.parent}`"
    assert lines[2].startswith("confirmed on 225 images: ")
    assert "rung final: 12 of 12 candidates scored" in invoke("status", "tuned").out
    result = slimfront.load_study("tuned")
    assert result.certificate is None
    rows = {row.candidate: row for row in (*result.front, *result.baselines)}
    trained = [row for row in rows.values() if row.tuned]
    assert {row.candidate: row.parent for row in trained} == {
        row.candidate: data.trials[row.candidate].parent for row in trained
    }
    assert [row for row in rows.values() if row.name is None and row.parent is not None] == [
        row for row in trained if row.label == f"{row.candidate} (from {row.parent})"
    ]
    baseline = next(row for row in result.baselines if row.tuned)
    assert baseline.label == f"{baseline.candidate} uniform at target, trained 1"
    assert baseline.load() is not None

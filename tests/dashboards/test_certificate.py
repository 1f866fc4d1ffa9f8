"""What views say of the test split."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dashboards.certificate import certificate_view
from dashboards.front import FrontView, front_view
from dashboards.study import read_study
from storage.home import Home
from storage.records.study import DECLARED
from storage.store import StudyStore
from tests.dashboards import samples


@pytest.fixture
def store() -> StudyStore:
    """A finished study with trained candidates."""
    store = samples.new_store()
    samples.analyse(store)
    samples.search(store)
    samples.finish(store)
    samples.train(store)
    return store


def view(store: StudyStore, tmp_path: Path) -> FrontView:
    return front_view(read_study(store, samples.NAME), Home(tmp_path))


def test_rows_of_the_document_have_these_fields_of_their_certificate_and_no_others(
    store: StudyStore, tmp_path: Path
) -> None:
    assert {row["certificate"] for row in view(store, tmp_path).to_dict()["front"]} == {None}
    samples.certify(store, looks=3)
    document = json.loads(json.dumps(view(store, tmp_path).to_dict()))
    rows = {row["candidate"]: row for row in (*document["front"], *document["baselines"])}
    assert rows[5]["certificate"] == {
        "verdict": "certified",
        "drop": 1.25,
        "drop_upper": 1.75,
        "n": 400,
        "disagreement": 0.04,
    }
    judged = {number: row["certificate"] and row["certificate"]["verdict"] for number, row in rows.items()}
    assert judged == {1: None, 2: None, 3: None, 4: None, 5: "certified", 9: "fails", 10: "not certified"}
    assert (rows[9]["tuned"], rows[9]["parent"], rows[5]["tuned"]) == (True, 8, False)
    assert document["looks"] == 3


def test_a_look_that_has_not_ended_hides_the_last_certificate(store: StudyStore, tmp_path: Path) -> None:
    assert certificate_view(read_study(store, samples.NAME)) is None
    samples.certify(store)
    store.add_event(samples.NAME, DECLARED, "candidate 9", '{"primary": 9, "candidates": [9]}')
    found = view(store, tmp_path)
    assert (found.looks, {row.certificate for row in found.front}) == (None, {None})
    samples.certify(store, looks=2)
    again = certificate_view(read_study(store, samples.NAME))
    assert again is not None
    assert again.looks == 2
    assert str(again).splitlines() == [
        f"candidate 5 (primary): {samples.SENTENCES[0]}",
        f"candidate 9: {samples.SENTENCES[1]}",
        f"candidate 10 (uniform at target, trained 10): {samples.SENTENCES[2]}",
        "the test split had been looked at 2 times by then",
    ]
    assert [item["sentence"] for item in again.to_dict()["certificates"]] == list(samples.SENTENCES)

"""`certify`: finalists are judged once, and everybody is told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import slimfront
from storage.errors import StudyStateError, UsedSplitError
from storage.home import Home
from storage.open import open_store
from storage.records.config import StudyConfig
from storage.records.study import CERTIFICATE, StudyState
from tests.slimfront.finished import Finished
from tests.slimfront.material import invoke

FIELDS = {
    *("candidate", "name", "primary", "verdict", "drop", "drop_lower", "drop_upper", "n", "disagreement"),
    *("confidence", "max_drop", "needed", "sentence"),
}
LINE = re.compile(r"candidate (\d+)( \(.*\))?: (certified|fails|not certified)")
TEST_IMAGES = 359


def test_the_verdicts_are_printed_kept_and_shown_everywhere(tuned_home: Path, tmp_path: Path) -> None:
    before = invoke("front", "tuned").out
    assert "certified" not in before
    ran = invoke("certify", "tuned")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert all(LINE.match(line) for line in lines)
    assert "(primary)" in lines[0]
    assert sum("(primary)" in line for line in lines) == 1
    front = invoke("front", "tuned").out.splitlines()
    start = front.index(lines[0])
    assert front[start : start + len(lines)] == lines
    assert front[:start] + front[start + len(lines) :] == before.splitlines()

    again = invoke("certify", "tuned", "--json")  # of what is stored
    assert again.err == ""
    document = json.loads(again.out)
    assert (document["study"], document["looks"]) == ("tuned", 1)
    items = {item["candidate"]: item for item in document["certificates"]}
    assert all(set(item) == FIELDS for item in items.values())
    assert {item["n"] for item in items.values()} == {TEST_IMAGES}
    assert [int(line.split()[1].rstrip(":")) for line in lines] == list(items)
    rows = json.loads(invoke("front", "tuned", "--json").out)
    for row in (*rows["front"], *rows["baselines"]):
        item = items.get(row["candidate"])
        keys = ("verdict", "drop", "drop_upper", "n", "disagreement")
        assert row["certificate"] == (None if item is None else {key: item[key] for key in keys})

    primary = next(iter(items.values()))
    reference = f"tuned/{primary['candidate']}"
    assert f"on the test split, as the primary: {primary['sentence']}" in invoke("show", reference).out.splitlines()
    assert json.loads(invoke("show", reference, "--json").out)["certificate"] == primary
    assert invoke("export", reference, "-o", str(tmp_path / "out")).code == 0
    text = (tmp_path / "out" / "README.md").read_text()
    section = text.partition("## Certificate\n\n")[2]
    assert section.startswith(f"{primary['sentence'].capitalize()}.")
    assert "the first look at that split" in section
    assert json.loads((tmp_path / "out" / "plan.json").read_text())["certificate"] == primary
    assert invoke("report", "tuned", "-o", str(tmp_path / "r.html")).code == 0
    assert primary["sentence"] in (tmp_path / "r.html").read_text()


def test_python_certifies_and_looks_again(tuned_home: Path) -> None:
    result = slimfront.load_study("tuned")
    found = result.certify()
    assert result.certificate is None  # a result is what it was when it was read
    assert slimfront.load_study("tuned").certificate == found == result.certify()
    assert found.looks == 1
    again = result.certify(again=True)
    assert again.looks == 2
    assert [item.drop for item in again.certificates] == [item.drop for item in found.certificates]
    assert str(again).splitlines()[-1] == "the test split had been looked at 2 times by then"
    assert "the test split had been looked at 2 times by then" in invoke("front", "tuned").out.splitlines()
    folder = tuned_home / "out"
    slimfront.load_study("tuned").export(folder, again.certificates[0].candidate)
    assert "The test split had been looked at 2 times by then" in (folder / "README.md").read_text()
    store = open_store(Home(tuned_home).database_url)
    assert sum(event.kind == CERTIFICATE for event in store.events("tuned")) == 2
    store.close()


def test_a_split_that_another_study_has_looked_at_is_refused_unless_somebody_insists(tuned_home: Path) -> None:
    from objectives.workload.test_split import open_test, split_hash

    store = open_store(Home(tuned_home).database_url)
    config = store.study("tuned").config_json
    store.create_study("other", config.replace('"tuned"', '"other"'))
    store.look("other", split_hash(open_test(StudyConfig.from_json(config))), TEST_IMAGES)
    store.delete_study("other")  # its look stays
    store.close()
    ran = invoke("certify", "tuned")
    assert ran.code == 2
    assert "was used once already, first by study other on" in ran.err
    assert "`slimfront certify tuned --again`" in ran.err
    with pytest.raises(UsedSplitError):
        slimfront.load_study("tuned").certify()
    assert invoke("front", "tuned", "--json").out.count('"certificate": null') > 0
    ran = invoke("certify", "tuned", "--again")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[-1] == "the test split had been looked at 2 times by then"


@pytest.mark.parametrize("state", [StudyState.FAILED, StudyState.INTERRUPTED, StudyState.QUEUED])
def test_only_what_has_succeeded_can_be_certified(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: StudyState
) -> None:
    monkeypatch.setenv("SLIMFRONT_HOME", str(tmp_path))
    from slimfront.submit import read_config

    store = open_store(Home(tmp_path).database_url)
    store.create_study("tiny", read_config(finished.folder / "study.toml").to_json())
    if state is not StudyState.QUEUED:
        store.update_study("tiny", state=StudyState.RUNNING)
        store.update_study("tiny", state=state)
    store.close()
    ran = invoke("certify", "tiny")
    assert ran.code == 2
    assert f"study tiny is {state}" in ran.err
    assert ("`slimfront resume tiny` first" in ran.err) == (state is not StudyState.QUEUED)
    with pytest.raises(StudyStateError):
        slimfront.load_study("tiny").certify()


def test_a_study_that_is_not_there(at_home: Finished) -> None:
    assert invoke("certify", "tinny").code == 4

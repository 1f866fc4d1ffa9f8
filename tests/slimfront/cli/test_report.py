"""`slimfront report`: one file, of a study in any state."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from slimfront.cli.codes import DONE, NOT_FOUND, USAGE
from storage.home import Home
from storage.open import open_store
from tests.browser import chromium, opened
from tests.slimfront.finished import Finished
from tests.slimfront.material import invoke


@pytest.fixture(autouse=True)
def current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands run in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_file_is_named_after_the_study(at_home: Finished, tmp_path: Path) -> None:
    ran = invoke("report", "tiny")
    assert (ran.code, ran.err) == (DONE, "")
    path = tmp_path / "tiny.html"
    assert ran.out == f"{path} ({path.stat().st_size / 1e3:.1f} KB)\n"
    page = path.read_text()
    rows = re.findall(r'<tr data-candidate="(\d+)"', page)
    assert len(rows) == len(at_home.front["front"]) + len(at_home.front["baselines"])
    assert "✓ Target met" in page
    for row in at_home.front["front"]:
        assert f'data-value="{row["accuracy"]}"' in page


def test_an_earlier_report_is_replaced_and_nothing_else(at_home: Finished, tmp_path: Path) -> None:
    assert invoke("report", "tiny", "-o", "a/b.html").code == DONE
    again = invoke("report", "tiny", "-o", "a/b.html")
    assert (again.code, again.err) == (DONE, f"an earlier report in {tmp_path / 'a' / 'b.html'} has been replaced\n")
    (tmp_path / "mine.html").write_text("mine")
    refused = invoke("report", "tiny", "-o", "mine.html")
    assert (refused.code, len(refused.errors)) == (USAGE, 1)
    assert "is no report of Slimfront" in refused.err
    assert (tmp_path / "mine.html").read_text() == "mine"


def test_a_study_that_is_not_there(at_home: Finished, tmp_path: Path) -> None:
    ran = invoke("report", "tinny")
    assert (ran.code, len(ran.errors)) == (NOT_FOUND, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_study_without_results(tmp_path: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = open_store(Home(finished.home).database_url)
    config = stored.study("tiny").config_json
    stored.close()
    monkeypatch.setenv("SLIMFRONT_HOME", str(tmp_path / "home"))
    store = open_store(Home(tmp_path / "home").database_url)
    store.create_study("new", config)
    store.close()
    ran = invoke("report", "new")
    assert (ran.code, len(ran.errors)) == (USAGE, 1)
    assert "study new has no results yet: `slimfront status new`" in ran.err
    assert not (tmp_path / "new.html").exists()


def test_the_report_of_a_real_study_opens_without_a_complaint(at_home: Finished, tmp_path: Path) -> None:
    assert invoke("report", "tiny").code == DONE
    with chromium() as browser, opened(browser, tmp_path / "tiny.html") as found:
        found.page.wait_for_selector("body[data-ready]")
        found.page.locator(".models tbody tr[data-candidate] button").nth(1).click()
        layers = found.page.locator("#plan-layers tbody tr td:first-child")
        assert layers.all_inner_texts() == ["depthwise", "conv2", "linear"]
        assert (found.complaints, len(found.requests)) == ([], 1)

"""What the page says at every stage of a study, and that it says nothing that users' names have put there."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from storage.records.latency import LatencyTable, TableCheck
from storage.records.measurement import Rung
from storage.records.study import FrontRow, StudyState
from tests.dashboards import large, samples
from tests.dashboards.report.written import finished, text_of, trained

WICKED = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)>"


def visible(page: str) -> str:
    """The page without its scripts and styles, in words."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", bare).split())


def test_a_finished_study_tells_its_result(tmp_path: Path) -> None:
    text = visible(text_of(finished(), tmp_path))
    assert "✓ Target met by candidate 5: size 8.0x (wanted 8x), drop 1.5 (allowed 2.0)" in text
    assert "slimfront export s/5 -o out" in text
    assert "5 ★ recommended 88.50 % 1.50 0.50 to 2.50 1.0 KB 8.0x 0.800 ms 2.50x 2.40 to 2.60" in text
    assert "400 confirmation images" in text
    assert "100 quick images" in text
    assert "optimistic" in text


def test_trained_versions_say_what_they_were_trained_from(tmp_path: Path) -> None:
    assert "rrows lead" not in visible(text_of(finished(), tmp_path))
    text = visible(text_of(trained(), tmp_path))
    assert "9 trained from 8 88.00 % 2.00" in text
    assert "10 uniform at target, trained 10 from 3 85.00 %" in text
    assert "Arrows lead from a model to what training has made of it" in text
    assert "Certificate" not in text
    assert "certificate" not in text


@pytest.mark.parametrize(("looks", "said"), [(1, False), (2, True)])
def test_the_certificate_stands_at_the_top_and_in_the_table(tmp_path: Path, looks: int, said: bool) -> None:
    store = trained()
    samples.certify(store, looks)
    page = text_of(store, tmp_path)
    text = visible(page)
    assert f"Certificate: candidate 5 (primary): {samples.SENTENCES[0]}." in text
    assert ("The test split had been looked at 2 times by then." in text) == said
    listed = visible(page.partition("<ul")[2].partition("</ul>")[0])
    assert [listed.index(sentence) for sentence in samples.SENTENCES] == sorted(map(listed.index, samples.SENTENCES))
    cells = re.findall(r'<tr data-candidate="(\d+)".*?</tr>', page, re.DOTALL)
    rows = [visible(row) for row in re.findall(r"<tr data-candidate.*?</tr>", page, re.DOTALL)]
    ends = {number: row.split()[-2:] for number, row in zip(cells, rows, strict=True)}
    assert (ends["5"], ends["9"], ends["10"]) == (["✓", "certified"], ["✗", "fails"], ["not", "certified"])
    assert ends["4"][-1] == "–"
    heads = len(re.findall(r"<th ", page.partition("<thead>")[2].partition("</thead>")[0]))
    assert f'<th colspan="{heads}"' in page


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            replace(samples.LATENCY, checked=TableCheck(20, 0.9, 0.05, 0.1)),
            "20 random plans was off by 5.0 %",
        ),
        (replace(samples.LATENCY, unchecked="the model is slow"), "which was not checked: the model is slow."),
    ],
)
def test_the_page_says_how_well_the_latency_table_predicts(table: LatencyTable, said: str, tmp_path: Path) -> None:
    store = samples.new_store()
    samples.analyse(store, latency=table)
    samples.search(store)
    results = [samples.confirmed(1, 90.0, 8000, speedup=1.0), samples.confirmed(4, 89.0, 1310, speedup=1.5)]
    front = [FrontRow(place, number, Rung.CONFIRMED) for place, number in enumerate((1, 4))]
    store.record_batch(samples.NAME, [*results, samples.timed(1, 2.0, 1.0), samples.timed(4, 1.0, 2.0)], front)
    assert said in visible(text_of(store, tmp_path))


def test_every_row_of_front_and_baselines_is_in_the_table(tmp_path: Path) -> None:
    page = text_of(finished(), tmp_path)
    assert re.findall(r'<tr data-candidate="(\d+)"', page) == ["1", "2", "4", "5", "7", "1", "2", "3"]


def test_a_study_that_searches_marks_its_quick_scores(tmp_path: Path) -> None:
    store = samples.new_store()
    samples.analyse(store)
    samples.search(store, evaluated=1)
    page = text_of(store, tmp_path)
    text = visible(page)
    assert "~91.00 %" in text
    assert "confirmation image" not in text
    assert 'data-figure="front-latency"' not in page  # nothing is known of it
    assert "Target not met by candidate 4, the nearest" in text
    assert "slimfront export" not in text  # there is no file yet


def test_a_study_of_the_baselines_alone_has_a_report(tmp_path: Path) -> None:
    store = samples.new_store()
    samples.analyse(store)
    samples.search(store, evaluated=0)
    text = visible(text_of(store, tmp_path))
    assert "0 candidates" in text
    assert "Hypervolume over candidates" not in text


def test_a_front_of_one_row_and_no_baselines_beside_the_dense_model(tmp_path: Path) -> None:
    store = samples.new_store()
    samples.analyse(store)
    store.add_trials(samples.NAME, 1, samples.BASELINES[:1])
    store.add_trials(samples.NAME, 2, samples.SEARCHED[:1])
    front = [FrontRow(0, 2, Rung.QUICK)]
    store.record_batch(samples.NAME, [samples.quick(1, 92, 8000), samples.quick(2, 91, 900)], front)
    page = text_of(store, tmp_path)
    assert re.findall(r'<tr data-candidate="(\d+)"', page) == ["2", "1"]


def test_failures_and_their_reasons_are_told(tmp_path: Path) -> None:
    store = samples.new_store()
    samples.analyse(store)
    samples.search(store, evaluated=2)
    for number, reason in ((6, "out of memory"), (7, "out of memory"), (2, "not supported")):
        store.fail_trial(samples.NAME, number, reason)
    store.update_study(samples.NAME, state=StudyState.FAILED, error="the disk is full")
    text = visible(text_of(store, tmp_path))
    assert "2 candidates failed: out of memory" in text
    assert "1 candidate failed: not supported" in text
    assert "The study failed: the disk is full" in text


def test_names_and_errors_cannot_break_out(tmp_path: Path) -> None:
    store = samples.new_store()
    site, other = samples.SPACE.sites
    layers = (replace(samples.SPACE.layers[0], name=WICKED), samples.SPACE.layers[1])
    space = replace(
        samples.SPACE,
        sites=(replace(site, name=WICKED, layers=(WICKED,)), other),
        factors=(replace(samples.SPACE.factors[0], layer=WICKED), samples.SPACE.factors[1]),
        layers=layers,
    )
    samples.analyse(store, space)
    samples.search(store, evaluated=2)
    store.fail_trial(samples.NAME, 6, WICKED)
    page = text_of(store, tmp_path)
    assert WICKED not in page
    assert "<img" not in page
    assert page.count("</script>") == page.count("<script")
    assert "1 candidate failed: &lt;/script&gt;" in page


def test_nothing_is_loaded_from_anywhere(tmp_path: Path) -> None:
    page = text_of(finished(), tmp_path)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src &#39;none&#39;; script-src &#39;sha256-")
    assert "unsafe-eval" not in page
    assert not re.search(r"\b(src|href|action)\s*=", re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL))
    assert len(page) < 1_000_000


@pytest.mark.parametrize(("candidates", "layers"), [(5000, 60), (300, 500)])
def test_large_studies_take_seconds(tmp_path: Path, candidates: int, layers: int) -> None:
    store = large.searched(candidates, layers, ("allocation", "mutation"))
    begun = time.process_time()
    page = text_of(store, tmp_path)
    assert time.process_time() - begun < 10
    assert len(page) < 3_000_000
    assert "1500 of" in page or candidates < 1500

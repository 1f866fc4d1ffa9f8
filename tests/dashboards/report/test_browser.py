"""The report in a real Chromium: drawn, silent, and on its own."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from dashboards.figures.theme import DARK, LIGHT, Palette
from storage.records.candidate import Candidate, Proposal
from tests.browser import NARROW, WIDE, Opened, chromium, opened
from tests.dashboards import large, samples
from tests.dashboards.report.test_page import WICKED
from tests.dashboards.report.written import trained, written

READY = "body[data-ready]"
PATIENCE_MS = 30_000  # for what takes a second on an idle machine


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a study with channels and bits, a latency table and two samplers."""
    store = samples.new_store()
    samples.analyse(store, samples.JOINT_SPACE, samples.LATENCY)
    baselines = [
        Proposal(Candidate((0, 0, 0), samples.LIBRARY), "baseline", "dense"),
        samples.BASELINES[1],
        Proposal(Candidate((0, 1, 1), f"rounded:{samples.LIBRARY}"), "baseline", "rounded w4"),
    ]
    plans = ((1, 2, 1), (1, 1, 1), (2, 1, 2), (2, 2, 2))
    proposals = [
        Proposal(Candidate(levels, samples.LIBRARY), "mutation" if place else "allocation")
        for place, levels in enumerate(plans)
    ]
    store.add_trials(samples.NAME, 1, baselines)
    store.add_trials(samples.NAME, 4, proposals)
    results = [samples.quick(1, 92, 8100, 1.0), samples.quick(4, 91, 1300, 1.9), samples.quick(5, 88, 1050, 2.0)]
    store.record_batch(samples.NAME, [*results, samples.quick(6, 89, 1500, 1.5), samples.quick(7, 70, 800, 3.0)], [])
    samples.finish(store)
    return written(store, tmp_path_factory.mktemp("report") / "s.html").path


def ready(found: Opened) -> Page:
    found.page.wait_for_selector(READY, timeout=PATIENCE_MS)
    return found.page


def trace(page: Page, figure: str, name: str) -> str:
    """A selector of the points of a trace."""
    script = "([figure, name]) => document.querySelector(figure)._fullData.find((trace) => trace.name === name).uid"
    return f"{figure} .scatterlayer .trace{page.evaluate(script, [figure, name])} .point"


def points(page: Page, figure: str, name: str) -> int:
    """How many points of a trace are drawn."""
    return page.locator(trace(page, figure, name)).count()


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize(("scheme", "palette"), [("light", LIGHT), ("dark", DARK)])
def test_figures_are_drawn_in_both_schemes_at_both_widths(
    browser: Browser, report: Path, scheme: Literal["light", "dark"], palette: Palette, width: int
) -> None:
    with opened(browser, report, scheme, width) as found:
        page = ready(found)
        assert page.locator(".figure .main-svg").count() >= 4
        assert points(page, "#front-figure", "front") == 3
        assert points(page, "#front-figure", "baseline") == 3
        assert page.locator("#front-figure .shapelayer path").count() == 1
        assert page.locator(".hm image, .heatmaplayer image").count() == 2
        assert page.locator("[data-figure=hypervolume] .scatterlayer .trace").count() == 4
        colour = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert colour == rgb(palette.ground)
        marks = page.locator("#front-figure .point").evaluate_all("(all) => all.map((one) => one.style.fill)")
        assert rgb(palette.front) in marks
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        assert found.complaints == []
        assert found.requests == [report.as_uri()]


def rgb(colour: str) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgb({red}, {green}, {blue})"


def test_the_scheme_may_change_while_the_page_is_open(browser: Browser, report: Path) -> None:
    with opened(browser, report) as found:
        page = ready(found)
        page.emulate_media(color_scheme="dark")
        page.wait_for_function(
            "(colour) => [...document.querySelectorAll('#front-figure .point')].some((one) => "
            "one.style.fill === colour)",
            arg=rgb(DARK.front),
        )
        assert found.complaints == []


def test_each_cost_has_its_figure_and_its_note(browser: Browser, report: Path) -> None:
    with opened(browser, report) as found:
        page = ready(found)
        for name, title in (("Latency", "latency of one call"), ("MACs", "MACs of one sample"), ("Size", "file size")):
            page.locator(".tabs button", has_text=name).click()
            page.wait_for_function(
                "(title) => document.querySelector('#front-figure .xtitle').textContent.startsWith(title)", arg=title
            )
            assert page.locator("[data-for]:visible").inner_text().startswith(name)
        assert found.complaints == []


def test_the_recommended_plan_is_shown_first(browser: Browser, report: Path) -> None:
    with opened(browser, report) as found:
        page = ready(found)
        assert page.locator("#plan-title").inner_text() == "Candidate 5"
        assert page.locator("tr[aria-current=true]").get_attribute("data-candidate") == "5"


def test_a_row_shows_its_plan_layer_by_layer(browser: Browser, report: Path) -> None:
    with opened(browser, report) as found:
        page = ready(found)
        page.locator("tr[data-candidate='4'] button").first.click()
        assert page.locator("#plan-title").inner_text() == "Candidate 4"
        rows = page.locator("#plan-layers tbody tr")
        assert [row.split() for row in rows.all_inner_texts()] == [
            ["conv1", "2", "6/8", "262", "B", "0.2"],
            ["conv2", "4", "8/8", "450", "B", "0.06"],
        ]
        page.locator("tr[data-candidate='2'] button").first.click()
        assert "Another tool" in page.locator("#plan-summary").inner_text()
        assert rows.count() == 0


def test_a_point_shows_its_plan(browser: Browser, report: Path) -> None:
    with opened(browser, report) as found:
        page = ready(found)
        page.evaluate(
            "() => document.getElementById('front-figure').emit('plotly_click', {points: [{customdata: [4]}]})"
        )
        assert page.locator("#plan-title").inner_text() == "Candidate 4"
        box = page.locator(trace(page, "#front-figure", "recommended")).bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_selector("#front-figure .hoverlayer .hovertext")
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_function("() => document.getElementById('plan-title').textContent === 'Candidate 5'")


def test_columns_sort_and_reverse(browser: Browser, report: Path) -> None:
    with opened(browser, report) as found:
        page = ready(found)
        header = page.locator(".models thead button", has_text="size")
        order = "(rows) => rows.map((row) => row.dataset.candidate)"
        front = page.locator(".models tbody").first.locator("tr[data-candidate]")
        header.click()
        assert front.evaluate_all(order) == ["7", "5", "4", "2", "1"]
        header.click()
        assert front.evaluate_all(order) == ["1", "2", "4", "5", "7"]
        assert page.locator("th[aria-sort=descending]").inner_text().startswith("size")


def test_everything_below_the_view_can_be_shown(browser: Browser, report: Path) -> None:
    with opened(browser, report) as found:
        page = ready(found)
        assert re.match(r"\d+ models lie below the view", page.locator("#below").inner_text())
        page.get_by_role("button", name="Show all").click()
        page.wait_for_function("() => document.getElementById('front-figure').layout.yaxis.range[0] < -20")


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_arrows_stay_within_the_axes_and_the_table_within_the_page(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    store = trained()
    samples.certify(store, looks=2)
    with opened(browser, written(store, tmp_path / "t.html").path, width=width) as found:
        page = ready(found)
        # 7 lies far below the first view, and so does the beginning of its arrow: the plot's clip path cuts it.
        lines = page.locator(trace(page, "#front-figure", "trained").replace(".point", ".js-line"))
        clipped = lines.evaluate_all("(all) => all.map((line) => line.closest('[clip-path]') !== null)")
        assert clipped
        assert all(clipped)
        page.locator(".models thead button", has_text="certificate").click()
        page.wait_for_selector("th[aria-sort=ascending]")
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        page.locator("tr[data-candidate='9'] button").first.click()
        assert page.locator("#plan-summary").inner_text().endswith("(trained from candidate 8)")
        assert found.complaints == []


def test_no_button_uploads_the_figure(browser: Browser, report: Path) -> None:
    with opened(browser, report) as found:
        buttons = ready(found).locator("#front-figure .modebar-btn")
        titles = buttons.evaluate_all("(all) => all.map((one) => one.dataset.title)")
        assert titles == ["Download plot as a PNG", "Zoom", "Pan", "Zoom in", "Zoom out", "Reset axes"]


def test_a_wicked_name_is_only_a_name(browser: Browser, tmp_path: Path) -> None:
    store = samples.new_store()
    site, other = samples.SPACE.sites
    space = replace(
        samples.SPACE,
        sites=(replace(site, name=WICKED, layers=(WICKED,)), other),
        factors=(replace(samples.SPACE.factors[0], layer=WICKED), samples.SPACE.factors[1]),
        layers=(replace(samples.SPACE.layers[0], name=WICKED), samples.SPACE.layers[1]),
    )
    samples.analyse(store, space)
    samples.search(store)
    store.fail_trial(samples.NAME, 2, WICKED)
    with opened(browser, written(store, tmp_path / "w.html").path) as found:
        page = ready(found)
        assert page.title() == "s – Slimfront"
        assert page.locator("img").count() == 0
        assert page.locator("#plan-layers td").first.inner_text() == WICKED
        assert page.locator(".problem", has_text="failed").inner_text().endswith(WICKED)
        assert (found.complaints, len(found.requests)) == ([], 1)


def test_a_script_that_is_not_ours_does_not_run(browser: Browser, report: Path, tmp_path: Path) -> None:
    path = tmp_path / "forged.html"
    path.write_text(report.read_text().replace("<header>", "<script>document.title = 'forged'</script><header>", 1))
    with opened(browser, path) as found:
        assert ready(found).title() == "s – Slimfront"
        assert any("Content Security Policy" in text for text in found.complaints)


def test_a_large_study_opens_in_seconds(browser: Browser, tmp_path: Path) -> None:
    path = written(large.searched(1600, 500), tmp_path / "large.html").path
    begun = time.monotonic()
    with opened(browser, path) as found:
        page = ready(found)
        assert time.monotonic() - begun < PATIENCE_MS / 1000
        assert points(page, "#front-figure", "quick score only") == 1500
        assert page.locator("[data-figure=sensitivity-quant] .ytick text").count() == 500
        assert found.complaints == []

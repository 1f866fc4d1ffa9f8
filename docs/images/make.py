"""The pictures of a front and of a report, and the front's text in the README: `python -m docs.images.make STUDY`
after `slimfront run`."""

from __future__ import annotations

import io
import re
import sys
import textwrap
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import ViewportSize
from rich.console import Console

from dashboards.front import front_view
from dashboards.report.file import write_report
from dashboards.study import read_study
from slimfront.cli.front_table import print_front
from slimfront.cli.session import opened
from tests.browser import WIDE, chromium
from tests.browser import opened as opened_page

IMAGES = Path(__file__).resolve().parent
RESULTS = IMAGES.parents[1] / "benchmarks" / "results"
README = IMAGES.parents[1] / "README.md"
WIDTH = 100  # columns from which the table has all its columns
SHOWN = 960  # pixels of the report's height
NARROW = 80  # the README's text
LONGEST = 120  # of a line in the README: longer sentences go on in the next one, as on a terminal
BLOCK = re.compile(r"(<!-- front -->\n).*?(<!-- /front -->)", re.DOTALL)
# Rich's template fetches its font from another host; a monospace font of the reader's does as well.
FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def record(study: str, width: int) -> Console:
    """A console that has recorded what `slimfront front STUDY` prints on a terminal of `width` columns."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, highlight=False)
    with opened(None) as (home, store):
        data = read_study(store, study)
        print_front(console, front_view(data, home), data)
    return console


def picture(study: str) -> None:
    """Writes report.png, the upper part of the study's report."""
    with TemporaryDirectory() as folder, opened(None) as (home, store):
        file = write_report(read_study(store, study), home, Path(folder) / "report.html").path
        with chromium() as browser, opened_page(browser, file) as page:
            page.page.wait_for_selector(".main-svg")
            shown: ViewportSize = {"width": WIDE, "height": SHOWN}
            page.page.set_viewport_size(shown)
            page.page.screenshot(path=IMAGES / "report.png")


def make(study: str) -> None:
    """Writes front.svg, the text as benchmarks/results/STUDY.txt, and again between the README's marks."""
    lines = record(study, WIDTH).export_text().splitlines()
    # Sentences may be longer than the terminal, which would wrap them; the picture is as wide as the longest.
    console = record(study, max(WIDTH, *map(len, lines)))
    svg = console.export_svg(title=f"slimfront front {study}", unique_id="front")
    (IMAGES / "front.svg").write_text(FONT_FACE.sub("", svg), encoding="utf-8")
    text = "\n".join(line.rstrip() for line in record(study, NARROW).export_text().splitlines())
    (RESULTS / f"{study}.txt").write_text(f"$ slimfront front {study}\n{text.strip()}\n", encoding="utf-8")
    lines = [part for line in text.strip().splitlines() for part in textwrap.wrap(line, LONGEST) or [line]]
    block = "\\g<1>```text\n" + "\n".join(lines) + "\n```\n\\g<2>"
    README.write_text(BLOCK.sub(block, README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    make(sys.argv[1])
    picture(sys.argv[1])

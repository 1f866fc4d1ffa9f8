"""The picture of a front, and its text in the README: `python docs/images/make.py STUDY` after `slimfront run`."""

from __future__ import annotations

import io
import re
import sys
import textwrap
from pathlib import Path

from rich.console import Console

from dashboards.front import front_view
from dashboards.study import read_study
from slimfront.cli.front_table import print_front
from slimfront.cli.session import opened

IMAGES = Path(__file__).resolve().parent
RESULTS = IMAGES.parents[1] / "benchmarks" / "results"
README = IMAGES.parents[1] / "README.md"
WIDTH = 100  # columns from which the table has all its columns
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

"""docs/benchmarks.md from the rows that are there."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.material import REPOSITORY
from storage.files import atomic_write
from storage.records.target import Target

COLUMNS_OF_TEXT = 118
RATIOS: Mapping[str, str] = {"size": "size_ratio", "macs": "macs_ratio", "latency": "speedup"}  # of a judged file
PAGE = REPOSITORY / "docs" / "benchmarks.md"
HEAD = """# Benchmarks: fine-tuned finalists

Written by `make bench-finalists` from `benchmarks/results/finalists/`; each row is a study of its own, of at most 90
minutes on two cores: the search, then the finalists trained with distillation. Drops are points of top-1 on the test
split, 5,000 images that neither search nor training has seen; below zero is better than dense. *found* is the primary
finalist, declared before the split was looked at; *uniform* is the best plan with one share of channels and one width
for the whole model within the same costs, made by the same library and trained for as many epochs in the same way.
*untrained* is what the finalist had lost before any training, on validation images.
The split serves all rows, so each look but the first was made with `--again`; `at most` is the one-sided bound, at
95 % of the primary one.
"""
COLUMNS = (
    "goal",
    "allowed",
    "aim",
    "found",
    "at most",
    "untrained",
    "smaller",
    "fewer MACs",
    "faster",
    "uniform",
    "epochs",
    "minutes",
)


def write(folder: Path) -> None:
    """Writes the page; a table for each model."""
    rows = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    parts = [HEAD] if rows else [HEAD, "No row has been measured yet.\n"]
    for model in sorted({row["model"] for row in rows}, reverse=True):
        own = [row for row in rows if row["model"] == model]
        parts.append(f"## {model}, dense {own[0]['test_dense']:.2f} % on the test split\n\n{_table(own)}\n")
        parts.append("\n".join(_sentence(row) for row in own) + "\n")
        parts.append(textwrap.fill(f"{own[0]['hardware']}.", COLUMNS_OF_TEXT) + "\n")
    atomic_write(PAGE, "\n".join(parts).encode())


def _table(rows: list[Mapping[str, Any]]) -> str:
    bounded = rows[0]["model"] == "resnet56"  # the other one is reported without a bound
    lines = [_line(COLUMNS), "|---|" + "---:|" * (len(COLUMNS) - 1)]
    for row in rows:
        found, uniform, goal = row["found"], row["uniform"], row["goal"]
        lines.append(
            _line(
                (
                    goal["what"],
                    f"{goal['bound']:g}" if bounded else "-",
                    f"{goal['aim']:g}" if bounded else "-",
                    f"{found['drop']:+.2f}",
                    f"{found['drop_upper']:+.2f}",
                    f"{row['untrained']:+.2f}",
                    f"{found['size_ratio']:.1f}x",
                    f"{found['macs_ratio']:.2f}x",
                    "-" if found["speedup"] is None else f"{found['speedup']:.2f}x",
                    "none" if uniform is None else f"{uniform['drop']:+.2f}",
                    f"{goal['epochs']}",
                    f"{row['seconds'] / 60:.0f}",
                )
            )
        )
    return "\n".join(lines)


def _sentence(row: Mapping[str, Any]) -> str:
    """Whether the goal is met, and whether the search has won."""
    goal, found, uniform = row["goal"], row["found"], row["uniform"]
    parts = [f"- {goal['what']}: "]
    if row["model"] == "resnet56":
        cost = Target.from_text(goal["target"]).costs[0]
        reached = found[RATIOS[cost.objective]] or 0.0
        parts.append("met" if found["drop"] <= goal["bound"] and reached >= cost.value else "NOT met")
        parts.append(", the aim too" if found["drop"] <= goal["aim"] and reached >= cost.value else ", the aim not")
        if reached < cost.value:
            parts.append(f" ({cost.objective} {reached:.2f}x)")
        parts.append("; ")
    parts.append(f"the certificate says: {found['verdict']} (at most {goal['bound']:g} points)")
    if uniform is None:
        parts.append("; there is no uniform plan beside it: none costs so little, or its training failed")
    elif uniform["drop"] <= found["drop"]:
        parts.append(f"; the search does NOT win: the uniform plan drops {uniform['drop']:+.2f}")
    else:
        parts.append(f"; better than the uniform plan by {uniform['drop'] - found['drop']:.2f} points")
    if uniform is not None:
        parts.append(f", which is {uniform['size_ratio']:.1f} times smaller and has {uniform['macs_ratio']:.2f} times ")
        parts.append("fewer MACs, the nearest that one setting gives")
    return textwrap.fill("".join(parts) + ".", COLUMNS_OF_TEXT, subsequent_indent="  ")


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"

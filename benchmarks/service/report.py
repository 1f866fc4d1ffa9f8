"""The service's figures for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WANTED = {"sqlite": 500, "postgresql": 100}  # candidates a second
WANTED_DISPATCH_MS = 5.0


def write_service_report(document: Mapping[str, Any], path: Path) -> None:
    """Writes what there is of the three parts."""
    lines = ["# The service", ""]
    if "throughput" in document:
        lines += _throughput(document["throughput"])
    if "claims" in document:
        lines += _claims(document["claims"])
    if "chaos" in document:
        lines += _chaos(document["chaos"])
    path.write_text("\n".join(lines) + "\n")


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(titles)} |",
        f"|{'---|' * len(titles)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]


def _head(title: str, part: Mapping[str, Any]) -> list[str]:
    return [f"## {title}", "", f"`{part['command']}`, {part['date']}.", ""]


def _throughput(part: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            item["database"],
            item["sampler"],
            f"{item['candidates']:,}",
            str(item["sites"]),
            str(item["measurements"]),
            f"{item['per_second']:.0f} (asked: {WANTED[item['database']]})",
            f"{item['dispatch_ms']:.2f} in batches of {item['batch']}",
            f"{item['dispatch_one_ms']:.2f} (asked: {WANTED_DISPATCH_MS:g})",
        ]
        for item in part["figures"]["slimfront"]
    ]
    others = [
        [
            item["database"],
            str(item["parameters"]),
            str(item["values"]),
            str(item["trials"]),
            f"{item['per_second']:.1f}",
            f"{item['ask_ms']:.0f}",
        ]
        for item in part["figures"]["optuna"]
    ]
    return [
        *_head("One controller", part),
        "The stage of quick scores with made-up scores that cost nothing: propose, store, dispatch, record, keep the",
        "front. The sampler's own time is in it. From ask to dispatch: the median at the end of the study, with all",
        "the others stored, for each candidate of a batch, and for a candidate that is asked for alone, by `random`.",
        "",
        *_table(
            [
                "database",
                "sampler",
                "candidates",
                "sites",
                "measurements",
                "finished a second",
                "ask to dispatch, ms",
                "alone, ms",
            ],
            rows,
        ),
        "Optuna's `RDBStorage` in the same run, sampled at random; of few trials, as more take minutes:",
        "",
        *_table(["database", "parameters", "values", "trials", "finished a second", "ask, ms"], others),
    ]


def _claims(part: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            item["database"],
            str(item["processes"]),
            f"{item['studies']:,}",
            f"{item['claimed']:,}",
            str(item["twice"]),
            str(item["lost"]),
            f"{item['seconds']:.1f}",
            f"{item['fewest']} to {item['most']}",
        ]
        for item in part["figures"]
    ]
    titles = ["database", "processes", "studies", "claimed", "twice", "lost", "seconds", "by one process"]
    return [*_head("Claims", part), *_table(titles, rows)]


def _chaos(part: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            item["database"],
            f"{sum(item['kills'].values())} ({', '.join(f'{count} {kind}' for kind, count in item['kills'].items())})",
            f"{item['studies']} ({item['candidates']:,} candidates)",
            str(item["attempts"]),
            str(item["lost"]),
            str(len(item["other_fronts"])),
            str(len(item["stuck"])),
            str(len(item["orphans"])),
            f"{item['repeated']} of {item['evaluations']:,}",
            f"{item['seconds']:.0f}",
        ]
        for item in part["figures"]
    ]
    titles = [
        "database",
        "SIGKILLs",
        "studies",
        "attempts",
        "committed and lost",
        "other fronts",
        "stuck",
        "orphans",
        "evaluated again",
        "seconds",
    ]
    return [
        *_head("Chaos", part),
        "Two `slimfront work` processes with Ray workers; at random moments one of the loops, of the controllers or of",
        "the Ray workers is killed. A study's front must be that of an undisturbed run, row by row. Evaluations are",
        "calls of the metric, which counts them; the dense model's, once an attempt, are in what is evaluated again.",
        "",
        *_table(titles, rows),
    ]

"""The tables of benchmarks/results/README.md, made from the JSON files beside it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

# Sony Model Compression Toolkit 2.6.1, mixed precision 2/4/8 bits, 8-bit activations, 256 calibration images, on the
# same models; drop in points on the whole val split at 8.0, 10.0 and 12.2 times smaller, weights alone counted. Not run
# here; ResNet-56 was not run at 12.
TOOLKIT_DROPS: Mapping[str, Mapping[str, float]] = {
    "resnet20": {"8": 1.06, "10": 8.08, "12": 18.26},
    "resnet56": {"8": 0.84, "10": 8.3},
}
WIDTH = 110  # of the lines of a remark


BEGIN, END = "<!-- bench -->", "<!-- /bench -->"


def readme_table(folder: Path, models: Sequence[str]) -> str:
    """The few figures that the project's README shows, as a Markdown table."""
    found = [json.loads(path.read_text()) for model in models if (path := folder / f"{model}.json").exists()]
    lines = [
        f"| | {' | '.join(figures['model'] for figures in found)} |",
        "|---|" + "---|" * len(found),
    ]
    rows: dict[str, Callable[[dict[str, Any]], str]] = {
        "dense model": _dense,
        "drop at 8x smaller (Sony MCT 2.6.1)": lambda f: _drop_at(f, "8"),
        "drop at 10x smaller (Sony MCT 2.6.1)": lambda f: _drop_at(f, "10"),
        "smallest file within 0.5 points (95 % bound)": lambda f: _smallest(f["front"], 0.5),
        "smallest file within 1 point (95 % bound)": lambda f: _smallest(f["front"], 1.0),
        "drop at 12x smaller (Sony MCT 2.6.1)": lambda f: _drop_at(f, "12"),
        "fastest within 1 point": _fastest,
        "beside it, `ort int8`": _ort_int8,
        "the one over the other": _over_ort_int8,
        "latency table, random plans, median": _latency,
        "level library": lambda f: f"{f['quick']['library_seconds']:.0f} CPU-s",
        "quick scores": lambda f: f"{f['quick']['scores_per_second']:.1f} per CPU-s",
        "study, library at hand": lambda f: f"{f['study']['wall_seconds']:.0f} s, {f['study']['plans']} candidates",
    }
    lines += [f"| {title} | {' | '.join(row(figures) for figures in found)} |" for title, row in rows.items()]
    return "\n".join(lines)


def write_readme(readme: Path, folder: Path, models: Sequence[str]) -> None:
    """Puts the table between the marks of the README."""
    text = readme.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{BEGIN}\n{readme_table(folder, models)}\n{END}{after}")


def _dense(figures: dict[str, Any]) -> str:
    dense = figures["front"]["dense"]
    return f"{dense['accuracy']:.2f} %, {dense['size_bytes']} bytes"


def _drop_at(figures: dict[str, Any], ratio: str) -> str:
    found = figures["at_size"].get(ratio)
    drop = "none that small" if found is None else f"{found['drop']:.2f} points"
    return f"{drop} ({_toolkit(figures, ratio)})"


def _toolkit(figures: dict[str, Any], ratio: str) -> str:
    found = TOOLKIT_DROPS[figures["model"]].get(ratio)
    return "not run" if found is None else f"{found:.2f}"


def _fastest(figures: dict[str, Any]) -> str:
    """Of the study for speed the one of best prediction."""
    found = figures["fastest"]
    return "none" if found is None else f"{median(found['speedups']):.2f}x, drop {found['drop']:.2f}"


def _ort_int8(figures: dict[str, Any]) -> str:
    found = figures["fastest"]
    return "not run" if found is None else f"{median(found['ort_speedups']):.2f}x, drop {found['ort_drop']:.2f}"


def _over_ort_int8(figures: dict[str, Any]) -> str:
    """With the range over the sessions."""
    found = figures["fastest"]
    if found is None:
        return "not run"
    ratios = found["ratios"]
    return f"{median(ratios):.2f}x [{min(ratios):.2f}, {max(ratios):.2f}]"


def _beside_ort_int8(figures: dict[str, Any]) -> list[str]:
    found = figures["fastest"]
    if found is None:
        return ["No searched file is within a point of the dense model."]
    text = (
        f"The fastest file within a point, of the searched files of the study for speed that of best prediction, "
        f"candidate {found['candidate']} (drop {found['drop']:.2f}, 95 % bound {found['drop_upper']:.2f}), is "
        f"{_over_ort_int8(figures)} times as fast as `ort int8` (drop {found['ort_drop']:.2f}): median and range of "
        f"{len(found['ratios'])} sessions, each of which loads both files twice. Two loads of one file differ by "
        f"{100 * (found['twin_ratio'] - 1):.1f} % at most."
    ).replace("x [", " [")
    return textwrap.wrap(text, WIDTH)


def _latency(figures: dict[str, Any]) -> str:
    error = figures["latency"]["all"]
    share = 100 * error["median_error"]
    return f"Spearman {error['spearman']:.2f}, {share:.1f} % off ({error['plans']} plans)"


def write_report(folder: Path, models: Sequence[str]) -> None:
    """Writes README.md from every MODEL.json that exists."""
    parts = [
        "# Benchmark results",
        "",
        "Written by `make bench` (`python -m benchmarks`). Accuracies in percent and drops in points on the",
        "confirmation images; sizes are whole `model.slim` files; CPU seconds of one thread. The machine is shared:",
        "ratios were taken side by side in one run and say more than seconds.",
    ]
    for model in models:
        path = folder / f"{model}.json"
        if path.exists():
            parts += _section(json.loads(path.read_text()))
    parts += _pace(folder)
    (folder / "README.md").write_text("\n".join(parts) + "\n")


def _pace(folder: Path) -> list[str]:
    """What workers bring, and what the search itself costs beside its scores; a line for each file that exists."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("workers-*.json"))]
    lines = [
        f"| {item['command'].split()[-1]}, quick scores a second of one and of two Ray workers |"
        f" {item['scores_a_second']['1 worker']:.1f} and {item['scores_a_second']['2 workers']:.1f}:"
        f" {item['two_over_one']:.2f} times as many | `{item['command']}`, {item['date']} |"
        for item in found
    ]
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("overhead-*.json"))]
    lines += [
        f"| {item['command'].split()[-1]}, controller and store, a candidate of {item['sites']} sites at"
        f" {item['candidates']} | {item['total_ms']:.1f} ms CPU, {item['wall_ms']:.1f} ms wall |"
        f" `{item['command']}`, {item['date']} |"
        for item in found
    ]
    heading = ["", "## Workers and overhead", "", "| what | measured | command |", "|---|---|---|"]
    return [*heading, *lines] if lines else []


def _section(figures: dict[str, Any]) -> list[str]:
    quick, study, front = figures["quick"], figures["study"], figures["front"]
    return [
        "",
        f"## {figures['model']}",
        "",
        f"`{figures['command']}`, {figures['date']}, {figures['hardware']}.",
        "",
        "| what | measured |",
        "|---|---|",
        f"| library build | {quick['library_seconds']:.1f} CPU-s |",
        f"| reading, tracing, exporting the dense model | {quick['prepare_seconds']:.1f} CPU-s |",
        f"| quick scores ({quick['precision']}, 256 images, {quick['plans']} plans) | "
        f"{quick['scores_per_second']:.1f} per CPU-s; with channels, too, {quick['joint_scores_per_second']:.1f} |",
        f"| naive: deepcopy, the same quantiser with its statistics at hand, evaluate | "
        f"{quick['naive_gptq_per_second']:.3f} per CPU-s ({quick['over_gptq']:.0f} times slower) |",
        f"| naive: deepcopy, plain rounding, evaluate (other, worse weights) | "
        f"{quick['naive_rounding_per_second']:.2f} per CPU-s ({quick['over_rounding']:.1f} times slower) |",
        f"| study of {study['plans']} plans, confirmed, exported, measured, library at hand | "
        f"{study['wall_seconds']:.0f} s wall, {study['cpu_seconds']:.0f} CPU-s beside those of the workers |",
        f"| largest error of a predicted size | {100 * figures['size_error']:.2f} % |",
        f"| accuracy recomputed from the files alone | {_recomputed(figures['recomputed'])} |",
        f"| the best plan under two budgets, of size and latency | {_allocation(figures['allocation'])} |",
        f"| smallest whose drop is below 0.5 points by its 95 % bound | {_smallest(front, 0.5)} |",
        f"| smallest whose drop is below 1 point by its 95 % bound | {_smallest(front, 1.0)} |",
        "",
        *_at_size(figures),
        "",
        *_rounding(figures),
        "",
        *_latency_rows(figures),
        "",
        *_beside_ort_int8(figures),
        "",
        *_compared(figures),
        *_criteria(figures),
        "The joint study:",
        "",
        *_rows(front),
        *(line for title, found in figures["alone"].items() for line in ("", f"{title}:", "", *_rows(found))),
    ]


def _allocation(figures: dict[str, Any]) -> str:
    """The slowest of all pairs of budgets."""
    if not figures["pairs"]:
        return "no pair of budgets of which both matter"
    slowest = max(figures["pairs"], key=lambda pair: pair["seconds"])
    seconds = [pair["seconds"] for pair in figures["pairs"]]
    gap = slowest["gap"]
    quality = "no such plan" if gap is None else f"within {100 * gap:.2f} % of the optimum, {slowest['nodes']} nodes"
    return (
        f"{min(seconds):.2f} to {max(seconds):.2f} CPU-s for {len(seconds)} pairs, each alone not enough; the slowest, "
        f"{slowest['size_ratio']:g}x smaller and {slowest['speedup']:.1f}x faster, {quality}"
    )


def _latency_rows(figures: dict[str, Any]) -> list[str]:
    made = figures.get("tables")
    anew = [f"This and the plans under two budgets: `{made['command']}`, {made['date']}.", ""] if made else []
    lines = [
        "Latency predicted from the table against whole models, random plans of channels and precisions:",
        "",
        *anew,
        "| plans | number | Spearman | median error | largest error |",
        "|---|---|---|---|---|",
    ]
    for kind, error in figures["latency"].items():
        lines.append(
            f"| {kind} | {error['plans']} | {error['spearman']:.3f} | {100 * error['median_error']:.1f} % "
            f"| {100 * error['largest_error']:.1f} % |"
        )
    return lines


def _compared(figures: dict[str, Any]) -> list[str]:
    """Joint studies against the others, cost by cost; nothing where that was not measured."""
    if "compared" not in figures:
        return []
    lines = [
        "For the cost of every searched file of a study within ten points of the dense model: what that study and what",
        "the joint one has for it, the best file by the scores of the search of those that cost no more. Both are",
        "judged on the confirmation images, which have chosen neither: who goes by the confirmed accuracies may do",
        "better. Worse beyond noise where the one-sided 95 % bound of the paired difference is above zero, which of 20",
        "equal pairs one is by chance; in brackets, where it is so by the bound at which that happens to one of 20",
        "equal fronts (Bonferroni). By speed: the files on the fronts of those scores, timed in turn in one session;",
        "what counts as no slower is what that session can tell apart. In brackets behind a gap: its 95 % bound. Of",
        "the baselines (uniform plans, `ort int8`, plain rounding) it is the best by its confirmed accuracy. A study",
        "again is another throw of the same search on the same images: two throws of one learner beside each other",
        "tell what is chance of the search, which no bound over images knows of. What several seeds of each tell is",
        "in [alone.md](alone.md). Baselines are rows of every front where nothing beats them; here they count as the",
        "other side alone.",
        "",
        "| study | beside | by | equal within | costs | none as cheap | pairs | worse (of all) | largest gap |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in figures["compared"]:
        lines.append(
            f"| {row['ours']} | {row['other']} | {row['cost']} | {100 * (row['tolerance'] - 1):.1f} % "
            f"| {row['costs']} | {row['unanswered']} | {row['pairs']} | {row['worse']} ({row['worse_of_all']}) "
            f"| {row['largest_gap']:.2f} ({row['largest_gap_lower']:.2f}) |"
        )
    return [*lines, ""]


def _criteria(figures: dict[str, Any]) -> list[str]:
    if "criteria" not in figures:
        return []
    lines = [
        "Accuracy without any training after a share of the channels within every residual block is gone, readers",
        "refitted, and in brackets as they are (32 bits, confirmation images):",
        "",
        "| criterion | 25 % | 37.5 % | 50 % |",
        "|---|---|---|---|",
    ]
    rows = {(row["criterion"], row["reconstructed"]): row["accuracy"] for row in figures["criteria"]}
    for name in dict.fromkeys(row["criterion"] for row in figures["criteria"]):
        cells = [f"{a:.2f} ({b:.2f})" for a, b in zip(rows[name, True], rows[name, False], strict=True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def _recomputed(pairs: dict[str, list[float]]) -> str:
    worst = max(abs(first - second) for first, second in pairs.values())
    return f"equal for all {len(pairs)} rows" if worst < 1e-9 else f"differs by up to {worst:.3f} points"


def _smallest(front: dict[str, Any], allowed: float) -> str:
    """By the upper bound: the drop alone flatters what was picked by it."""
    found = [row for row in (*front["front"], *front["baselines"]) if row["drop_upper"] is not None]
    best = max((row for row in found if row["drop_upper"] <= allowed), key=lambda row: row["size_ratio"], default=None)
    if best is None:
        return "none"
    return f"{best['size_ratio']:.1f}x ({best['size_bytes']} bytes, drop {best['drop']:.2f})"


def _at_size(figures: dict[str, Any]) -> list[str]:
    lines = [
        "The plan for a size is, of the confirmed files within it, the best by both scores: picked on the search's",
        "images, judged on the confirmation images; a fifth of the whole val split has chosen it. Sony's Model",
        "Compression Toolkit counts weights alone; it was run once, elsewhere, on the whole val split (5,000 images).",
        "",
        "| size | its ratio | drop, confirmation images | drop, whole val split | Sony MCT 2.6.1, whole val split |",
        "|---|---|---|---|---|",
    ]
    for ratio, row in figures["at_size"].items():
        lines.append(
            f"| {ratio}x smaller | {row['size_ratio']:.2f} | {row['drop']:.2f} | {row['drop_val']:.2f} "
            f"| {_toolkit(figures, ratio)} |"
        )
    return lines


def _rounding(figures: dict[str, Any]) -> list[str]:
    """Plain rounding beside the best row that is no larger."""
    lines = ["| plain rounding | accuracy | bytes | Slimfront, no larger | gain |", "|---|---|---|---|---|"]
    front = figures["front"]["front"]
    for bits, plain in figures["rounded"].items():
        rows = [row for row in front if row["size_bytes"] <= plain["size_bytes"]]
        best = max(rows, key=lambda row: row["accuracy"], default=None)
        if best is None:
            continue
        gain = best["accuracy"] - plain["accuracy"]
        lines.append(
            f"| {bits} bits | {plain['accuracy']:.2f} | {plain['size_bytes']} | "
            f"{best['accuracy']:.2f} at {best['size_bytes']} bytes | {gain:+.2f} |"
        )
    return lines


def _rows(front: dict[str, Any]) -> list[str]:
    lines = [
        "| | accuracy | drop (95 % upper) | bytes | smaller | latency ms | faster | predicted | MACs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in front["baselines"]:
        lines.append(f"| {row['name']} {_cells(row)}")
    for row in front["front"]:
        lines.append(f"| **{row['candidate']}** {_cells(row)}")
    return lines


def _cells(row: dict[str, Any]) -> str:
    def number(key: str, digits: int) -> str:
        return "" if row[key] is None else f"{row[key]:.{digits}f}"

    return (
        f"| {number('accuracy', 2)} | {number('drop', 2)} ({number('drop_upper', 2)}) | {row['size_bytes']} | "
        f"{number('size_ratio', 2)}x | {number('latency_ms', 3)} | {number('speedup', 2)}x "
        f"| {number('predicted_speedup', 2)}x | {number('macs_ratio', 2)}x fewer |"
    )

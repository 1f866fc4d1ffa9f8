"""The front of a study as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dashboards.certificate import CertificateView, certificate_view, looks_lines
from dashboards.front import FrontView, Prediction, nearest, nearest_within_costs
from dashboards.row import BaselineRow, Row
from dashboards.study import StudyData
from objectives.targets import explain
from slimfront.cli.output import count, duration, milliseconds, plural, size
from slimfront.table import QUICK_MARK, figure_cells, row_label
from storage.records.certificate import Verdict

WIDE = 100  # columns from which there is room for MACs and the rung
NEAREST_ROWS = 3  # shown where the target is not met
VERDICT_STYLES = MappingProxyType({Verdict.CERTIFIED.value: "green", Verdict.FAILS.value: "red"})


def print_front(console: Console, view: FrontView, data: StudyData) -> None:
    """Prints dense model, front, baselines and verdict."""
    console.print(dense_line(view), soft_wrap=True)
    if not view.front and not view.baselines:
        console.print(f"nothing has been evaluated yet ({view.state})")
        return
    wide = console.width >= WIDE
    table = _table(wide)
    _add(table, [(row_label(row, None), row) for row in view.front], wide)
    table.add_row()
    _add(table, [(row_label(row, row.name), row) for row in view.baselines], wide)
    console.print(table)
    for line in verdict(view, data):
        console.print(line, soft_wrap=True)


def dense_line(view: FrontView) -> Text:
    """The study, its state and the dense model."""
    dense = view.dense
    text = Text(view.study, style="bold")
    text.append(f" ({view.state})", style="none")
    if dense.accuracy is None or dense.size_bytes is None or dense.macs is None:
        return text
    latency = f", {milliseconds(dense.latency_ms)}" if dense.latency_ms is not None else ""
    figures = f": dense {dense.accuracy:.2f} %, {size(dense.size_bytes)}{latency}, {count(dense.macs)} MACs"
    return text.append(figures, style="none")


def _table(wide: bool) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    table.add_column("candidate")  # the only one that may wrap: a figure without its unit is worse than a second line
    if wide:
        table.add_column("rung", no_wrap=True)
    table.add_column("accuracy", justify="right", no_wrap=True)
    table.add_column("drop (bound)", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("latency", justify="right", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    if wide:
        table.add_column("MACs", justify="right", no_wrap=True)
    table.add_column("target", no_wrap=True)
    return table


def _add(table: Table, rows: Sequence[tuple[str, Row]], wide: bool) -> None:
    for label, row in rows:
        cells = [
            label,
            *([row.rung] if wide else []),
            *figure_cells(row),
            *([f"{row.macs_ratio:.1f}x"] if wide else []),
        ]
        table.add_row(*cells, Text("met", style="green") if row.meets_target else Text("no", style="dim"))


def verdict(view: FrontView, data: StudyData) -> list[Text]:
    """Whether the target is met and by what, or what comes nearest; how it was measured. A line each."""
    wish = ", ".join(f"{key} {value}" for key, value in view.target.items())
    images = next((row.images for row in view.front), 0)
    lines = [Text()]
    if view.target_met:
        best = nearest(data, view.front, 1)[0]
        lines[0].append("target met", style="bold green").append(f" ({wish}): candidate {best.candidate} first, ")
        lines[0].append(f"`slimfront export {view.study}/{best.candidate} -o DIR` writes it")
    else:
        lines[0].append("target not met", style="bold red").append(f" ({wish}); the nearest:")
        rows = [*view.front, *_others(view)]
        shown = nearest(data, rows, NEAREST_ROWS)
        within = nearest_within_costs(data, rows)
        # It shows what drop the costs take, which a shortfall in them can outweigh.
        shown += [] if within is None or within in shown else [within]
        lines += [_near(row, data) for row in shown]
    certificate = certificate_view(data)
    lines += certificate_lines(certificate) if certificate is not None else []
    quick = any(row.rung == "quick" for row in view.front)
    scored = f"{QUICK_MARK} on {plural(images, 'quick image')}, sizes predicted" if quick else plural(images, "image")
    figures = f"{scored}; bound: 95 % one-sided; {plural(view.candidates, 'candidate')}, hypervolume "
    lines.append(Text(f"{figures}{view.hypervolume:.3f}, {duration(view.seconds)}", style="dim"))
    if any(row.tuned for row in view.front):
        lines.append(Text("(from N): trained from candidate N", style="dim"))
    if view.prediction is not None:
        lines += [Text(line, style="dim") for line in _prediction(view.prediction)]
    lines += [Text(f"note: {note}", style="dim") for note in view.notes]
    if view.hardware is not None:
        lines.append(Text(view.hardware, style="dim"))
    return lines


def certificate_lines(view: CertificateView) -> list[Text]:
    """A line for each finalist, and one where the test split was not new."""
    lines = []
    for item in view.certificates:
        verdict, rest = item.sentence[: len(item.verdict)], item.sentence[len(item.verdict) :]
        lines.append(Text(f"{item.title}: ").append(verdict, style=VERDICT_STYLES.get(item.verdict, "none")))
        lines[-1].append(rest)
    return [*lines, *map(Text, looks_lines(view.looks))]


def _prediction(found: Prediction) -> list[str]:
    both = f"predicted {found.predicted_speedup:.1f}x, measured {found.speedup:.1f}x for candidate {found.candidate}"
    text = f"latency: {both}; median error {found.median_error:.1f} % over {plural(found.rows, 'row')}"
    if found.check is None:
        return [text, f"latency table: not checked, so how well it predicts is not known: {found.unchecked}"]
    check = found.check
    plans = plural(check.plans, "random plan")
    return [text, f"latency table: median error {check.median_error:.1f} %, Spearman {check.spearman:.2f} over {plans}"]


def _others(view: FrontView) -> list[BaselineRow]:
    """Baselines that are not in the front themselves."""
    shown = {row.candidate for row in view.front}
    return [row for row in view.baselines if row.candidate not in shown]


def _near(row: Row, data: StudyData) -> Text:
    figures = row.figures()
    assert figures is not None
    assert data.dense is not None
    return Text(f"  candidate {row.candidate}: {explain(data.target, figures, data.dense)}")

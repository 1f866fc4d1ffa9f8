"""`slimfront show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimfront.cli.options import AsJson, Reference, StoreUrl
from slimfront.cli.output import count, milliseconds, out, plural, print_json, size
from slimfront.cli.session import opened, parse_reference

if TYPE_CHECKING:
    from rich.console import Console

    from dashboards.candidate import CandidateView

UNKNOWN = "-"
WIDE = 100  # columns from which there is room for everything
NUMBERS = ("error", "size", "weights", "MACs", "channels")


def show(candidate: Reference, store: StoreUrl = None, json: AsJson = False) -> None:
    """Print what a candidate leaves of each layer: level, error, cost, channels; and what is protected and why."""
    study, number = parse_reference(candidate)
    with opened(store) as (_, studies):
        from dashboards.candidate import candidate_view
        from dashboards.study import read_study

        view = candidate_view(read_study(studies, study), number)
    if json:
        print_json(view.to_dict())
    else:
        _print(out(), view)


def _print(console: Console, view: CandidateView) -> None:
    from rich.table import Table
    from rich.text import Text

    title = Text(f"{view.study}/{view.candidate}", style="bold")
    made = "by training" if view.parent is not None else f"by {view.origin}"
    console.print(title.append(f" ({view.name or made})", style="none"), soft_wrap=True)
    for line in (*_figures(view), *_certificate(view)):
        console.print(line, soft_wrap=True, markup=False)
    if not view.layers:
        console.print("another tool has made this file: there is no plan of its layers")
        return
    wide = console.width >= WIDE
    titles = ["layer", *(["kind"] if wide else []), "level", "method", "error", "size"]
    titles += ["weights", *(["MACs"] if wide else []), "channels"]
    table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    for name in titles:
        table.add_column(name, justify="right" if name in NUMBERS else "left", no_wrap=name in NUMBERS)
    for layer in view.layers:
        error = UNKNOWN if layer.error is None else f"{layer.error:.2g}"
        cells = [layer.name, *([layer.kind] if wide else []), layer.level, layer.method, error]
        cells += [size(layer.size_bytes), count(layer.weights), *([count(layer.macs)] if wide else [])]
        table.add_row(*map(Text, [*cells, _channels(layer.channels, layer.dense_channels)]))
    console.print(table)
    for group in view.groups:
        left = f"{group.channels} of {group.dense_channels} channels"
        others = [layer for layer in group.layers if layer != group.name]
        with_others = f" (with {', '.join(others)})" if others else ""
        console.print(f"{left} of {group.name}{with_others}", soft_wrap=True, markup=False)
    for item in view.protected:
        console.print(f"protected: {item.name} ({item.reason})", soft_wrap=True, markup=False)
    for item in view.kept_channels if view.groups else ():
        console.print(f"channels of {item.name} stay: {item.reason}", soft_wrap=True, markup=False)


def _channels(left: int | None, dense: int | None) -> str:
    return UNKNOWN if left is None else f"{left}/{dense}"


def _figures(view: CandidateView) -> list[str]:
    lines = []
    if view.parent is not None:
        rung = "" if view.row is None else f" (rung {view.row.rung})"
        lines.append(f"trained from candidate {view.parent}{rung}: `slimfront show {view.study}/{view.parent}`")
    if view.error is not None:
        lines.append(f"failed: {view.error}")
    row = view.row
    if row is None:
        lines.append("not evaluated yet")
    else:
        drop = "" if row.drop is None else f", drop {row.drop:.2f} (at most {row.drop_upper:.2f} with 95 % confidence)"
        rung = "quick" if row.rung == "quick" else "confirmed"  # on whose images trained files are scored, too
        lines.append(f"{rung} on {plural(row.images, 'image')}: {row.accuracy:.2f} %{drop}")
        speed = (
            "" if row.latency_ms is None else f"; {milliseconds(row.latency_ms)}, {row.speedup:.2f}x the dense speed"
        )
        if view.speedup_interval is not None:
            speed += " (5th to 95th percentile {:.2f} to {:.2f})".format(*view.speedup_interval)
        file = "predicted file" if rung == "quick" else "file"
        megabytes = f"{row.size_bytes / 1e6:.3f} MB"
        lines.append(f"{file} of {row.size_bytes} bytes ({megabytes}), {row.size_ratio:.1f}x smaller{speed}")
        predicted = "" if row.predicted_speedup is None else f"; predicted {row.predicted_speedup:.2f}x the dense speed"
        lines.append(f"{count(row.macs)} MACs, {row.macs_ratio:.1f}x fewer{predicted}")
    if view.mean_bits is not None:
        lines.append(
            f"{view.mean_bits:.2f} bits a weight on average, {size(view.fixed_bytes)} for the graph, "
            "the activations' grids and whatever else is no layer above"
        )
    return lines


def _certificate(view: CandidateView) -> list[str]:
    if view.certificate is None:
        return []
    from dashboards.certificate import looks_lines

    judged = "on the test split" + (", as the primary" if view.certificate.primary else "")
    return [f"{judged}: {view.certificate.sentence}", *looks_lines(view.looks)]

"""What is said of a model under the pointer."""

from __future__ import annotations

from dashboards.figures.theme import plain
from dashboards.scatter import Marked, Other
from dashboards.units import count, milliseconds, size
from storage.records.measurement import Rung
from storage.records.target import Objective


def is_confirmed(item: Marked) -> bool:
    """Whether its figures are those of its file."""
    return Rung(item.row.rung).is_of_file


def hover_text(item: Marked) -> str:
    """Number, origin and all figures with their units, a line each."""
    row = item.row
    label = f" {plain(item.name)}" if item.name is not None else f" ({made_by(item.origin, row.parent)})"
    lines = [f"<b>candidate {row.candidate}</b>{label}"]
    if item.name is not None and row.parent is not None:
        lines.append(made_by(item.origin, row.parent))
    images = "confirmation" if is_confirmed(item) else "quick"
    lines.append(f"accuracy {row.accuracy:.2f} % on {row.images:,} {images} images")
    if row.drop is not None:
        bounds = "" if row.drop_upper is None else f" (at most {row.drop_upper:.2f} with 95 % confidence)"
        lines.append(f"drop {row.drop:.2f} points{bounds}")
    lines.append(f"{size(row.size_bytes)}{'' if is_confirmed(item) else ' predicted'}, {row.size_ratio:.1f}x smaller")
    if item.costs.latency_ms is not None:
        faster = row.speedup if item.latency_measured else row.predicted_speedup
        how = "measured" if item.latency_measured else "predicted"
        lines.append(f"{milliseconds(item.costs.latency_ms)}, {faster or 1.0:.2f}x the dense speed ({how})")
    lines.append(f"{count(row.macs)} MACs, {row.macs_ratio:.1f}x fewer")
    if item.summary is not None:
        bits, left = item.summary.mean_bits, 100 * item.summary.weights_left
        lines.append(f"{bits:.1f} bits a weight, {left:.0f} % of the weights")
    if row.certificate is not None:
        lines.append(f"test split: {row.certificate.sentence}")
    return "<br>".join(lines)


def made_by(origin: str, parent: int | None) -> str:
    """Who has made a candidate: a sampler, or training, and from what."""
    return plain(origin) if parent is None else f"trained from {parent}"


def cost_text(item: Other, objective: Objective) -> str:
    """The cost with its unit, and whether it is a prediction."""
    costs = item.costs
    if objective == "latency" and costs.latency_ms is not None:
        return f"{milliseconds(costs.latency_ms)} predicted"
    if objective == "macs":
        return f"{count(costs.macs)} MACs"
    return f"{size(costs.size_bytes)}{'' if item.confirmed else ' predicted'}"

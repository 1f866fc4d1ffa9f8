"""The report's HTML."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dashboards.candidate import CandidateView, LayerPlan
from dashboards.certificate import looks_lines
from dashboards.figures.front import front_figure, out_of_view, shown_costs
from dashboards.figures.hypervolume import hypervolume_figure
from dashboards.figures.sensitivity import sensitivity_figure
from dashboards.figures.theme import DARK, LIGHT, exchange
from dashboards.report.embedding import json_data, plotly, script_text, source_digest
from dashboards.report.view import ReportView
from dashboards.units import count, duration, milliseconds, plural, size
from storage.records.space import CHANNEL, QUANT

TEMPLATE, STYLE, SCRIPT = "page.html.j2", "style.css", "script.js"
GENERATOR = '<meta name="generator" content="Slimfront report">'  # by which a report is known
# The page loads nothing, and runs the two scripts that it brings and no other, whatever a name may have smuggled in.
POLICY = (
    "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
    "form-action 'none'"
)
COST_NAMES = {"size": "Size", "latency": "Latency", "macs": "MACs"}


def report_page(view: ReportView) -> str:
    """The page, complete: it loads nothing, from anywhere."""
    costs = shown_costs(view.scatter)
    figures = {f"front-{cost}": front_figure(view.scatter, cost) for cost in costs}
    for learner in (CHANNEL, QUANT):
        found = sensitivity_figure(view.sensitivity, learner)
        if found is not None:
            figures[f"sensitivity-{learner}"] = found
    if view.hypervolume is not None:
        figures["hypervolume"] = hypervolume_figure(view.hypervolume)
    script = _asset(SCRIPT)
    return (
        _environment()
        .get_template(TEMPLATE)
        .render(
            view=view,
            front=view.front,
            certificate=view.certificate,
            scatter=view.scatter,
            costs={cost: COST_NAMES[cost] for cost in costs},
            below={cost: out_of_view(view.scatter, cost) for cost in costs},
            figures={name: script_text(figure.to_json()) for name, figure in figures.items()},
            plans=json_data(_plans(view)),
            themes=json_data({"dark": exchange(LIGHT, DARK)}),
            palettes={"light": asdict(LIGHT), "dark": asdict(DARK)},
            style=Markup(_asset(STYLE)),  # noqa: S704  (our own)
            script=Markup(script),  # noqa: S704
            plotly=plotly(),
            generator=Markup(GENERATOR),  # noqa: S704
            policy=POLICY.format(scripts=f"{plotly().digest} {source_digest(script.encode())}"),
        )
    )


@cache
def _environment() -> Environment:
    """Templates in which every value is escaped unless it is marked as safe."""
    environment = Environment(
        loader=PackageLoader("dashboards", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(size=size, count=count, duration=duration, milliseconds=milliseconds)
    environment.globals.update(plural=plural, looks_lines=looks_lines)
    return environment


@cache
def _asset(name: str) -> str:
    return (files("dashboards") / "report" / name).read_text(encoding="utf-8")


def _plans(view: ReportView) -> dict[str, Any]:
    """By candidate, what the page shows of a plan that was chosen. Names and kinds of layers stand there once."""
    planned = next((item for item in view.plans if item.layers), None)
    layers = [] if planned is None else [[layer.name, layer.kind] for layer in planned.layers]
    names = {item.row.candidate: item for item in (*view.scatter.front, *view.scatter.baselines)}
    return {
        "layers": layers,
        "first": view.scatter.recommended or view.plans[0].candidate,
        "of": {str(item.candidate): _plan(item, names[item.candidate].name) for item in view.plans},
    }


def _plan(view: CandidateView, name: str | None) -> dict[str, Any]:
    rest = f", {size(view.fixed_bytes)} beside the layers" if view.layers else ""
    bits = f"{view.mean_bits:.1f} bits a weight on average" if view.mean_bits is not None else ""
    return {
        "title": f"Candidate {view.candidate}" + (f": {name}" if name is not None else ""),
        "origin": view.origin if view.parent is None else f"trained from candidate {view.parent}",
        "summary": bits + rest,
        "layers": [_layer(layer) for layer in view.layers],
    }


def _layer(layer: LayerPlan) -> list[Any]:
    return [
        layer.level,
        layer.bits,
        layer.channels,
        layer.dense_channels,
        "" if layer.error is None else f"{layer.error:.2g}",
        size(layer.size_bytes),
        layer.method,
    ]

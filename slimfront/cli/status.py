"""`slimfront status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimfront.cli.options import AsJson, StoreUrl, StudyName
from slimfront.cli.output import duration, out, print_json
from slimfront.cli.session import opened

if TYPE_CHECKING:
    from dashboards.status import StatusView
    from storage.records.study import Study


def status(study: StudyName, store: StoreUrl = None, json: AsJson = False) -> None:
    """Print how far a study is."""
    with opened(store) as (home, studies):
        from dashboards.status import status_view
        from dashboards.study import read_study

        data = read_study(studies, study)
        view = status_view(data, home)
        if json:
            print_json(view.to_dict())
        else:
            out().print(sentence(view, data.study), soft_wrap=True, markup=False)


def sentence(view: StatusView, study: Study) -> str:
    """The status in one paragraph."""
    scored = f"{view.candidates} of {view.of}" if view.of is not None else str(view.candidates)
    text = (
        f"study {view.study} is {view.state}, rung {view.rung}: {scored} candidates scored in {duration(view.seconds)}"
    )
    if view.failed:
        text += f", {view.failed} failed"
    if view.lost_workers:
        text += f", {view.lost_workers} workers lost and replaced"
    if view.owner is not None:
        text += f", by {view.owner}"
    if view.state == "running" and view.eta_seconds is not None:
        return f"{text}, about {duration(view.eta_seconds)} to go"
    if view.state == "running":
        from storage.records.study import Step

        step = Step.from_json(study.progress)  # which tells more than the rung: which epoch, how many minutes
        text += "" if step is None else f"; {step}"
    if view.state == "succeeded":
        return f"{text}; `slimfront front {view.study}` shows the result"
    if view.state == "failed":
        return f"{text}; {study.error}; `slimfront resume {view.study}` goes on once that is mended"
    if view.state == "queued" and view.priority is not None:
        trust = " --trust-code" if study.runs_code else ""
        return f"{text}; it waits for a worker: `slimfront work{trust}` is one"
    if study.error is not None:
        text += f"; {study.error}"
    if view.state in ("interrupted", "queued", "cancelled"):
        return f"{text}; `slimfront resume {view.study}` goes on"
    return text

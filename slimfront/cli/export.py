"""`slimfront export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slimfront.cli.options import Reference, StoreUrl, TrustCode
from slimfront.cli.output import note, out
from slimfront.cli.progress import watching
from slimfront.cli.session import opened, parse_reference


def export(
    context: typer.Context,
    candidate: Reference,
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="A new folder, or an earlier export.")
    ],
    store: StoreUrl = None,
    trust_code: TrustCode = False,
) -> None:
    """Write a candidate's files into a folder: model.slim, model.onnx, model.safetensors, plan.json, README.md."""
    study, number = parse_reference(candidate)
    with opened(store) as (home, studies):
        studies.study(study)  # a name that is not there is said at once
        from slimfront.export.folder import export_candidate

        with watching(context.obj) as progress:
            done = export_candidate(studies, home, study, number, directory, progress, trust_code)
    if done.replaced:
        note(f"an earlier export in {done.folder} has been replaced")
    note(f"verified: {done.verification}")
    for name in done.files:
        out().print(str(done.folder / name), soft_wrap=True, markup=False)

"""`slimfront certify`."""

from __future__ import annotations

from typing import Annotated

import typer

from slimfront.cli.options import AsJson, StoreUrl, StudyName, TrustCode
from slimfront.cli.output import out, print_json
from slimfront.cli.progress import watching
from slimfront.cli.session import opened


def certify(
    context: typer.Context,
    study: StudyName,
    again: Annotated[
        bool, typer.Option("--again", help="Look at a test split that was used before; the certificate says so.")
    ] = False,
    trust_code: TrustCode = False,
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Compare the finalists of a study with the dense model on its test split, once, and keep the verdicts."""
    with opened(store) as (home, studies):
        studies.study(study)  # a name that is not there is said at once
        from slimfront.certification import certify_finished

        with watching(context.obj) as progress:
            view = certify_finished(studies, home, study, progress, again, trust_code)
    if json:
        print_json(view.to_dict())
        return
    from slimfront.cli.front_table import certificate_lines

    for line in certificate_lines(view):
        out().print(line, soft_wrap=True)

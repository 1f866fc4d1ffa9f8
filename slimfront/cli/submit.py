"""`slimfront submit`."""

from __future__ import annotations

from typing import Annotated

import typer

from slimfront.cli.options import StoreUrl, StudyFile
from slimfront.cli.output import note
from slimfront.cli.progress import watching
from slimfront.cli.session import opened
from slimfront.cli.watch import follow

MOST_PRIORITY = 1_000_000


def submit(
    context: typer.Context,
    file: StudyFile,
    store: StoreUrl = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the study to its end, as `slimfront watch` does.")
    ] = False,
    priority: Annotated[
        int,
        typer.Option("--priority", metavar="N", min=-MOST_PRIORITY, max=MOST_PRIORITY, help="Higher ones run first."),
    ] = 0,
    key: Annotated[
        str | None,
        typer.Option("--idempotency-key", metavar="KEY", help="The same key again is the same study, stored once."),
    ] = None,
) -> None:
    """Put a study into the queue, with copies of its model and code, and print its name."""
    from slimfront.submit import read_config

    config = read_config(file)
    with opened(store) as (home, studies):
        from slimfront.enqueue import enqueue

        with watching(context.obj) as progress:
            study = enqueue(config, studies, home, progress, priority, key)
        name = study.name
        print(name, flush=True)
        trust = " --trust-code" if study.runs_code else ""
        note(
            f"study {name} is {study.state}: `slimfront watch {name}` follows it, `slimfront cancel {name}` ends it, "
            f"`slimfront work{trust}` runs what is queued"
        )
        if wait:
            follow(context.obj, name, home, studies)

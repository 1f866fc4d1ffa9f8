"""`slimfront demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slimfront.cli.delete import remove
from slimfront.cli.options import StoreUrl, Workers
from slimfront.cli.output import note
from slimfront.cli.progress import watching
from slimfront.cli.run import Crew, finish, run_to_end, start
from slimfront.cli.session import opened

if TYPE_CHECKING:
    from dashboards.front import FrontView
    from storage.store import StudyStore

FOLDER = Path("slimfront-demo")


def demo(
    context: typer.Context,
    directory: Annotated[
        Path, typer.Option("--directory", "-d", metavar="DIR", help="Where model, weights and study file are put.")
    ] = FOLDER,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the last demo: train and search again.")] = False,
    store: StoreUrl = None,
    workers: Workers = None,
) -> None:
    """Compress a small network on scikit-learn's digits, in a minute: train, search, print the front."""
    crew = Crew(workers, inline=workers is None)  # over before Ray would have started
    with opened(store) as (home, studies):
        from slimfront.demo.study import NAME, STUDY_FILE, write_demo
        from slimfront.submit import read_config

        if fresh and _exists(studies, NAME):
            remove(home, studies, NAME)
        if _exists(studies, NAME):
            note(
                f"study {NAME} is there already: going on with it, {directory} stays as it is "
                "(`slimfront demo --fresh` begins anew there)"
            )
            view = run_to_end(context.obj, NAME, None, home, studies, crew)
        else:
            with watching(context.obj) as progress:
                file = write_demo(directory, fresh, progress)
            note(f"the model, its weights and {STUDY_FILE} are in {directory}")
            view = start(context.obj, read_config(file), home, studies, crew)
    _next_steps(view)
    finish(view)


def _exists(store: StudyStore, name: str) -> bool:
    return any(study.name == name for study in store.studies())


def _next_steps(view: FrontView) -> None:
    best = next((row for row in view.front if row.meets_target), view.front[0])
    candidate = f"{view.study}/{best.candidate}"
    commands = {
        f"show {candidate}": "each layer's bits and error",
        f"export {candidate} -o out": "the files to take away",
        f"front {view.study} --json": "the front for programs",
    }
    print("\nNext:")
    for command, use in commands.items():
        print(f"  slimfront {command:<32} {use}")

"""`slimfront run` and `slimfront resume`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from slimfront.cli.codes import TARGET_NOT_MET
from slimfront.cli.options import Gpus, Inline, RayAddress, StoreUrl, StudyFile, StudyName, TrustCode, Workers
from slimfront.cli.output import note, out
from slimfront.cli.progress import watching
from slimfront.cli.session import opened
from slimfront.cli.signals import Signals, StudyInterruptedError
from storage.errors import FixInputError

if TYPE_CHECKING:  # torch takes seconds
    from dashboards.front import FrontView
    from learners.pool.base import Pool
    from searcher.stages.prepare import Prepared
    from storage.home import Home
    from storage.records.config import StudyConfig
    from storage.store import StudyStore


@dataclass(frozen=True)
class Crew:
    """Who does the work: `workers` processes on Ray (None: as many as there are cores), or with `inline` this one."""

    workers: int | None = None
    inline: bool = False
    ray_address: str | None = None  # of a Ray that runs already
    gpus: float = 0.0  # of each worker

    def __post_init__(self) -> None:
        if self.ray_address is not None and self.workers is None:
            raise FixInputError(
                f"--ray-address {self.ray_address}: say with --workers how many of its processors to use"
            )
        if self.inline and (self.workers or 1) > 1:
            raise FixInputError(f"--inline is this process alone: leave out --workers {self.workers}, or --inline")

    @classmethod
    def asked(
        cls,
        context: typer.Context,
        workers: int | None,
        inline: bool,
        ray_address: str | None = None,
        gpus: float = 0.0,
    ) -> Crew:
        """What a command's options ask for. One that is given beats the other one's environment variable.

        FixInputError if both are given, or both variables are set, and say different things.
        """
        workers_given = any(_is_given(context, name) for name in ("workers", "ray_address", "gpus"))
        inline_given = _is_given(context, "inline")
        if inline_given != workers_given:
            return cls(None, inline) if inline_given else cls(workers, False, ray_address, gpus)
        if not inline_given and inline and (workers or 1) > 1:
            raise FixInputError(f"SLIMFRONT_INLINE is one process, SLIMFRONT_WORKERS {workers}: unset one of them")
        if inline_given and ray_address is not None and _is_given(context, "ray_address"):
            raise FixInputError("--inline is this process alone: leave out --ray-address, or --inline")
        return cls(workers, inline) if inline else cls(workers, inline, ray_address, gpus)


def run(
    context: typer.Context,
    file: StudyFile,
    store: StoreUrl = None,
    workers: Workers = None,
    inline: Inline = False,
    ray_address: RayAddress = None,
    gpus: Gpus = 0.0,
) -> None:
    """Run a study from its file and print its front."""
    from slimfront.submit import read_config

    config = read_config(file)
    with opened(store) as (home, studies):
        crew = Crew.asked(context, workers, inline, ray_address, gpus)
        finish(start(context.obj, config, home, studies, crew))


def resume(
    context: typer.Context,
    study: StudyName,
    store: StoreUrl = None,
    workers: Workers = None,
    inline: Inline = False,
    ray_address: RayAddress = None,
    gpus: Gpus = 0.0,
    trust_code: TrustCode = False,
    more_candidates: Annotated[
        int | None,
        typer.Option("--more-candidates", metavar="N", min=1, help="Search so many more, also if it is over."),
    ] = None,
    queue: Annotated[
        bool, typer.Option("--queue", help="Let a worker go on with a study that was submitted, not this process.")
    ] = False,
) -> None:
    """Go on with a study that was interrupted or cancelled, or has failed; print the result of one that is done."""
    from storage.records.study import StudyState

    crew = Crew.asked(context, workers, inline, ray_address, gpus)
    with opened(store) as (home, studies):
        found = studies.study(study)
        if found.state is StudyState.SUCCEEDED and more_candidates is None and not queue:
            finish(show(study, home, studies))
            return
        if not queue:
            from searcher.trust import check_trusted

            check_trusted(found, trust_code)
        if more_candidates is not None:
            from slimfront.extend import extend

            extend(studies, home, study, more_candidates)
        if queue:
            from storage.liveness import release_dead

            release_dead(studies, home, studies.study(study))
            studies.requeue(study)
            note(f"study {study} is queued: `slimfront watch {study}` follows it")
            return
        finish(run_to_end(context.obj, study, None, home, studies, crew))


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line, and is not of the environment."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def finish(view: FrontView) -> None:
    """Ends a command: exit code 3 if the target is not met."""
    if not view.target_met:
        raise typer.Exit(TARGET_NOT_MET)


def start(signals: Signals, config: StudyConfig, home: Home, store: StudyStore, crew: Crew) -> FrontView:
    """Checks the input, stores the study, says its name and runs it to its end."""
    from slimfront.submit import submit

    with watching(signals) as progress:
        prepared = submit(config, store, home, progress)
    with resumable(signals, config.name):
        note(f"study {config.name} is stored: `slimfront resume {config.name}` goes on with it whatever happens")
        return run_to_end(signals, config.name, prepared, home, store, crew)


def run_to_end(
    signals: Signals, name: str, prepared: Prepared | None, home: Home, store: StudyStore, crew: Crew
) -> FrontView:
    """Runs a stored study to its end and prints its front. StudyInterruptedError on Ctrl-C."""
    with resumable(signals, name):
        from searcher.controller import Controller

        with watching(signals) as progress, _pool(crew) as pool:
            Controller(store, home, progress, pool).run(name, prepared)
        return show(name, home, store)


def show(name: str, home: Home, store: StudyStore) -> FrontView:
    """Prints a study's front."""
    from dashboards.front import front_view
    from dashboards.study import read_study
    from slimfront.cli.front_table import print_front

    data = read_study(store, name)
    view = front_view(data, home)
    print_front(out(), view, data)
    return view


def _pool(crew: Crew) -> Pool:
    from learners.pool.table import open_pool

    return open_pool(crew.workers, crew.inline, crew.ray_address, crew.gpus)


@contextmanager
def resumable(signals: Signals, name: str) -> Iterator[None]:
    """A block that Ctrl-C leaves with a StudyInterruptedError: the study is stored by now."""
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        if isinstance(error, KeyboardInterrupt) or signals.received:
            raise StudyInterruptedError(name) from error
        raise

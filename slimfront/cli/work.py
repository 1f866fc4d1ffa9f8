"""`slimfront work`."""

from __future__ import annotations

import json as json_module
import logging
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from slimfront.cli.options import Gpus, Inline, RayAddress, StoreUrl, Workers
from slimfront.cli.run import Crew
from slimfront.cli.session import opened
from slimfront.cli.signals import Signals
from storage.errors import FixInputError

LOGGER = "slimfront.work"
LEAST_LEASE_SECONDS = 3.0  # below, a heartbeat that a busy machine delays by a second would lose it


def work(
    context: typer.Context,
    store: StoreUrl = None,
    workers: Workers = None,
    inline: Inline = False,
    ray_address: RayAddress = None,
    gpus: Gpus = 0.0,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Also run studies that need code of their users' to be run.")
    ] = False,
    lease: Annotated[
        float,
        typer.Option(
            "--lease",
            metavar="SECONDS",
            envvar="SLIMFRONT_LEASE",
            help="After which another worker takes over from one that has died. It is renewed within a third of it.",
        ),
    ] = 30.0,
    until_empty: Annotated[bool, typer.Option("--until-empty", help="End when nothing is queued.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Log in JSON, a line an event.")] = False,
) -> None:
    """Run what is queued, one study after the other, until Ctrl-C; several may run, on several machines."""
    if not lease >= LEAST_LEASE_SECONDS:
        raise FixInputError(
            f"--lease {lease:g} is shorter than heartbeats can be late: give {LEAST_LEASE_SECONDS:g} seconds or more"
        )
    crew = Crew.asked(context, workers, inline, ray_address, gpus)
    logger = _logger(json)
    with opened(store) as (home, studies):
        from searcher.service.worker import Terms, Worker
        from storage.home import shown

        terms = Terms(
            command=(sys.executable, "-P", "-m", "slimfront", "claimed"),  # nothing of the current folder is imported
            lacks=lambda: _missing_ray(crew.ray_address),
            trusts_code=trust_code,
            workers=crew.workers,
            inline=crew.inline,
            ray_address=crew.ray_address,
            gpus=crew.gpus,
            lease_seconds=lease,
            until_empty=until_empty,
        )
        worker = Worker(
            studies,
            home,
            terms,
            lambda study, text, level=logging.INFO: logger.log(level, text, extra={"study": study}),
        )
        signals: Signals = context.obj
        signals.call(worker.stop)
        trusts = "runs users' code" if trust_code else "without --trust-code, studies that run users' code are left"
        logger.info(f"takes studies from {shown(home.database_url)}; {trusts}", extra={"study": ""})
        worker.run()
        logger.info("ends", extra={"study": ""})


def _missing_ray(address: str | None) -> str | None:
    if address is None:
        return None
    from learners.pool.ray_remote import knock

    try:
        knock(address)
    except OSError as error:
        return f"the Ray at {address} does not answer ({error}): start it"
    return None


def _logger(as_json: bool) -> logging.Logger:
    logger = logging.getLogger(LOGGER)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if as_json else _Line())
    logger.handlers = [handler]
    return logger


class _Line(logging.Formatter):
    """For people."""

    def format(self, record: logging.LogRecord) -> str:
        study = getattr(record, "study", "")
        return f"{_time(record)} {f'{study}: ' if study else ''}{record.getMessage()}"


class _Json(logging.Formatter):
    """For programs."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {"time": _time(record), "level": record.levelname, "study": getattr(record, "study", "") or None}
        return json_module.dumps({**fields, "text": record.getMessage()})


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""What `slimfront work` starts for each study: hidden, as it takes its orders from stdin."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from slimfront.cli.codes import INTERRUPTED
from slimfront.cli.progress import watching
from slimfront.cli.session import opened
from slimfront.cli.signals import Signals

if TYPE_CHECKING:
    from searcher.service.order import Order

END_SECONDS = 20.0  # that a process has to end by itself, of which Ray's daemons take up to ten


def claimed(context: typer.Context) -> None:
    """Run a study that `slimfront work` has claimed."""
    from searcher.service.order import Order
    from storage.errors import FixInputError

    line = sys.stdin.readline()
    if not line:
        raise FixInputError("this is for `slimfront work`, which says on stdin what to run: run that one")
    order = Order.from_line(line)
    _watch_parent()
    try:
        _run(context.obj, order)
    except KeyboardInterrupt:  # perhaps before the controller had begun, which writes so itself
        _give_back(order)
        raise


def _give_back(order: Order) -> None:
    """Puts the study back into the queue, if it is still ours: being stopped is no death."""
    from storage.errors import SlimfrontError
    from storage.records.study import StudyState

    lease = order.lease
    with suppress(SlimfrontError), opened(order.store) as (_, studies):
        study = studies.study(lease.study)
        if (study.state, study.owner, study.attempt) == (StudyState.RUNNING, lease.owner, lease.attempt):
            studies.under(lease).update_study(lease.study, state=StudyState.QUEUED)


def _run(signals: Signals, order: Order) -> None:
    from storage.errors import FixInputError

    lease = order.lease
    with opened(order.store) as (home, studies):
        from learners.pool.table import open_pool
        from searcher.controller import Controller
        from searcher.trust import check_trusted
        from storage.records.study import StudyState

        try:
            check_trusted(studies.study(lease.study), order.trusts_code)
        except FixInputError as error:  # the store has called it a study without code
            studies.under(lease).update_study(lease.study, state=StudyState.FAILED, error=str(error))
            raise
        with (
            watching(signals) as progress,
            open_pool(order.workers, order.inline, order.ray_address, order.gpus) as pool,
        ):
            controller = Controller(studies, home, progress, pool, stopped=StudyState.QUEUED)
            controller.run(lease.study, lease=lease)


def _watch_parent() -> None:
    """Ends this process with the one that has started it."""
    threading.Thread(target=_end_with_parent, name="slimfront-parent", daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process as Ctrl-C does when the other end of stdin closes: whoever has started it is gone. At once
    where it does not obey: nobody is left to do so, and its heartbeats would keep the study from others."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(END_SECONDS)
    os._exit(INTERRUPTED)

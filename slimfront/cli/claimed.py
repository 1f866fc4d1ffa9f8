"""What `slimfront work` starts for each study: hidden, as it takes its orders from stdin."""

from __future__ import annotations

import os
import signal
import sys
import threading

import typer

from slimfront.cli.progress import watching
from slimfront.cli.session import opened


def claimed(context: typer.Context) -> None:
    """Run a study that `slimfront work` has claimed."""
    from searcher.service.order import Order
    from storage.errors import FixInputError

    line = sys.stdin.readline()
    if not line:
        raise FixInputError("this is for `slimfront work`, which says on stdin what to run: run that one")
    order = Order.from_line(line)
    threading.Thread(target=_end_with_parent, name="slimfront-parent", daemon=True).start()
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
            watching(context.obj) as progress,
            open_pool(order.workers, order.inline, order.ray_address, order.gpus) as pool,
        ):
            controller = Controller(studies, home, progress, pool, stopped=StudyState.QUEUED)
            controller.run(lease.study, lease=lease)


def _end_with_parent() -> None:
    """Ends this process as Ctrl-C does when the other end of stdin closes: whoever has started it is gone."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)

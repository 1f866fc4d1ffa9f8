"""Which pool a study runs on."""

from __future__ import annotations

from learners.pool.base import Pool
from learners.pool.inline import InlinePool
from objectives.hardware import available_cores


def open_pool(workers: int | None, inline: bool) -> Pool:
    """Workers on Ray, the usual number where nothing is said; none with `inline`, or where the usual number is one.

    Whatever the pool, the results are the same.
    """
    if inline:
        return InlinePool()
    count = usual_workers() if workers is None else workers
    if workers is None and count == 1:
        return InlinePool()
    from learners.pool.ray_pool import RayPool

    return RayPool(count)


def usual_workers() -> int:
    """One for each core; where there is a GPU one in all, as several would fight for it, each with its own memory."""
    from learners.device import pick_device

    return available_cores() if pick_device().type == "cpu" else 1

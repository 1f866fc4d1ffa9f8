"""Which pool a study runs on."""

from __future__ import annotations

from learners.pool.base import Pool
from learners.pool.inline import InlinePool
from objectives.hardware import available_cores


def open_pool(workers: int | None, inline: bool) -> Pool:
    """Workers on Ray, as many as there are cores where nothing is said; none with `inline`, or where one core is all.

    Whatever the pool, the results are the same.
    """
    count = available_cores() if workers is None else workers
    if inline or (workers is None and count == 1):
        return InlinePool()
    from learners.pool.ray_pool import RayPool

    return RayPool(count)

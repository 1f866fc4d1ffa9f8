"""Which pool a study runs on."""

from __future__ import annotations

from learners.pool.base import Pool
from learners.pool.inline import InlinePool
from objectives.hardware import available_cores
from storage.errors import FixInputError


def open_pool(workers: int | None, inline: bool, ray_address: str | None = None, gpus: float = 0.0) -> Pool:
    """Workers on Ray, the usual number where nothing is said; none with `inline`, or where the usual number is one.

    `ray_address` is of a Ray that runs already, whose size is not ours to know: FixInputError without `workers`. Each
    takes `gpus` of its GPUs. Whatever the pool, the results are the same.
    """
    if inline:
        return InlinePool()
    if ray_address is not None:
        if workers is None:
            raise FixInputError(f"on the Ray at {ray_address}: say with --workers how many of its processors to use")
        from learners.pool.ray_pool import RayPool

        return RayPool(workers, address=ray_address, gpus=gpus)
    count = usual_workers() if workers is None else workers
    if workers is None and count == 1:
        return InlinePool()
    from learners.pool.ray_pool import RayPool

    return RayPool(count, gpus=gpus)


def usual_workers() -> int:
    """One for each core; where there is a GPU one in all, as several would fight for it, each with its own memory."""
    from learners.device import pick_device

    return available_cores() if pick_device().type == "cpu" else 1

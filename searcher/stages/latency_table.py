"""Stage "latency table": what single layers take on the study's runtime, once for a model and a machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from learners.export.packing import assemble_onnx, pack_candidate
from learners.latency.build import build_table
from learners.latency.from_graph import timed_model
from learners.library.library import Library
from objectives.hardware import describe
from objectives.latency import FEWEST_REPETITIONS, ROUNDS, measure
from objectives.runtimes.table import runtime
from searcher.latency_check import ALL, KINDS, check_table
from searcher.progress import Progress
from searcher.stages.prepare import dense_file
from storage.errors import GiveUpError
from storage.files import atomic_write, content_hash, file_lock
from storage.home import Home
from storage.records.config import RuntimeConfig
from storage.records.latency import LatencyTable, TableCheck
from storage.slim import InputContract

STAGE = "latency table"
CHECK_STAGE = "latency table check"
FORMAT = "latency-table-2"  # changes whenever the same machine would give another table
FOLDER = "latencies"  # in the cache, shared by all studies
UNKNOWN_SHARE = 0.1  # of the predicted time; a smaller difference is noise
SECONDS = 3.0  # for the two whole models that the table is anchored to
CHECKED_PLANS = 10  # of each kind: together the 20 that a front reports at least
CHECK_SECONDS = 15.0  # for all of them; a model that takes less than a millisecond needs less
MOST_CHECK_SECONDS = 60.0  # of models so slow that a single round takes longer than the above
MILLISECONDS = 1e3  # of a second
CHECK_SEED = 0  # the table belongs to a model and a machine, not to a study's seed


def open_or_measure(library: Library, config: RuntimeConfig, home: Home, progress: Progress) -> LatencyTable | None:
    """The latency table of a library's model on this machine, from the cache where it is there.

    None, with an event that says why, where layers cannot be timed alone.
    """
    hardware = describe(runtime(config.name), config.threads)
    key = content_hash(FORMAT, library.id, config.name, hardware, str(config.threads), str(config.batch))
    path = home.cache / FOLDER / f"table-{key[:32]}.json"
    with file_lock(path.with_suffix(".lock"), wait=True):
        try:
            table = LatencyTable.from_json(path.read_text())
            table.check(library.space)
        except (OSError, ValueError, KeyError, TypeError):  # absent or damaged
            measured = _measure(library, config, home, progress)
            if measured is not None:
                atomic_write(path, measured.to_json().encode())
            return measured
        return table


def _measure(library: Library, config: RuntimeConfig, home: Home, progress: Progress) -> LatencyTable | None:
    timed = timed_model(library)
    shape = library.analysis.input_shape
    try:
        table = build_table(
            timed.layers,
            timed.glue,
            library.space,
            runtime(config.name),
            config.threads,
            config.batch,
            shape,
            home.cache / FOLDER,
            lambda _, done, total: progress.update(STAGE, done, total),
        )
        table = _anchored(table, library, config)
    except GiveUpError as error:
        progress.event(f"latency is not predicted: {error}")
        return None
    return _checked(table, library, config, progress)


def _checked(table: LatencyTable, library: Library, config: RuntimeConfig, progress: Progress) -> LatencyTable:
    """The table with how well it predicts models it was not made from; as it is, with an event that says why, where
    that cannot be measured or would take minutes."""
    calls = 2 * FEWEST_REPETITIONS * CHECKED_PLANS * len(KINDS)  # of a round: every plan's and the dense model's
    round_seconds = calls * table.dense_ms / MILLISECONDS
    if round_seconds > MOST_CHECK_SECONDS:
        progress.event("the latency table is not checked, as the model is slow: `slimfront doctor --latency` does it")
        return table
    rounds = int(min(ROUNDS, max(1, CHECK_SECONDS / round_seconds)))
    progress.update(CHECK_STAGE, 0, 1)
    try:
        found = check_table(library, table, config, CHECK_SEED, CHECKED_PLANS, CHECK_SECONDS, rounds).errors[ALL]
    except GiveUpError as error:
        progress.event(f"the latency table is not checked: {error}")
        return table
    progress.update(CHECK_STAGE, 1, 1)
    return replace(table, checked=TableCheck(found.plans, found.spearman, found.median_error, found.largest_error))


def _anchored(table: LatencyTable, library: Library, config: RuntimeConfig) -> LatencyTable:
    """The table with what it cannot know: two whole models are measured, the user's file and the candidate that leaves
    everything as it is.

    The two differ where the user's model slices and pads and a candidate has an index map. Where the second one takes
    far longer than the table says, operations that cannot be timed alone take the rest, whatever the candidate.
    """
    shape = library.analysis.input_shape
    contract = InputContract(shape, (0.0,), (1.0,))
    unchanged = library.choose((0,) * len(library.space.sites), library.id)
    file = assemble_onnx(pack_candidate(library.analysis, unchanged, library.ranges, contract))
    chosen = runtime(config.name)
    dense = chosen.session(dense_file(library), config.threads)
    candidate = chosen.session(file, config.threads)
    sample = np.zeros((config.batch, *shape), np.float32)
    measured = measure(dense, {"candidate": candidate}, sample, seconds=SECONDS)["candidate"]
    missing = measured.milliseconds - table.dense_ms
    fixed = missing if missing > UNKNOWN_SHARE * table.dense_ms else 0.0
    ratio = measured.speedup if library.analysis.maps else 1.0
    return replace(table, fixed_ms=table.fixed_ms + fixed, dense_ms=(table.dense_ms + fixed) * ratio)

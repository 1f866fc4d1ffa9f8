"""Times probes in turn with a fixed reference, and remembers the times on disk."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from learners.latency.models import Layer, Opening, Probe, build_model, input_shape
from objectives.hardware import describe
from objectives.latency import LEAST_SECONDS, NANOSECONDS_PER_MILLISECOND, Latency, Model, Reference, measure
from objectives.runtimes.base import Runtime
from storage.files import atomic_write, content_hash, file_lock
from storage.records.space import FLOAT_BITS

FORMAT_VERSION = 7  # changes whenever an equal probe would be another model or be timed in another way
# Models alive at once, few enough for memory.
TOGETHER = 100
TURNS = 7  # quiet ones of each probe: the errors of many differences even out
# Of one probe in a disturbed session, with its share of the reference's calls: a turn takes half a millisecond. With
# twice the time, tables were no better: whole models correct them.
SECONDS = 0.03
STAGE = "latency table"
# 40 to 80 microseconds in float: long against a call, short against a slow phase of the machine.
REFERENCE = Probe(Opening((32, 32), 16, FLOAT_BITS), (Layer(16, FLOAT_BITS, (3, 3), (1, 1), (1, 1)),))

Progress = Callable[[str, int, int], None]  # stage, done, of how many


@dataclass(frozen=True)
class Setting:
    """Under what a probe is timed."""

    runtime: Runtime
    threads: int
    batch: int

    @property
    def hardware(self) -> str:
        """One line that names processor, runtime, its version and the threads."""
        return describe(self.runtime, self.threads)


class ProbeTimes:
    """Milliseconds of one call of each probe, from the folder's cache or measured now.

    All of them are on the scale of the reference as it was when the cache's first probe was timed: what is timed on
    another day, or while the processor runs at another clock, still adds up with what was timed before.
    """

    def __init__(self, setting: Setting, folder: Path) -> None:
        self.setting = setting
        key = content_hash(setting.hardware, str(setting.batch), str(FORMAT_VERSION))
        self.path = folder / f"{key[:16]}.json"
        self._lock = folder / f"{key[:16]}.lock"
        self._milliseconds: dict[str, float] = {}
        self._scale_ms: float | None = None
        self.most_seconds = 0.0  # that it would take to time all of the last probes again, about

    @property
    def reference_ms(self) -> float:
        """What the reference takes on the scale of all times; ValueError before `measure`."""
        if self._scale_ms is None:
            raise ValueError("nothing has been measured yet")
        return self._scale_ms

    @cached_property
    def reference(self) -> Reference:
        """The reference, to time something else on the same scale."""
        return Reference(_load(REFERENCE, self.setting))

    def __getitem__(self, probe: Probe) -> float:
        return self._milliseconds[probe_key(probe)]

    def measure(self, probes: Sequence[Probe], progress: Progress, again: bool = False) -> None:
        """Makes sure that every one of `probes` is known; `again` times those that are, too, and what they took
        before is forgotten: it may have been disturbed.

        Raises GiveUpError if the runtime refuses one.
        """
        with file_lock(self._lock):  # two studies that time at the same moment would disturb each other
            document = self._read()
            self._milliseconds = document["milliseconds"]
            every = dict.fromkeys(probes)
            self.most_seconds = SECONDS * len(every)
            missing = [item for item in every if again or probe_key(item) not in self._milliseconds]
            progress(STAGE, 0, len(missing))
            found: dict[str, Latency] = {}
            batches = [missing[start : start + TOGETHER] for start in range(0, len(missing), TOGETHER)]
            quiet_ns = []
            for batch in batches:
                found |= self._time(batch)
                quiet_ns.append(self.reference.quiet_ns)
                progress(STAGE, len(found), len(missing))
            for batch, known in zip(batches, quiet_ns, strict=True):
                if not self.reference.is_quiet(known):  # what it took for quiet was seen to be disturbed later
                    found |= self._time(batch)
            if missing:
                self._keep(found, document)
            self._scale_ms = document["reference_ms"]

    def _time(self, probes: Sequence[Probe]) -> dict[str, Latency]:
        """Of each probe beside the reference."""
        models = {probe_key(item): _load(item, self.setting) for item in probes}
        # `measure` hands every model one sample; these have their own.
        sample = np.zeros(0, np.float32)
        seconds = SECONDS * len(models)
        if not self.reference.is_watched(time.perf_counter_ns()):
            seconds = max(seconds, LEAST_SECONDS)
        return measure(self.reference, models, sample, TURNS, seconds)

    def _keep(self, found: dict[str, Latency], document: dict[str, Any]) -> None:
        # Those as well whose speed is hardly known: on a machine without a quiet moment, every study would begin with
        # them, and whole models correct what they say.
        if document["reference_ms"] is None:
            document["reference_ms"] = self.reference.quiet_ns / NANOSECONDS_PER_MILLISECOND
        scale = document["reference_ms"]
        document["milliseconds"].update({key: scale / figure.speedup for key, figure in found.items()})
        document["milliseconds"][probe_key(REFERENCE)] = scale
        atomic_write(self.path, json.dumps(document, indent=0, sort_keys=True).encode())

    def _read(self) -> dict[str, Any]:
        empty: dict[str, Any] = {"hardware": self.setting.hardware, "reference_ms": None, "milliseconds": {}}
        try:
            document = json.loads(self.path.read_text())
            float(document["reference_ms"])
            for value in document["milliseconds"].values():
                float(value)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return empty  # absent or damaged: measured anew
        return {**empty, **document}


def probe_key(probe: Probe) -> str:
    """What names a probe in the cache."""
    return content_hash(json.dumps(asdict(probe), separators=(",", ":")))[:20]


def _load(probe: Probe, setting: Setting) -> Model:
    session = setting.runtime.session(build_model(probe), setting.threads)
    shape = (setting.batch * probe.opening.repeats, *input_shape(probe))
    own = np.random.Generator(np.random.PCG64(0)).normal(size=shape).astype(np.float32)

    def call(_: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return session(own)

    return call

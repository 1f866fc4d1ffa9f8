"""The machine on which latencies are measured, in one line."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from objectives.runtimes.base import Runtime

CPUINFO = Path("/proc/cpuinfo")
# Flags as the kernel writes them -> usual name, of the instruction sets that decide how fast small models
# run. Those from asimddp on are ARM's.
INSTRUCTION_SETS: Mapping[str, str] = {
    "avx2": "AVX2",
    "avx512f": "AVX512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX512-VNNI",
    "avx512_bf16": "AVX512-BF16",
    "avx512_fp16": "AVX512-FP16",
    "amx_int8": "AMX-INT8",
    "amx_bf16": "AMX-BF16",
    "asimddp": "DOTPROD",
    "i8mm": "I8MM",
    "bf16": "BF16",
    "sve": "SVE",
}
# A set on the left is taken for granted where one on the right is there.
IMPLIED_BY: Mapping[str, tuple[str, ...]] = {
    "avx2": ("avx512f",),
    "avx512f": ("avx512_vnni", "avx512_bf16", "avx512_fp16"),
    "avx_vnni": ("avx512_vnni",),
}


@dataclass(frozen=True)
class Processor:
    """What a processor says of itself."""

    name: str  # empty where it does not say
    flags: frozenset[str]  # as the kernel writes them

    @property
    def instruction_sets(self) -> tuple[str, ...]:
        """Usual names of the sets that matter here, none that another one implies."""
        return tuple(
            name
            for flag, name in INSTRUCTION_SETS.items()
            if flag in self.flags and self.flags.isdisjoint(IMPLIED_BY.get(flag, ()))
        )


def parse_cpuinfo(text: str) -> Processor:
    """Read the format of Linux's /proc/cpuinfo; the first processor listed speaks for all."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip().lower(), value.strip())
    flags = fields.get("flags") or fields.get("features") or ""
    return Processor(name=fields.get("model name", ""), flags=frozenset(flags.lower().split()))


def available_cores() -> int:
    """Cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def physical_memory() -> int | None:
    """Bytes of memory that the machine has, in use or not; None where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not POSIX, or a name that it does not know
        return None


def describe(runtime: Runtime, threads: int = 1) -> str:
    """One line such as "AMD EPYC, 2 cores, AVX512-VNNI, AVX512-BF16, onnxruntime 1.31.1, 1 thread".

    Latencies measured under different descriptions are not comparable. Threads are those of one session.
    """
    try:
        processor = parse_cpuinfo(CPUINFO.read_text(encoding="utf-8", errors="replace"))
    except OSError:  # not Linux
        processor = Processor(name="", flags=frozenset())
    name = processor.name or platform.processor() or platform.machine() or "unknown processor"
    parts = [
        " ".join(name.split()),
        _count(available_cores(), "core"),
        *processor.instruction_sets,
        f"{runtime.name} {runtime.version}",
        _count(threads, "thread"),
    ]
    return ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

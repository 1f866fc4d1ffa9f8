"""Descriptions of processors, from real /proc/cpuinfo texts and of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from objectives import hardware
from objectives.hardware import available_cores, describe, parse_cpuinfo
from objectives.runtimes.onnxruntime import OnnxRuntime

SERVER = """\
processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC
flags\t\t: fpu sse2 avx avx2 fma avx512f avx512bw avx_vnni avx512_bf16 avx512_vnni

processor\t: 1
model name\t: Other
flags\t\t: fpu
"""
XEON = "model name : Intel(R) Xeon(R) Platinum\nflags : avx2 avx512f avx512_vnni amx_bf16 amx_tile amx_int8\n"
OLD = "model name : Intel(R) Core(TM) i5-4460\nflags : sse4_2 avx avx2\n"
ARM = "processor : 0\nFeatures : fp asimd asimddp i8mm bf16 sve\nCPU part : 0xd4f\n"


@pytest.mark.parametrize(
    ("text", "name", "sets"),
    [
        (SERVER, "AMD EPYC", ("AVX512-VNNI", "AVX512-BF16")),
        (XEON, "Intel(R) Xeon(R) Platinum", ("AVX512-VNNI", "AMX-INT8", "AMX-BF16")),
        (OLD, "Intel(R) Core(TM) i5-4460", ("AVX2",)),
        (ARM, "", ("DOTPROD", "I8MM", "BF16", "SVE")),
        ("flags : avx2 avx_vnni", "", ("AVX2", "AVX-VNNI")),
        ("", "", ()),
        ("no colon here\n\x00\n", "", ()),
    ],
)
def test_parsing(text: str, name: str, sets: tuple[str, ...]) -> None:
    processor = parse_cpuinfo(text)
    assert processor.name == name
    assert processor.instruction_sets == sets


def test_one_line_names_processor_runtime_and_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(SERVER)
    monkeypatch.setattr(hardware, "CPUINFO", cpuinfo)
    runtime = OnnxRuntime()
    cores = f"{available_cores()} core{'s' if available_cores() > 1 else ''}"
    expected = f"AMD EPYC, {cores}, AVX512-VNNI, AVX512-BF16, onnxruntime {runtime.version}, 1 thread"
    assert describe(runtime) == expected
    assert describe(runtime, threads=4).endswith(", 4 threads")


def test_machine_without_cpuinfo_still_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "CPUINFO", tmp_path / "absent")
    line = describe(OnnxRuntime())
    assert line.split(", ")[0]
    assert "onnxruntime" in line


def test_this_machine() -> None:
    line = describe(OnnxRuntime())
    assert "\n" not in line
    assert line == describe(OnnxRuntime())
    assert available_cores() >= 1

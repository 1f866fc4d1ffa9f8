"""`python -m benchmarks.coding [MODEL ...]`: what entropy coding makes of the codes of `model.slim`.

Beside what general compressors do, how soon a file is read, and how well its size is predicted. Writes
benchmarks/results/coding.json and coding.md.
"""

from __future__ import annotations

import json
import lzma
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

import slimfront
from benchmarks.material import RESULTS, config
from benchmarks.quick import Silent
from learners.export.packing import pack_candidate
from learners.library.library import Library
from searcher.stages.prepare import open_library, prepare
from storage.codes import code_counts, coded_bytes, pack_codes
from storage.home import Home
from storage.rans import Table, decode, encode
from storage.records.space import FLOAT_BITS, Level
from storage.slim import InputContract, PackedLayer, pack

MODELS = ("resnet20", "resnet56")
WIDTHS = (2, 3, 4, 6, 8)
PLANS = 60  # random ones, of channels and widths
READS = 9  # of which the median is taken


@dataclass(frozen=True)
class Coded:
    """The codes of a model with one width throughout, in bytes, their tables included; and CPU seconds."""

    bits: int
    weights: int
    plain: int  # so many bits each
    rans: int
    lzma: int  # of the plain ones, preset 9
    zlib: int  # of a byte for each code, level 9
    file: int  # all of model.slim
    rans_seconds: float  # to decode
    lzma_seconds: float
    load_seconds: float  # slimfront.load: reading, and opening a session


@dataclass(frozen=True)
class Prediction:
    """Predicted sizes of random plans in which no layer stays in float32."""

    plans: int
    median_error: float  # share of the file
    largest_error: float


def coded(library: Library, bits: int, folder: Path) -> Coded:
    """Measures a uniform plan."""
    data, layers = _packed(library, library.space.uniform_bits(bits))
    path = folder / "model.slim"
    path.write_bytes(data)
    parts, raw = [], []
    for layer in layers:
        counts = code_counts(layer.codes, layer.bits)
        if coded_bytes(counts) is not None:
            parts.append((layer.codes.reshape(-1), Table.of(counts)))
        else:
            raw.append(pack_codes(layer.codes, layer.bits))
    stream = encode(parts)
    plain = [pack_codes(layer.codes, layer.bits) for layer in layers]
    compressed = lzma.compress(b"".join(plain), preset=9)
    return Coded(
        bits=bits,
        weights=sum(layer.codes.size for layer in layers),
        plain=sum(map(len, plain)),
        rans=len(stream) + sum(len(table.stored) for _, table in parts) + sum(map(len, raw)),
        lzma=len(compressed),
        zlib=len(zlib.compress(b"".join(layer.codes.tobytes() for layer in layers), 9)),
        file=len(data),
        rans_seconds=_seconds(lambda: decode(stream, [(len(codes), table) for codes, table in parts])),
        lzma_seconds=_seconds(lambda: lzma.decompress(compressed)),
        load_seconds=_seconds(lambda: slimfront.load(path, threads=1)),
    )


def predicted(library: Library) -> Prediction:
    """Compares predicted sizes with files."""
    space = library.space
    draws = np.random.default_rng(0)
    errors = []
    for _ in range(PLANS):
        levels = [[place for place, level in enumerate(site.levels) if _is_small(level)] for site in space.sites]
        plan = tuple(int(draws.choice(places)) for places in levels)
        size = len(_packed(library, plan)[0])
        errors.append(abs(space.size_bytes(plan) - size) / size)
    return Prediction(PLANS, median(errors), max(errors))


def _is_small(level: Level) -> bool:
    """Whether it leaves no weights in float32."""
    return level.channels is not None or level.bits != FLOAT_BITS


def _packed(library: Library, plan: Sequence[int]) -> tuple[bytes, tuple[PackedLayer, ...]]:
    contract = InputContract(library.analysis.input_shape, (0.0,), (1.0,))
    model = pack_candidate(library.analysis, library.choose(plan, library.id), library.ranges, contract)
    return pack(model), model.layers


def _seconds(work: Callable[[], object]) -> float:
    """Median CPU seconds."""
    taken = []
    for _ in range(READS):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return median(taken)


HEAD = (
    "bits",
    "weights",
    "plain",
    "rANS",
    "bits a weight",
    "lzma",
    "zlib",
    "whole file",
    "decoded in, s",
    "by lzma, s",
    "loaded in, s",
)


def _row(row: Coded) -> str:
    cells = (
        f"{row.bits}",
        f"{row.weights:,}",
        f"{row.plain:,}",
        f"{row.rans:,} ({row.rans / row.plain:.3f})",
        f"{8 * row.rans / row.weights:.2f}",
        f"{row.lzma:,}",
        f"{row.zlib:,}",
        f"{row.file:,}",
        f"{row.rans_seconds:.3f}",
        f"{row.lzma_seconds:.3f}",
        f"{row.load_seconds:.3f}",
    )
    return f"| {' | '.join(cells)} |"


def main(models: Sequence[str]) -> None:
    """Measures and writes."""
    date = time.strftime("%Y-%m-%d")
    document: dict[str, object] = {"command": "python -m benchmarks.coding", "date": date}
    lines = ["# Entropy coding", "", f"`python -m benchmarks.coding`, {date}."]
    lines += ["Bytes of the codes of models with one width throughout; CPU seconds of one thread.", ""]
    for model in models or MODELS:
        with tempfile.TemporaryDirectory() as folder:
            home = Home(Path(folder))
            home.prepare()
            prepared = prepare(config(model, f"{model}-coding", "size=10x drop<=1"), Silent())
            library = open_library(prepared, home, lambda *_: None)
            rows = [coded(library, bits, Path(folder)) for bits in WIDTHS]
            errors = predicted(library)
        document[model] = {"rows": [asdict(row) for row in rows], "predicted": asdict(errors)}
        lines += [f"## {model}", "", f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}", *map(_row, rows), ""]
        lines += [
            f"Predicted sizes of {errors.plans} random plans without layers in float32: median error "
            f"{100 * errors.median_error:.2f} %, largest {100 * errors.largest_error:.2f} %.",
            "",
        ]
    (RESULTS / "coding.json").write_text(json.dumps(document, indent=1) + "\n")
    (RESULTS / "coding.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main(sys.argv[1:])

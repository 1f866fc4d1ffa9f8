"""`python -m benchmarks [MODEL ...]`: measures, prints, and writes benchmarks/results/MODEL.json and README.md."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.baselines import rounded
from benchmarks.material import REPOSITORY, RESULTS, config
from benchmarks.quick import measure
from benchmarks.report import write_readme, write_report
from benchmarks.study import at_size, largest_size_error, recomputed, run, write_study

MODELS = ("resnet20", "resnet56")
PLANS = 100
# The sizes at which Sony's Model Compression Toolkit was run on the same models and val split.
RATIOS = (8, 10)
ROUNDED_WIDTHS = (3, 4)


def main(models: list[str]) -> None:
    """Runs everything for each model."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    for model in models or MODELS:
        figures = benchmark(model)
        (RESULTS / f"{model}.json").write_text(json.dumps(figures, indent=1) + "\n")
    write_report(RESULTS, MODELS)
    write_readme(REPOSITORY / "README.md", RESULTS, MODELS)
    print((RESULTS / "README.md").read_text())


def benchmark(model: str) -> dict[str, Any]:
    """All figures of one model."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        print(f"{model}: library and quick scores", file=sys.stderr)
        quick = measure(model, folder / "quick-home")
        home = folder / "home"
        print(f"{model}: a study of {PLANS} plans", file=sys.stderr)
        name = f"{model}-8x"
        study = run(write_study(config(model, name, "size=8x drop<=1"), folder, PLANS), name, home)
        files = recomputed(home, name, study.front)
        sizes = {"8": at_size(home, name, RATIOS[0])}
        for ratio in RATIOS[1:]:
            print(f"{model}: a study for {ratio} times smaller", file=sys.stderr)
            other = f"{model}-{ratio}x"
            study_file = write_study(config(model, other, f"size={ratio}x drop<=1"), folder, PLANS)
            run(study_file, other, home)
            sizes[str(ratio)] = at_size(home, other, ratio)
        return {
            "model": model,
            "command": f"python -m benchmarks {model}",
            "date": time.strftime("%Y-%m-%d"),
            "hardware": study.front["hardware"],
            "quick": {**asdict(quick), "over_rounding": quick.over_rounding, "over_gptq": quick.over_gptq},
            "study": {"plans": PLANS, "wall_seconds": study.wall_seconds, "cpu_seconds": study.cpu_seconds},
            "front": study.front,
            "at_size": {ratio: asdict(found) for ratio, found in sizes.items()},
            "rounded": {str(bits): rounded(model, home, bits) for bits in ROUNDED_WIDTHS},
            "size_error": largest_size_error(home, name),
            "recomputed": files,
        }


if __name__ == "__main__":
    main(sys.argv[1:])

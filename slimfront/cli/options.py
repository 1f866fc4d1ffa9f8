"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

StudyFile: TypeAlias = Annotated[Path, typer.Argument(metavar="FILE", help="The study file (TOML).")]
StudyName: TypeAlias = Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")]
Reference: TypeAlias = Annotated[str, typer.Argument(metavar="STUDY/N", help="A candidate, such as digits/17.")]
StoreUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        envvar="SLIMFRONT_STORE",
        help="Another database than the one in SLIMFRONT_HOME, a URL of sqlite:/// or postgresql://.",
    ),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        envvar="SLIMFRONT_WORKERS",
        help="Processes on Ray that do the work; as many as there are cores, none with a GPU, if nothing is said.",
    ),
]
TrustCode: TypeAlias = Annotated[
    bool, typer.Option("--trust-code", help="Run code that was submitted with a study: factories and metrics.")
]
RayAddress: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="ADDRESS",
        envvar="SLIMFRONT_RAY_ADDRESS",
        help="A Ray cluster that runs already, such as host:6379, in place of one of this command's own.",
    ),
]
Gpus: TypeAlias = Annotated[
    float,
    typer.Option(
        "--gpus-per-worker",
        metavar="N",
        min=0.0,
        envvar="SLIMFRONT_GPUS_PER_WORKER",
        help="GPUs that Ray gives to each worker; 0.5 lets two share one.",
    ),
]
Inline: TypeAlias = Annotated[
    bool,
    typer.Option("--inline", envvar="SLIMFRONT_INLINE", help="Build, score and confirm in this process, without Ray."),
]

"""How well a study's latency table predicts whole models. The fields of `slimfront doctor --latency STUDY --json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from dashboards.study import read_study
from objectives.hardware import describe
from objectives.prediction import PredictionError
from objectives.runtimes.table import runtime
from searcher.latency_check import UNSEEN, CheckedPlan, check_table
from searcher.progress import Progress
from searcher.trust import check_trusted
from slimfront.export.files import open_study_library
from storage.errors import FixInputError
from storage.home import Home
from storage.records.latency import LatencyTable
from storage.store import StudyStore

STAGE = "latency check"


@dataclass(frozen=True)
class LatencyReport:
    """Random plans, predicted and measured on this machine."""

    study: str
    table: str  # the machine and runtime that the table is of
    hardware: str  # this machine
    errors: dict[str, PredictionError]  # on the runtime's grid of channels, on a finer one, and on all plans
    plans: tuple[CheckedPlan, ...]

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return asdict(self)


def latency_report(store: StudyStore, home: Home, name: str, progress: Progress, trusts_code: bool) -> LatencyReport:
    """Measures random plans of a study's model. FixInputError if the study has no latency table, or code that is not
    trusted."""
    data = read_study(store, name)
    check_trusted(data.study, trusts_code)
    if data.analysis is None:
        raise FixInputError(f"study {name} has no latency table yet: `slimfront resume {name}` first")
    if data.analysis.latency_json is None:
        raise FixInputError(
            f"study {name} has no latency table, as its notes say (`slimfront front {name}`): its files are measured, "
            "not predicted; `slimfront measure` measures them again"
        )
    progress.update(STAGE, 0, 2, "opening the level library")
    library = open_study_library(data, home, progress)
    progress.update(STAGE, 1, 2, "measuring random plans")
    table = LatencyTable.from_json(data.analysis.latency_json)
    config = data.config.runtime
    hardware = describe(runtime(config.name), config.threads)
    seed = (UNSEEN, data.config.seed)
    check = check_table(library, table, config, seed, quiet_ms=table.quiet_on(hardware))
    progress.update(STAGE, 2, 2)
    return LatencyReport(name, table.hardware, hardware, check.errors, check.plans)

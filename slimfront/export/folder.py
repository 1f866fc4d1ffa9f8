"""Writes a candidate's files into a folder, all of them or none."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dashboards.candidate import candidate_view
from dashboards.study import read_study
from searcher.progress import Progress
from searcher.trust import check_trusted
from slimfront.export.files import make_files
from slimfront.export.plan import KNOWN_FORMATS, plan_json
from slimfront.export.readme import readme
from storage.errors import FixInputError
from storage.files import atomic_folder, describe_os_error
from storage.home import Home
from storage.store import StudyStore

PLAN_FILE = "plan.json"
README_FILE = "README.md"
NAMES = frozenset({"model.slim", "model.onnx", "model.safetensors", PLAN_FILE, README_FILE})


@dataclass(frozen=True)
class ExportedFolder:
    """What has been written."""

    folder: Path
    files: tuple[str, ...]
    verification: str  # one sentence
    replaced: bool  # an earlier export lay there


def export_candidate(
    store: StudyStore, home: Home, study: str, number: int, folder: Path, progress: Progress, trusts_code: bool = False
) -> ExportedFolder:
    """Exports a confirmed candidate into `folder`, which is new, empty, or holds an earlier export.

    Raises NotFoundError for a study or candidate that is not there, FixInputError for a folder with other files, a
    candidate without measured files or code that is not trusted, GiveUpError if the files are not those that were
    measured.
    """
    folder = folder.expanduser().resolve()
    replaced = check_folder(folder)
    data = read_study(store, study)
    check_trusted(data.study, trusts_code)
    view = candidate_view(data, number)
    if number not in data.files:
        raise FixInputError(
            f"{study}/{number} has no measured file, as it was not confirmed: choose one that "
            f"`slimfront front {study}` shows"
        )
    made = make_files(data, data.trials[number], home, progress)
    files = dict(made.files)
    files[PLAN_FILE] = plan_json(data, view, made.workload, made.verification, made.files)
    files[README_FILE] = readme(data, view, made)
    try:
        with atomic_folder(folder) as temporary:
            for name, content in files.items():
                (temporary / name).write_bytes(content)
    except OSError as error:
        raise describe_os_error(error, folder) from error
    finally:
        with suppress(OSError):  # the folder's lock is beside it, where the user did not ask for one
            (folder.parent / f".{folder.name}.lock").unlink()
    return ExportedFolder(folder, tuple(files), made.verification, replaced)


def check_folder(folder: Path) -> bool:
    """Whether an earlier export lies there. FixInputError if the folder cannot be replaced."""
    if folder == Path.cwd() or folder in Path.cwd().parents:
        raise FixInputError(f"{folder} is the current folder or holds it: export into a folder below, such as -o out")
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise FixInputError(f"{folder} is a file: export into a folder")
    try:
        names = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise describe_os_error(error, folder) from error
    if not names:
        return False
    if not names <= NAMES or not _is_export(folder / PLAN_FILE):
        raise FixInputError(f"{folder} holds other files: choose a new folder, or empty this one")
    return True


def _is_export(plan: Path) -> bool:
    try:
        document = json.loads(plan.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("format") in KNOWN_FORMATS

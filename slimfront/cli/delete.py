"""`slimfront delete`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from slimfront.cli.options import StoreUrl, StudyName
from slimfront.cli.output import note
from slimfront.cli.session import opened

if TYPE_CHECKING:
    from storage.home import Home
    from storage.store import StudyStore


def delete(
    study: StudyName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    store: StoreUrl = None,
) -> None:
    """Remove a study with everything recorded of it and its files; exported folders stay."""
    with opened(store) as (home, studies):
        from storage.errors import FixInputError

        studies.study(study)
        if not yes:
            if not sys.stdin.isatty():
                raise FixInputError(f"deleting study {study} needs a yes, and this is no terminal: add --yes")
            typer.confirm(f"Delete study {study} and its files?", abort=True, err=True)
        remove(home, studies, study)
    note(f"study {study} is deleted")


def remove(home: Home, store: StudyStore, study: str) -> None:
    """Removes files and rows. StoreLockedError if a process is running the study."""
    from slimfront.captured_files import remove_captured
    from storage.artifacts import ArtifactStore
    from storage.files import file_lock
    from storage.leases import check_free
    from storage.liveness import release_dead

    release_dead(store, home, store.study(study))
    check_free(store.study(study), store.now())
    with file_lock(home.locks / f"{study}.lock", wait=False, holds=f"study {study}"):
        config = store.study(study).config_json
        store.delete_study(study)  # refused where somebody has claimed it meanwhile
        # Killed before this, files are left that no study of this name will find: `gc` removes them.
        ArtifactStore(home.artifacts).delete_study(study)
        remove_captured(home, store, config)

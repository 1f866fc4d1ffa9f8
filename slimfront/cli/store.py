"""`slimfront store`: what is done to a database rather than to a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from slimfront.cli.codes import FAILED
from slimfront.cli.options import StoreUrl
from slimfront.cli.output import note, out
from slimfront.cli.session import opened, opened_at

if TYPE_CHECKING:
    from storage.home import Home
    from storage.sql.store import SqlStore
    from storage.store import StudyStore

app = typer.Typer(help="Check, upgrade or copy a database of studies.", no_args_is_help=True)

Url = Annotated[str, typer.Argument(help="Such as sqlite:////path/studies.db or postgresql://user@host/database.")]


@app.command()
def check(store: StoreUrl = None) -> None:
    """Read every study of the database and say what is wrong with it."""
    from storage.check import DAMAGES, check_study
    from storage.home import shown

    with opened(store) as (home, studies):
        try:
            names = [study.name for study in studies.studies()]
        except DAMAGES as error:
            names, problems = [], [f"the list of studies cannot be read ({type(error).__name__}: {error})"]
        else:
            problems = [line for name in names for line in check_study(studies, name)]
    for line in problems:
        out().print(line, markup=False, highlight=False, soft_wrap=True)
    note(f"{shown(home.database_url)}: {len(names)} studies read, {len(problems)} problems")
    if problems:
        raise typer.Exit(FAILED)


@app.command()
def upgrade(store: StoreUrl = None) -> None:
    """Bring the database to this version's schema, as every command does when it opens it."""
    from storage.home import shown
    from storage.sql.tables import HEAD

    with opened(store) as (home, _):
        note(f"{shown(home.database_url)} is at revision {HEAD}")


@app.command()
def copy(source: Url, target: Url) -> None:
    """Copy all studies, with their files, into another database; those that run are copied as they are now."""
    from storage.errors import FixInputError
    from storage.home import Home, shown
    from storage.sql.copy import copy_studies

    _check_there(source)
    homes = Home.from_environment(source), Home.from_environment(target)
    if homes[0].files is not None:
        raise FixInputError("SLIMFRONT_FILES is the folder of one database: unset it to copy from one to another")
    if homes[0].artifacts == homes[1].artifacts:
        raise FixInputError(f"{shown(source)} and {shown(target)} are one database: name another one to copy into")
    with opened_at(homes[0]) as from_store, opened_at(homes[1]) as to_store:
        stores = _in_sql(from_store, source), _in_sql(to_store, target)
        names = copy_studies(*stores, lambda name: _copy_files(*homes, name, from_store.study(name).config_json))
    note(f"{len(names)} studies are copied from {shown(source)} to {shown(target)}")


def _check_there(url: str) -> None:
    """FixInputError if it is a file that is not there: opening would make it."""
    from storage.errors import FixInputError
    from storage.home import SQLITE_SCHEME
    from storage.sql.engine import path_of

    if url.startswith(SQLITE_SCHEME) and not path_of(url).exists():
        raise FixInputError(f"there is no database {path_of(url)}: name the one to copy from")


def _in_sql(store: StudyStore, url: str) -> SqlStore:
    from storage.errors import FixInputError
    from storage.home import shown
    from storage.sql.store import SqlStore

    if not isinstance(store, SqlStore):
        raise FixInputError(f"{shown(url)} is no database on disk: name sqlite:///... or postgresql://...")
    return store


def _copy_files(source: Home, target: Home, study: str, config_json: str) -> None:
    """The confirmed files, and what was captured for it."""
    import shutil

    from storage.artifacts import ArtifactStore
    from storage.files import describe_os_error

    own, copied = (ArtifactStore(home.artifacts) for home in (source, target))
    copied.delete_study(study)  # of an earlier one of that name
    try:
        for folder in sorted(own.study(study)):
            with copied.write(study, folder.name) as place:
                for file in folder.iterdir():
                    shutil.copyfile(file, place / file.name)
        for path in source.captured.glob("*"):
            if path.name in config_json and not (target.captured / path.name).exists():
                target.captured.mkdir(parents=True, exist_ok=True)
                partial = target.captured / f".{path.name}.tmp"
                if path.is_dir():
                    shutil.rmtree(partial, ignore_errors=True)
                    shutil.copytree(path, partial)
                else:
                    shutil.copyfile(path, partial)
                partial.rename(target.captured / path.name)  # its name says what it holds: whole, or not there
    except OSError as error:
        raise describe_os_error(error, copied.root) from error

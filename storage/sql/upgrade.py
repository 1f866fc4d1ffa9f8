"""Bringing a database to the schema of this version, and telling which it has."""

from __future__ import annotations

from sqlalchemy import Connection, String, column, inspect, select, table

from storage.errors import FixInputError, StoreVersionError
from storage.sql.tables import HEAD, VERSION_TABLE

_MIGRATIONS = "storage.sql:migrations"  # found through the package, wherever it is installed


def revision_of(connection: Connection, place: str) -> str | None:
    """The revision of the schema, or None in an empty database. FixInputError if it is another program's."""
    names = inspect(connection).get_table_names()
    if VERSION_TABLE in names:
        query = select(column("version_num", String)).select_from(table(VERSION_TABLE))
        revision: str | None = connection.execute(query).scalar()
        return revision
    if names:
        raise FixInputError(
            f"{place} is the database of another program (it has a table {names[0]!r}): "
            "name another with --store, or move its tables away"
        )
    return None


def upgrade(connection: Connection, place: str) -> None:
    """Run the migrations that are missing in the open transaction of `connection`.

    It reads the revision again, so that of two processes that arrive together the second has nothing left to
    do. Foreign keys must not be enforced on `connection`: rebuilding a table would delete what refers to it.
    Raises StoreVersionError for a revision that this version does not know.
    """
    # alembic takes 0.2 s to import, and an up-to-date database does not need it
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    revision = revision_of(connection, place)
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", _MIGRATIONS)
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    if revision is not None and revision not in known:
        raise StoreVersionError(
            f"database {place} is at revision {revision}, written by a newer Slimfront; this one reads up to "
            f"{HEAD}: upgrade it with `pip install --upgrade slimfront`, or name another with --store"
        )
    command.upgrade(config, HEAD)

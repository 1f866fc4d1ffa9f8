"""`slimfront gc`."""

from __future__ import annotations

from typing import Annotated

import typer

from slimfront.cli.options import StoreUrl
from slimfront.cli.output import note, out, size
from slimfront.cli.session import opened


def gc(
    store: StoreUrl = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
) -> None:
    """Remove files that no study of the database needs, and what can be computed again."""
    with opened(store) as (home, studies):
        from slimfront.garbage import find_garbage, remove

        found = find_garbage(home, studies)
        for item in found:
            out().print(f"{size(item.size_bytes):>9}  {item.why}: {item.path}", markup=False, soft_wrap=True)
        freed = sum(item.size_bytes for item in found)
        if not dry_run:
            for item in found:
                remove(item)
    done = "would be removed" if dry_run else "are removed"
    note(f"{len(found)} files and folders, {size(freed)}, {done}")

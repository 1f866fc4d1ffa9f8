"""`slimfront doctor`."""

from __future__ import annotations

import typer

from slimfront.cli.codes import FAILED
from slimfront.cli.options import AsJson, StoreUrl
from slimfront.cli.output import out, print_json


def doctor(store: StoreUrl = None, json: AsJson = False) -> None:
    """Check the installation, the home folder, the database and what the machine is good at."""
    from slimfront.checks import examine

    checkup = examine(store)
    if json:
        print_json(checkup.to_dict())
    else:
        from rich.text import Text

        console = out()
        for check in checkup.checks:
            mark = Text("ok    " if check.ok else "BROKEN", style="green" if check.ok else "bold red")
            console.print(mark.append(f"  {check.name:<10} {check.detail}", style="none"), soft_wrap=True)
        found = [f"{name} {number}" for name, number in checkup.versions.items() if number is not None]
        console.print(Text(f"        versions   {', '.join(found)}", style="dim"), soft_wrap=True)
    if not checkup.ok:
        raise typer.Exit(FAILED)

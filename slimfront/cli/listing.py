"""`slimfront list`."""

from __future__ import annotations

from slimfront.cli.options import AsJson, StoreUrl
from slimfront.cli.output import duration, note, out, print_json
from slimfront.cli.session import opened


def list_studies(store: StoreUrl = None, json: AsJson = False) -> None:
    """List all studies, the oldest first."""
    with opened(store) as (home, studies):
        from dashboards.studies import study_lines

        lines = study_lines(studies, home)
    if json:
        print_json([line.to_dict() for line in lines])
        return
    if not lines:
        note("there is no study yet: `slimfront run FILE` starts one, `slimfront demo` shows how it goes")
        return
    from rich.table import Table

    table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    for title in ("study", "state", "rung", "target", "time", "created (UTC)"):
        table.add_column(title, justify="right" if title == "time" else "left", overflow="fold")
    for line in lines:
        wish = ", ".join(f"{key} {value}" for key, value in line.target.items())
        table.add_row(line.study, line.state, line.rung, wish, duration(line.seconds), line.created)
    out().print(table)

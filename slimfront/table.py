"""Rows of a front as text: the cells that the terminal, Python and notebooks show."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from dashboards.row import Row
from dashboards.units import milliseconds, size

COLUMNS = ("candidate", "accuracy", "drop (bound)", "size", "", "latency", "", "target")
UNKNOWN = "-"
QUICK_MARK = "~"  # before figures of the quick images
_LEFT = frozenset({0, len(COLUMNS) - 1})  # columns of words; numbers stand to the right
_GAP = "  "


def row_label(row: Row, name: str | None) -> str:
    """What stands first in a row: "17", "113 (from 63)" if it was trained, or "6 uniform w3" for a baseline."""
    if name is not None:  # which says it of a trained one
        return f"{row.candidate} {name}"
    return str(row.candidate) if row.parent is None else f"{row.candidate} (from {row.parent})"


def figure_cells(row: Row) -> list[str]:
    """The cells between the candidate and the verdict."""
    mark = QUICK_MARK if row.rung == "quick" else ""
    drop = UNKNOWN if row.drop is None or row.drop_upper is None else f"{row.drop:.2f} ({row.drop_upper:.2f})"
    return [
        f"{mark}{row.accuracy:.2f} %",
        drop,
        size(row.size_bytes),
        f"{row.size_ratio:.1f}x",
        UNKNOWN if row.latency_ms is None else milliseconds(row.latency_ms),
        UNKNOWN if row.speedup is None else f"{row.speedup:.2f}x",
    ]


def cells(label: str, row: Row) -> tuple[str, ...]:
    """One cell for each of COLUMNS."""
    return (label, *figure_cells(row), "met" if row.meets_target else "no")


def text_table(rows: Sequence[tuple[str, ...]]) -> str:
    """Aligned lines, the first with the names of the columns; no line break at the end."""
    whole = [COLUMNS, *rows]
    widths = [max(len(row[index]) for row in whole) for index in range(len(COLUMNS))]
    lines = (
        _GAP.join(cell.ljust(width) if index in _LEFT else cell.rjust(width) for index, cell, width in zipped)
        for zipped in (zip(range(len(widths)), row, widths, strict=True) for row in whole)
    )
    return "\n".join(line.rstrip() for line in lines)


def html_table(rows: Sequence[tuple[str, ...]]) -> str:
    """The table as HTML; names are escaped."""
    body = "".join(_html_row("td", row) for row in rows)
    return f"<table><thead>{_html_row('th', COLUMNS)}</thead><tbody>{body}</tbody></table>"


def _html_row(tag: str, row: Sequence[str]) -> str:
    sides = ("left" if index in _LEFT else "right" for index in range(len(row)))
    found = (f'<{tag} style="text-align:{side}">{escape(cell)}</{tag}>' for side, cell in zip(sides, row, strict=True))
    return f"<tr>{''.join(found)}</tr>"

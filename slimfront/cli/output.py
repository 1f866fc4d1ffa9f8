"""Data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from dashboards.units import count, duration, milliseconds, plural, size

if TYPE_CHECKING:  # rich takes a tenth of a second, and --json does without
    from rich.console import Console

__all__ = ["count", "duration", "milliseconds", "note", "out", "plural", "print_json", "size"]


def print_json(document: Any) -> None:
    """The document on stdout, ended by a line break."""
    print(json.dumps(document, indent=2, allow_nan=False))


def out() -> Console:
    """The console for data."""
    from rich.console import Console

    return Console(highlight=False)


def note(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)

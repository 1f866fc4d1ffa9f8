"""What goes into a page's script elements, so that nothing in it can end them or run."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup

PLOTLY_FILE = "plotly-cartesian.min.js.gz"
# In JSON only strings hold these letters, and there the escapes mean the same: no "</script>" or "<!--" is left.
ESCAPES = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class Plotly:
    """Plotly's JavaScript as a page carries it."""

    packed: str  # base64 of the gzipped source, a third of its size
    digest: str  # as a content-security policy names the source


@cache
def plotly() -> Plotly:
    """The cartesian bundle, which has all that the figures need."""
    content = (files("dashboards") / "assets" / PLOTLY_FILE).read_bytes()
    return Plotly(base64.b64encode(content).decode(), source_digest(gzip.decompress(content)))


def source_digest(source: bytes) -> str:
    """What a content-security policy calls a script of these bytes."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source).digest()).decode()}'"


def json_data(document: Any) -> Markup:
    """`document` as JSON for an element of type application/json. ValueError for NaN or infinity."""
    return script_text(json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False))


def script_text(text: str) -> Markup:
    """JSON text that may stand in a script element as it is."""
    return Markup(text.translate(ESCAPES))  # noqa: S704  (this is the escaping)

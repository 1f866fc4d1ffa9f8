"""The runtimes there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import cast

from objectives.runtimes.base import Runtime
from storage.errors import FixInputError

RUNTIMES: Mapping[str, str] = {
    "onnxruntime": "objectives.runtimes.onnxruntime:OnnxRuntime",
    "openvino": "objectives.runtimes.openvino:OpenVino",
}


def runtime(name: str) -> Runtime:
    """The runtime called `name`, imported when first asked for.

    Raises:
        FixInputError: there is none of that name; the known ones are listed.
    """
    if name not in RUNTIMES:
        raise FixInputError(f'[runtime] name = "{name}" is not known; write one of: {", ".join(sorted(RUNTIMES))}')
    make = cast("Callable[[], Runtime]", resolve_name(RUNTIMES[name]))
    return make()

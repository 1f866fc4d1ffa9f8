"""Strings of a study file: `${VAR}` and paths relative to the file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.records.config_errors import located, shown

_VARIABLE = re.compile(r"\$\{([^}]*)(\}?)")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def expand(raw: Any, environment: Mapping[str, str], source: str, path: tuple[str, ...] = ()) -> Any:
    """`raw` with `${VAR}` replaced in every string, keys excepted.

    FixInputError names the key and the variable that is not set or not well written.
    """
    if isinstance(raw, Mapping):
        return {key: expand(value, environment, source, (*path, str(key))) for key, value in raw.items()}
    if isinstance(raw, list | tuple):
        return [expand(value, environment, source, path) for value in raw]
    if not isinstance(raw, str):
        return raw

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if not match[2] or not _VARIABLE_NAME.fullmatch(name):
            raise located(source, path, f"= {shown(raw)}: write variables as ${{NAME}}")
        if name not in environment:
            raise located(source, path, f"= {shown(raw)}: the environment variable {name} is not set; export it")
        return environment[name]

    text = _VARIABLE.sub(value, raw)
    if "\0" in text:  # no path may hold one, and the system's own message names no key
        raise located(source, path, f"= {shown(raw)} holds a NUL character; remove it")
    return text


def absolute_path(text: str, folder: Path) -> str:
    """`text` as an absolute path, relative to `folder`; `~` is the home folder."""
    return os.path.abspath(os.path.join(folder, os.path.expanduser(text)))


def absolute_callable(text: str, folder: Path) -> str:
    """ "nets.py:resnet20" with the file's path absolute; "package.module:name" and plain names stay."""
    file, colon, name = text.rpartition(":")
    return f"{absolute_path(file, folder)}:{name}" if colon and is_python_file(file) else text


def is_python_file(text: str) -> bool:
    """Whether the left side of "file.py:name" is a file and not a module."""
    return text.endswith(".py")

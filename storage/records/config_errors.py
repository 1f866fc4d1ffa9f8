"""Turns what is wrong with a study file into one line: file, key, what was given, what is legal."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from storage.errors import FixInputError

PROBLEM = "slimfront_problem"  # pydantic error type of `problem`
UNKNOWN_KEY = "slimfront_unknown_key"  # pydantic error type of `unknown_key`
CLOSE_ENOUGH = 0.5  # difflib's ratio; "onnx" still finds "onnxruntime"
VALUE_LENGTH = 60  # characters of a given value that are shown; enough to recognise it, and it stays one line

KnownKeys = Mapping[tuple[str, ...], Sequence[str]]  # table's key path -> the keys it may hold


def problem(path: tuple[str, ...], text: str) -> PydanticCustomError:
    """A validator's error about the key at `path` (below the validated table), said in `text`."""
    return PydanticCustomError(PROBLEM, "{text}", {"path": path, "text": text})


def unknown_key(key: str) -> PydanticCustomError:
    """A validator's error about a key that its table does not have."""
    return PydanticCustomError(UNKNOWN_KEY, "unknown key", {"path": (key,), "text": ""})


def one_line(text: str) -> str:
    """`text` with every run of white space, line breaks included, as one blank."""
    return " ".join(text.split())


def suggestion(name: str, known: Sequence[str], label: str = "Known") -> str:
    """ "did you mean "allocation"? Known: allocation, tpe", without the question where nothing is close."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=CLOSE_ENOUGH)
    question = f'did you mean "{close[0]}"? ' if close else ""
    return f"{question}{label}: {', '.join(known)}"


def shown(value: object) -> str:
    """`value` about as TOML would write it, shortened."""
    text = one_line(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= VALUE_LENGTH else text[: VALUE_LENGTH - 3] + "..."


def located(source: str, path: Sequence[str], text: str) -> FixInputError:
    """The error about the key at `path` of `source`, such as `study.toml: [search] sampler <text>`."""
    table, keys = path[:-1], path[-1:]
    where = " ".join(([f"[{'.'.join(table)}]"] if table else []) + list(keys))
    return FixInputError(one_line(f"{source}: {where} {text}" if where else f"{source}: {text}"))


def unknown_name(source: str, path: Sequence[str], given: str, known: Sequence[str]) -> FixInputError:
    """The error about a name that no table has."""
    return located(source, path, f"= {shown(given)} is not known; {suggestion(given, known)}")


def explain(source: str, error: ValidationError, raw: object, known_keys: KnownKeys) -> FixInputError:
    """The first problem of `raw` as one line. A misspelt key comes before the missing one that it causes."""
    details = error.errors(include_url=False)
    first = next((item for item in details if item["type"] in ("extra_forbidden", UNKNOWN_KEY)), details[0])
    kind, context = first["type"], first.get("ctx", {})
    path = tuple(part for part in first["loc"] if isinstance(part, str)) + tuple(context.get("path", ()))
    if path in known_keys:  # about a whole table
        return _explain_table(source, first, path, known_keys[path])
    if kind in ("extra_forbidden", UNKNOWN_KEY):
        known = known_keys.get(path[:-1], ())
        return located(source, path, f"is not a known key; {suggestion(path[-1], known)}")
    if kind == "missing":
        return located(source, path, "is missing: it has no default")
    if kind == "literal_error":
        return unknown_name(source, path, str(_at(raw, path)), re.findall(r"'([^']*)'", str(context["expected"])))
    if kind == PROBLEM:
        return located(source, path, str(context["text"]))
    place = next((f"item {part + 1} " for part in first["loc"] if isinstance(part, int)), "")
    return located(source, path, f"= {shown(_at(raw, path))}: {place}{_statement(first)}")


def _explain_table(source: str, detail: ErrorDetails, path: tuple[str, ...], keys: Sequence[str]) -> FixInputError:
    name = f"[{'.'.join(path)}] " if path else ""
    if detail["type"] == PROBLEM:
        text = detail["ctx"]["text"]
    elif detail["type"] == "json_invalid":
        text = detail["msg"]
    else:
        fault = "is missing" if detail["type"] == "missing" else "must be a table"
        text = f"{fault}; it holds {', '.join(keys)}"
    return FixInputError(one_line(f"{source}: {name}{text}"))


def _statement(detail: ErrorDetails) -> str:
    if detail["type"] in ("too_short", "string_too_short"):
        return "must not be empty"
    message = detail["msg"].replace("Input should", "must").replace("must be a valid", "must be a")
    return message.replace("must be a integer", "must be an integer").replace("a tuple", "a list in brackets")


def _at(raw: object, path: Sequence[str]) -> Any:
    """What `raw` holds at `path`; None where it holds nothing."""
    for key in path:
        raw = raw.get(key) if isinstance(raw, Mapping) else None
    return raw

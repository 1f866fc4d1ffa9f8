"""Reads the pages of the documentation, and from the code what they have to name."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import typer

from slimfront.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PACKAGES = ("storage", "objectives", "learners", "searcher", "dashboards", "slimfront")
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "examples" / "README.md", *DOCS.rglob("*.md")])
EXAMPLES = sorted((ROOT / "examples").rglob("*.toml"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#+) +(.+)$", re.MULTILINE)
ENTRY = re.compile(r"[a-z_][\w.]*:[A-Za-z_]\w*")  # of an extension table


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def reference(name: str) -> str:
    return text_of(DOCS / "reference" / f"{name}.md")


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", text_of(page))


def blocks(page: Path, *languages: str) -> list[str]:
    return [body for language, body in FENCE.findall(text_of(page)) if language in languages]


def section(text: str, title: str) -> str:
    """What stands between the heading and the next one of any level."""
    headings = list(HEADING.finditer(text))
    for index, found in enumerate(headings):
        if found[2].strip("`") == title:
            return text[found.end() : headings[index + 1].start() if index + 1 < len(headings) else len(text)]
    raise AssertionError(f"there is no section {title!r}")


def table(text: str) -> dict[str, list[str]]:
    """Rows of all tables by each name in backticks in their first cell; the cells without the first."""
    rows: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("|"):
            first, *rest = [cell.strip() for cell in line.strip("|").split("|")]
            rows.update(dict.fromkeys(CODE.findall(first), rest))
    return rows


def relative(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def commands() -> Mapping[str, Any]:
    """Commands by name, as the command-line library has them; of those in groups both words."""
    group: Any = typer.main.get_command(app)
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        if command.hidden:  # for other processes of ours
            continue
        inner = getattr(command, "commands", None)
        found |= {name: command} if inner is None else {f"{name} {one}": inner[one] for one in inner}
    return found


def options(name: str) -> dict[str, bool]:
    """Options of a command, short ones too: whether each takes a value."""
    found = {"--help": False, "-h": False}
    for parameter in commands()[name].params:
        if parameter.param_type_name == "option":
            found.update(dict.fromkeys((*parameter.opts, *parameter.secondary_opts), not parameter.is_flag))
    return found


def problem(words: list[str]) -> str | None:
    """What is wrong with the words behind `slimfront`, if anything."""
    if not words or words[0] in ("--version", "--help", "-h"):
        return None
    if " ".join(words[:2]) in commands():
        words = [" ".join(words[:2]), *words[2:]]
    if words[0] not in commands():
        return f"there is no command {words[0]}"
    known, rest, given = options(words[0]), words[1:], 0
    while rest:
        word, *rest = rest
        if not word.startswith("-"):
            given += 1
        elif word.partition("=")[0] not in known:
            return f"{words[0]} has no option {word}"
        elif known[word.partition("=")[0]] and "=" not in word:
            if not rest:
                return f"{word} needs a value"
            rest = rest[1:]
    most = sum(1 for item in commands()[words[0]].params if item.param_type_name == "argument")
    return f"{words[0]} takes {most} arguments" if given > most else None


def command_lines(page: Path) -> Iterator[list[str]]:
    """Every `slimfront ...` of a page: in shell blocks, indented lines and between backticks."""
    shell = [line for block in blocks(page, "sh", "console") for line in block.splitlines()]
    indented = [line.strip() for line in prose(page).splitlines() if line.startswith("    slimfront ")]
    inline = [" ".join(code.split()) for code in CODE.findall(prose(page)) if code.startswith("slimfront ")]
    for line in (*shell, *indented, *inline):
        words = shlex.split(line, comments=True)
        if "slimfront" in words:
            after = words[words.index("slimfront") + 1 :]
            yield after[: next((i for i, word in enumerate(after) if word in (";;", ";", "|", "&&")), len(after))]


def constant(node: ast.expr | None) -> str:
    """The text of a string constant; "" for any other expression."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def extension_tables() -> dict[str, tuple[str, set[str]]]:
    """Name of every table from names to "package.module:attribute" in the code -> its file and its keys."""
    found = {}
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Assign | ast.AnnAssign):
                continue
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            value = node.value
            if isinstance(value, ast.Call) and value.args:  # MappingProxyType({...})
                value = value.args[0]
            if not isinstance(target, ast.Name) or not isinstance(value, ast.Dict) or not value.values:
                continue
            if all(ENTRY.fullmatch(constant(item)) for item in value.values):
                found[target.id] = (path.relative_to(ROOT).as_posix(), set(map(constant, value.keys)))
    return found


def anchor(heading: str) -> str:
    """The fragment that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower().replace("`", "")).replace(" ", "-")

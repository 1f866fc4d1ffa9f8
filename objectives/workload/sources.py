"""Which of the user's files a factory is made of: a library must not survive an edit of any of them."""

from __future__ import annotations

import hashlib
import sys
from types import ModuleType

from objectives.workload.factory import UserCallable


def sources_digest(factory: UserCallable) -> bytes:
    """SHA-256 over the contents of the user's files that `factory` reaches, and the name it goes by.

    They are the factory's own file and, over the global names of each, those of the same folder (or package)
    that it imports. Paths do not enter: the same files elsewhere give the same digest.
    """
    digest = hashlib.sha256(factory.spec.rpartition(":")[2].encode())
    for content in sorted(_contents(factory)):
        digest.update(content)
    return digest.digest()


def _contents(factory: UserCallable) -> list[bytes]:
    seen: dict[str, bytes] = {}
    stack = [factory.module]
    visited: set[int] = set()
    while stack:
        module = stack.pop()
        file = getattr(module, "__file__", None)
        if id(module) in visited or not isinstance(file, str) or not factory.owns(file):
            continue
        visited.add(id(module))
        with open(file, "rb") as stream:
            seen[file] = hashlib.sha256(stream.read()).digest()
        for value in list(vars(module).values()):
            # `from ops import relu` binds only the function: its module is found by name.
            found = value if isinstance(value, ModuleType) else sys.modules.get(_module_name(value))
            if found is not None:
                stack.append(found)
    return list(seen.values())


def _module_name(value: object) -> str:
    name = getattr(value, "__module__", None)
    return name if isinstance(name, str) else ""

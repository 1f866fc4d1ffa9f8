"""What a running study tells whoever watches it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called by the controller on its own thread; must return at once."""

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """`done` of `total` steps of `stage` are finished; `note` says what is being done, or the best so far."""
        ...

    def event(self, text: str) -> None:
        """Something worth a line of its own has happened."""
        ...

    def check(self) -> None:
        """Raises KeyboardInterrupt once the user has asked for the end."""
        ...

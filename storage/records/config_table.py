"""What the tables of a study file have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_BATCH = 65_536

Text = Annotated[str, StringConstraints(min_length=1)]
Count = Annotated[int, Field(strict=True, ge=1)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Table(BaseModel):
    """One table: frozen, and with no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

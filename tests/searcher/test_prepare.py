"""What is said of a target that cannot be reached."""

from __future__ import annotations

from dataclasses import replace

import pytest

from searcher.stages.prepare import Prepared, check_reachable
from storage.errors import FixInputError
from storage.records.space import Protected
from storage.records.target import Target


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "ask for that or less"),
        (("a",), "; 1 layer is protected, a"),
        (("a", "b"), "; 2 layers are protected, a among them"),
    ],
)
def test_protected_layers_are_counted(prepared: Prepared, names: tuple[str, ...], said: str) -> None:
    space = replace(prepared.space, protected=tuple(Protected(name, "named in [search] keep") for name in names))
    config = prepared.config.model_copy(update={"target": Target.parse(size="1B")})
    with pytest.raises(FixInputError, match="cannot be reached") as caught:
        check_reachable(replace(prepared, config=config, space=space))
    assert str(caught.value).endswith(said)

"""What a page carries in its scripts."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plotly.offline import get_plotlyjs_version

from dashboards.report.embedding import json_data, plotly, source_digest

HEADER = "plotly.js (cartesian - minified) v"


def test_the_bundle_is_the_one_that_the_python_package_writes_for() -> None:
    source = gzip.decompress(base64.b64decode(plotly().packed))
    assert f"{HEADER}{get_plotlyjs_version()}" in source[:200].decode()
    assert plotly().digest == source_digest(source)


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_document_comes_back_and_holds_nothing_that_ends_a_script(document: object) -> None:
    text = json_data(document)
    assert json.loads(text) == document
    assert not set("<>&\u2028\u2029") & set(text)


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        json_data([float("nan")])

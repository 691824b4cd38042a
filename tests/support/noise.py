"""Any JSON, for the claim that a format has a verdict for whatever it is sent."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["", "null", "0", "2025-01-01T10:00:00Z", "u1", "$set"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def members(*names: str, also: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with members of these names and any values; `also` are values worth trying."""
    return st.dictionaries(st.sampled_from(names), VALUES if also is None else VALUES | also, max_size=8)


def json_of(value: Any) -> bytes:
    """As bytes; integers may have any size."""
    return json.dumps(value).encode()

"""Errors of a file are said to whoever writes it, not to whoever wrote the model."""

from __future__ import annotations

import pytest

from schemas.funnel.load import FunnelError, parse_funnel
from tests.support.rows import rows

GOOD = {"name": "shop", "version": "1", "conversion_window": "30d", "stages": "[{name: a, on: [b]}]"}
BAD = [
    ({"version": "one"}, "version: 'one' is no whole number; write one, without quotes or a point"),
    ({"version": "1.5"}, "version: 1.5 is no whole number"),
    ({"version": "0"}, "version: 0 is too small; write 1 or more"),
    ({"journeys": "often"}, "journeys: 'often' is neither true nor false"),
    ({"reentry": "never"}, "reentry: 'never' is none of the values; write 'window' or 'completion'"),
    ({"stages": "3"}, "stages: 3 is no list; write [...] or lines that begin with -"),
    ({"description": "7"}, "description: 7 is no text; write it in quotes"),
    ({"name": "a b"}, "name: 'a b' has characters that it may not have"),
]


@rows("changed, said", BAD)
def test_a_wrong_value_is_told_in_the_words_of_the_file(changed: dict[str, str], said: str) -> None:
    text = "\n".join(f"{key}: {value}" for key, value in {**GOOD, **changed}.items())
    with pytest.raises(FunnelError) as caught:
        parse_funnel(text)
    assert said in str(caught.value)
    assert "Input should" not in str(caught.value)

"""Text from outside: what looks the same compares as the same, and what is shown steers nothing."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from schemas.conditions import holds
from schemas.ids import clean_id
from schemas.names import clean_value, normalise_name
from schemas.text import printable, printable_in, printable_lines
from tests.support.hostile import HOSTILE

NFC, NFD = "Caf\u00e9", "Cafe\u0301"


def test_two_spellings_of_an_accent_are_one_value_name_and_id() -> None:
    assert clean_value(NFD) == clean_value(NFC) == "caf\u00e9"
    assert clean_value("x" * 63 + "e\u0301") == "x" * 63 + "\u00e9"  # cut between letters
    assert normalise_name(f" {NFD} X") == normalise_name(f"{NFC}-x")
    assert clean_id(NFD) == clean_id(NFC) == NFC
    assert holds("eq", NFC, NFD)
    assert not holds("eq", NFC.lower(), NFD)
    assert clean_value("\uff21") != clean_value("A")  # what only means the same stays apart


def test_what_steers_a_terminal_is_escaped_as_json_does() -> None:
    shown = printable(HOSTILE)
    assert shown == (
        "\\u001b[31mred\\u001b]0;pwned\\u0007 \\u009b2J \\u202egnp.exe\\u2066 \\u000d\\u000a2 rows\\u2028\\ud83d"
    )
    assert printable_in({HOSTILE: [HOSTILE, 1]}) == {shown: [shown, 1]}
    assert (
        printable("na\u00efve \u043c\u0438\u0440 \U0001f468\u200d\U0001f469")
        == "na\u00efve \u043c\u0438\u0440 \U0001f468\u200d\U0001f469"
    )
    assert printable("a\u00a0b") == "a b"


@given(st.text())
def test_it_is_one_line_that_stays_as_it_is_and_the_same_json(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    assert all(char.isprintable() or char in "\u200c\u200d" for char in shown)
    document = json.dumps([text], ensure_ascii=False, indent=1)
    spaced = {" ": text}  # what is a blank of another width is shown as one
    if not any(char != " " and char.isspace() and not char.isascii() for char in spaced[" "]):
        assert json.loads(printable_lines(document)) == [text]

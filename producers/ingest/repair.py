r"""Repairs JSON text that clients send and no parser takes: half an emoji (`\ud83d`), a bare NaN or Infinity, a control
character that is not escaped.

Pure. Only for text that could not be parsed: the usual body is never looked at. What is no value of these stays as it
is, bytes that are no UTF-8 too. A string ends at the end of its line, so that a broken line cannot spoil the next one.
Takes time in proportion to the length, whatever stands there.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MOST_REPAIRS: Final = 10_000
"""A text with more is left as it is."""
_WHOLE: Final = (
    rb"\\[^u\x00-\x1f]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
"""An escape that can be read; both halves of an emoji are one."""
_NO_NUMBER: Final = rb"[-+]?(?:nan|infinity|inf)(?![\w.])"
_RUN: Final = rb'[^"\w.+-]++|(?!' + _NO_NUMBER + rb')(?:[-+]|[\w.]++)|"(?:[^"\\\x00-\x1f]++|' + _WHOLE + rb')*+"'
_TOKENS: Final = re.compile(
    rb"(?P<run>(?:" + _RUN + rb')++)|(?P<string>"(?:[^"\\\n]++|\\[^\n])*+"?)|' + _NO_NUMBER, re.IGNORECASE
)
"""A run of what can be read, else a string that cannot, else a number that JSON does not have."""
_ESCAPES: Final = re.compile(rb"(?P<whole>" + _WHOLE + rb")|(?P<broken>\\u[0-9a-fA-F]{0,4})|(?P<control>[\x00-\x1f])")


class Repaired(NamedTuple):
    """The text, and how many of its values were repaired."""

    text: bytes
    repairs: int


class _TooManyError(Exception):
    pass


def repair(text: bytes) -> Repaired:
    """Half an emoji and what is left of a cut escape become U+FFFD, numbers that are none null, control characters
    their escapes."""
    count = 0

    def readable(match: re.Match[bytes]) -> bytes:
        nonlocal count
        if match["run"] is not None:
            return match["run"]
        value = match.group()
        repaired = b"null" if match["string"] is None else _ESCAPES.sub(_escape, value)
        count += repaired != value
        if count > MOST_REPAIRS:
            raise _TooManyError
        return repaired

    try:
        return Repaired(_TOKENS.sub(readable, text), count)
    except _TooManyError:
        return Repaired(text, 0)


def _escape(match: re.Match[bytes]) -> bytes:
    if match["whole"] is not None:
        return match["whole"]
    return rb"\ufffd" if match["control"] is None else b"\\u%04x" % match["control"][0]

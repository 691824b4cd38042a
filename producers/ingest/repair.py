r"""Repairs JSON text that clients send and no parser takes: half an emoji (`\ud83d`), a control character or a
backslash that is not escaped, a bare NaN, a word that is no JSON (`undefined`, `None`, `+1`, `.5`, `007`).

Pure. Only for text that could not be parsed: the usual body is never looked at. What is no value of these stays as it
is, bytes that are no UTF-8 too. A string ends at the end of its line, so that a broken line cannot spoil the next one,
unless the text is told to have no lines. Takes time in proportion to the length, whatever stands there.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

MOST_REPAIRS: Final = 10_000
"""A text with more is left as it is."""
DEEPEST: Final = 200
"""Of brackets within brackets: a parser gives up at some depth, and with it all events of a body."""
_WHOLE: Final = (
    rb"\\[\"\\/bfnrt]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
"""An escape that can be read; both halves of an emoji are one."""
_NO_NUMBER: Final = rb"[-+]?(?i:nan|infinity|inf)(?![\w.+-])"
_PLAIN: Final = rb"(?:true|false|null|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]++)?+)(?![\w.+-])"
"""A value that is no string."""
_WORD: Final = rb"(?<=[\[{:,\s])[\w.+-]++(?=\s*+[\]}:,])"
_RUN: Final = rb'[^"\w.+-]++|' + _PLAIN + rb'|"(?:[^"\\\x00-\x1f]++|' + _WHOLE + rb')*+"'


def _tokens(string: bytes) -> re.Pattern[bytes]:
    """A run of what can be read, else a string that cannot, a number that JSON does not have, a word where a value or
    name may stand, or one elsewhere, which stays as it is."""
    others = rb"|(?P<string>" + string + rb")|(?P<number>" + _NO_NUMBER + rb")|(?P<word>" + _WORD + rb")|[\w.+-]++"
    return re.compile(rb"(?P<run>(?:" + _RUN + rb")++)" + others)


_IN_LINES: Final = _tokens(rb'"(?:[^"\\\n]++|\\[^\n])*+"?')
_WITHOUT_LINES: Final = _tokens(rb'"(?:[^"\\]++|\\[\x00-\xff])*+"?')
_ESCAPES: Final = re.compile(rb"(?P<whole>" + _WHOLE + rb")|(?P<half>\\u[0-9a-fA-F]{0,4})|(?P<control>[\x00-\x1f])|\\")
_BRACKETS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


class Change(NamedTuple):
    """Where a value was repaired: its bounds in the text as it was sent, and in the repaired one."""

    sent_from: int
    sent_to: int
    begins: int
    ends: int


class Repaired(NamedTuple):
    """The text, how many of its values were repaired, and where; None where that is not known."""

    text: bytes
    repairs: int
    changes: Sequence[Change] | None = ()


class _TooManyError(Exception):
    pass


def repair(text: bytes, *, has_lines: bool = True) -> Repaired:
    """Half an emoji and what is left of a cut escape become U+FFFD, numbers that are none null, other words texts,
    control characters and backslashes their escapes; what lies too deep becomes null."""
    changes: list[Change] = []

    def readable(match: re.Match[bytes]) -> bytes:
        if match["run"] is not None:
            return match["run"]
        repaired = _repaired(match)
        if repaired != match.group():
            begins = match.start() + (changes[-1].ends - changes[-1].sent_to if changes else 0)
            changes.append(Change(match.start(), match.end(), begins, begins + len(repaired)))
        if len(changes) > MOST_REPAIRS:
            raise _TooManyError
        return repaired

    try:
        repaired = (_IN_LINES if has_lines else _WITHOUT_LINES).sub(readable, text)
    except _TooManyError:
        return Repaired(text, 0)
    if repaired.count(b"[") + repaired.count(b"{") <= DEEPEST:
        return Repaired(repaired, len(changes), changes)
    parts = [_shallow(part) for part in (repaired.split(b"\n") if has_lines else [repaired])]
    cuts = sum(part.repairs for part in parts)
    return Repaired(b"\n".join(part.text for part in parts), len(changes) + cuts, None if cuts else changes)


def as_sent(part: slice, sent: bytes, changes: Sequence[Change]) -> bytes:
    """What was sent for a part of the repaired text that cuts no repaired value."""

    def back(place: int) -> int:
        before = bisect_right(changes, place, key=lambda change: change.ends)
        return place + (changes[before - 1].sent_to - changes[before - 1].ends if before else 0)

    return sent[back(part.start) : back(part.stop)]


def _shallow(text: bytes) -> Repaired:
    """Without what lies too deep."""
    parts: list[bytes] = []
    depth = begun = after = 0
    for match in _BRACKETS.finditer(text):
        bracket = match.group()
        if bracket in (b"[", b"{"):
            depth += 1
            begun = match.start() if depth == DEEPEST + 1 else begun
        elif bracket in (b"]", b"}"):
            if depth == DEEPEST + 1:
                parts += [text[after:begun], b"null"]
                after = match.end()
            depth = max(0, depth - 1)
    return Repaired(b"".join([*parts, text[after:]]), len(parts) // 2)


def _repaired(match: re.Match[bytes]) -> bytes:
    if match["string"] is not None:
        return _ESCAPES.sub(_escape, match["string"])
    if match["number"] is not None:
        return b"null"
    return match.group() if match["word"] is None else b'"%s"' % match["word"]


def _escape(match: re.Match[bytes]) -> bytes:
    if match["whole"] is not None:
        return match["whole"]
    if match["half"] is not None:
        return rb"\ufffd"
    return b"\\u%04x" % match["control"][0] if match["control"] is not None else rb"\\"

"""Identity of a person as an event states it: cleaning, placeholders, the person key, which id ranks above which."""

from __future__ import annotations

from schemas.nothing import MARKS, is_template
from schemas.text import composed

MAX_ID_CHARS = 256
"""Longer ids are rejected by the collector: they are never ids of people."""

PLACEHOLDERS = MARKS | frozenset(
    {
        *(
            "",
            "none",
            "(none)",
            "na",
            "0",
            "0.0",
            "0.00",
            "-1",
            "true",
            "false",
            "anonymous",
            "anon",
            "guest",
            "unknown",
        ),
        *("user", "id", "distinct_id", "not_authenticated"),
        *("00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000"),
    }
)


_COUNTED = frozenset({"0", "-1", "true", "false", "user", "id"})
"""What stands for no person or order, and may well be the name of an event: some senders count from 0."""


def is_placeholder(text: str) -> bool:
    """True for texts that stand for "no id" (semantics.md 7), compared after trimming and without case."""
    trimmed = text.strip()
    return trimmed.casefold() in PLACEHOLDERS or is_template(trimmed)


def clean_id(value: str | int | None) -> str | None:
    """The trimmed id, or None where it is absent or a placeholder."""
    if value is None:
        return None
    text = composed(str(value).strip())
    return None if text.casefold() in PLACEHOLDERS or is_template(text) else text


def clean_event_id(value: str | int | None) -> str | None:
    """The trimmed id of an event as a client states it, or None where one must be made: it is absent or a
    placeholder. Otherwise all that a broken client sends would be copies of one event."""
    text = "" if value is None else composed(str(value).strip())
    return text if text in _COUNTED or not (text.casefold() in PLACEHOLDERS or is_template(text)) else None


def person_key(user_id: str | None, contact_id: str | None, anonymous_id: str | None) -> bytes | None:
    """Key of the person an event belongs to: its highest id, in that id's own name space; None without any.

    Arguments are cleaned ids (`clean_id`). The key is the Kafka record key and the field name in the store.
    """
    if user_id is not None:
        return b"u:" + user_id.encode()
    if contact_id is not None:
        return b"c:" + contact_id.encode()
    if anonymous_id is not None:
        return b"a:" + anonymous_id.encode()
    return None


RANKS = b"acu"
"""First bytes of person keys, from the lowest rank to the highest (semantics.md 7)."""


def lower_keys(user_id: str | None, contact_id: str | None, anonymous_id: str | None) -> list[bytes]:
    """Keys of the ids below the highest one, which an event with all of these links to it; arguments as above."""
    keys: list[bytes] = []
    if contact_id is not None and user_id is not None:
        keys.append(b"c:" + contact_id.encode())
    if anonymous_id is not None and (user_id is not None or contact_id is not None):
        keys.append(b"a:" + anonymous_id.encode())
    return keys


def ranks_below(lower: bytes, higher: bytes) -> bool:
    """Whether the first is a person key of a lower rank than the second."""
    ranks = RANKS.find(lower[:1]), RANKS.find(higher[:1])
    return lower[1:2] == higher[1:2] == b":" and 0 <= ranks[0] < ranks[1]

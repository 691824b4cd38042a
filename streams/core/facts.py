"""A partition's keyed facts as far as they are known: what is no person, such as a link of identities or a day's spend.

A fact is a key and a value, both bytes; the first byte of the key is its kind, and a kind says what its bytes mean.
What a chunk asks for stands in `Prepared.facts` and is read before its apply; what the apply changes leaves with
`Changes.facts`. Pure, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

MAX_FACTS: Final = 100_000


class Facts:
    """A cache of facts by key; None is a fact that does not exist."""

    def __init__(self, max_facts: int = MAX_FACTS) -> None:
        self._max_facts = max_facts
        self._known: dict[bytes, bytes | None] = {}
        self._changed: dict[bytes, bytes | None] = {}

    def missing(self, keys: Iterable[bytes]) -> list[bytes]:
        """Keys whose value is not known."""
        return list(dict.fromkeys(key for key in keys if key not in self._known))

    def admit(self, facts: Mapping[bytes, bytes | None]) -> None:
        """Take over what was read; what is known is never older and stays."""
        for key, value in facts.items():
            self._known.setdefault(key, value)

    def get(self, key: bytes) -> bytes | None:
        """The value. KeyError for a key that was neither read nor written."""
        return self._known[key]

    def put(self, key: bytes, value: bytes | None) -> None:
        """Change a fact; None deletes it."""
        self._known[key] = self._changed[key] = value

    def take_changes(self) -> dict[bytes, bytes | None]:
        """What changed since the last time; forgets everything when that has become much."""
        changed, self._changed = self._changed, {}
        if len(self._known) > self._max_facts:
            self._known = {}
        return changed

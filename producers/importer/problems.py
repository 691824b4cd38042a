"""What is wrong with a line, in words and as a closed list of kinds; which of them may be tolerated. Values only."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from schemas.errors import UsageError
from schemas.explain import did_you_mean


class Kind(StrEnum):
    """What the collector would count and go on with: refused in an import, unless it is tolerated by name."""

    AMOUNT = "amount"
    CELLS = "cells"
    COLUMNS = "columns"
    COPY = "copy"
    ID = "id"
    JOIN = "join"
    LATE = "late"
    NAME = "name"
    PLACEHOLDER = "placeholder"
    TIME = "time"


KINDS: Final = frozenset(kind.value for kind in Kind)
TOLERATED_MEANS: Final = {
    Kind.AMOUNT: "the event counts without money",
    Kind.CELLS: "cells beyond the heading are left out",
    Kind.COLUMNS: "of two columns of one name the first is read",
    Kind.COPY: "of events of one id only the earliest counts",
    Kind.ID: "an id that a spreadsheet has turned into a number is taken as it stands",
    Kind.JOIN: "a row without a match has no such columns",
    Kind.LATE: "what is late is sent, and not counted",
    Kind.NAME: "events that no funnel looks at are sent",
    Kind.PLACEHOLDER: "an id that stands for nothing is left out",
    Kind.TIME: "a time in the future, or one that looks like seconds, is sent as it stands",
}


class Problem(NamedTuple):
    """Why a line is not taken. `reason` is a `Kind` or one that cannot be tolerated."""

    reason: str
    detail: str


class Refused(NamedTuple):
    """A line that is not sent, or that the collector did not take."""

    line: int
    reason: str
    detail: str
    file: str = ""
    """Where an import reads several."""


def kinds_of(texts: Iterable[str]) -> frozenset[Kind]:
    """From `--tolerate amount,name` as often as it stands; `all` is every kind. Raises UsageError."""
    words = [word.strip() for text in texts for word in text.split(",") if word.strip()]
    if "all" in words:
        return frozenset(Kind)
    for word in words:
        if word not in KINDS:
            known = sorted(KINDS)
            hint = did_you_mean(word, known)
            raise UsageError(f"--tolerate {word!r}: write any of {', '.join(known)}, or all{hint}")
    return frozenset(map(Kind, words))

"""Text from outside: one form to compare it by, one form to show it in. Pure.

What a visitor sends can hold sequences that steer a terminal (colours, titles, the clipboard), turn the direction of
writing, or begin a new line that looks like ours. Whatever shows such a text shows its printable form.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

_JOINERS: Final = "\u200c\u200d"
"""They shape letters and emoji, and steer nothing."""
_PLAIN: Final = re.compile(r"[\x20-\x7e]*")


def composed(text: str) -> str:
    """One form (NFC) of what looks the same: an accent that is part of its letter or follows it."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def without_case(text: str) -> str:
    """The form in which texts without case are compared."""
    if text.isascii():
        return text.casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def printable(text: str) -> str:
    """One line that steers nothing: every other character as JSON escapes it (`\\u001b`)."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(map(_shown, text))


def printable_lines(text: str) -> str:
    """The same, line by line: for texts of ours that have lines and tabs, and for JSON, which it does not change."""
    if text.isprintable():
        return text
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def printable_in(value: Any) -> Any:
    """A document with all of its texts in their printable form."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable_in(name): printable_in(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [printable_in(member) for member in value]
    return value


def _shown(char: str) -> str:
    if char.isprintable() or char in _JOINERS:
        return char
    if unicodedata.category(char) == "Zs":
        return " "
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[index]:02x}{units[index + 1]:02x}" for index in range(0, len(units), 2))

"""What is wrong in a file that a person wrote, in words: the path inside it and what to write instead. Pure.

Of a model it knows only what pydantic says of it, so funnels and webhooks share it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pydantic import ValidationError

KeyPath = tuple[int | str, ...]
"""Where in the file: keys, and numbers of list elements."""


@dataclass(frozen=True, slots=True)
class Explainer:
    """Explains the errors of one kind of file."""

    examples: Mapping[str, str]
    """Of a key that is missing or empty: what to write."""
    known_keys: Callable[[KeyPath], Sequence[str]]
    """The keys that stand where the last one of a path does."""
    mappings: Mapping[str, str] = field(default_factory=dict)
    """Of a key whose elements are mappings: such an element."""
    shows_input: bool = True
    """Whether a message may repeat what was written; not where that may be a secret."""

    def lines(self, origin: str, error: ValidationError) -> list[str]:
        """One line for each cause, each begins with `origin`."""
        return [self._line(origin, cause) for cause in causes(error, shows_input=self.shows_input)]

    def _line(self, origin: str, error: Any) -> str:
        path, message = path_text(error["loc"]), self._message(error)
        return f"{origin}: {path}: {message}" if path else f"{origin}: {message}"

    def _message(self, error: Any) -> str:
        message, kind, path = error["msg"].removeprefix("Value error, "), error["type"], error["loc"]
        key = str(path[-1]) if path else ""
        if kind == "extra_forbidden":
            return "unknown key; remove it" + did_you_mean(key, self.known_keys(path))
        if kind == "missing":
            return f"is missing; write e.g. {self.examples.get(key, key + ': ...')}"
        if kind == "too_short":
            return "is empty; write at least one" + (f", e.g. {self.examples[key]}" if key in self.examples else "")
        if (words := _own_words(kind, error.get("ctx", {}))) is not None:
            example = f"; write e.g. {self.examples[key]}" if "write" not in words and key in self.examples else ""
            return (f"{error['input']!r} " if self.shows_input else "") + words + example
        if not self.shows_input or kind.startswith("value_error"):
            return str(message)
        if kind in ("model_type", "dict_type"):
            example = self.mappings.get(str(path[0]) if path else "", "key: value")
            return f"{error['input']!r} must be a mapping; write e.g. {example}"
        return f"{message}, not {error['input']!r}"


_KINDS: Final[Mapping[str, str]] = {
    "int": "is no whole number; write one, without quotes or a point",
    "float": "is no number",
    "decimal": "is no number",
    "bool": "is neither true nor false; write one of them",
    "string_type": "is no text; write it in quotes",
    "tuple_type": "is no list; write [...] or lines that begin with -",
    "list_type": "is no list; write [...] or lines that begin with -",
}
"""By the error's type, or its beginning."""
_LIMITS: Final[Mapping[str, str]] = {
    "greater_than": "is too small; write more than {gt}",
    "greater_than_equal": "is too small; write {ge} or more",
    "less_than": "is too large; write less than {lt}",
    "less_than_equal": "is too large; write {le} or less",
    "string_too_long": "is too long; write at most {max_length} characters",
    "string_too_short": "is too short; write at least {min_length} characters",
    "literal_error": "is none of the values; write {expected}",
    "string_pattern_mismatch": "has characters that it may not have (it is matched with {pattern})",
}


def _own_words(kind: str, context: Mapping[str, Any]) -> str | None:
    """What pydantic says of a value, in words for the writer of a file; None for what it says well enough."""
    if kind in _LIMITS:
        return _LIMITS[kind].format_map(context)
    return _KINDS.get(kind, _KINDS.get(kind.partition("_")[0]))


def causes(error: ValidationError, *, shows_input: bool = True) -> list[Any]:
    """Errors without "list too short" where the reason is an element that failed on its own."""
    errors = error.errors(include_input=shows_input)
    paths = [each["loc"] for each in errors]
    return [
        each
        for each in errors
        if each["type"] != "too_short" or not any(p[: len(each["loc"])] == each["loc"] != p for p in paths)
    ]


def path_text(path: KeyPath) -> str:
    """`stages[0].on` of ("stages", 0, "on")."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def did_you_mean(word: str, known: Sequence[str], *, likeness: float = 0.6) -> str:
    """` (did you mean 'x'?)` for the known word that is most like this one, or nothing."""
    close = closest(word, known, likeness=likeness)
    return "" if close is None else f" (did you mean {close!r}?)"


def closest(word: str, known: Sequence[str], *, likeness: float = 0.6) -> str | None:
    """The known word that is most like this one, if any is."""
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=likeness)), None)

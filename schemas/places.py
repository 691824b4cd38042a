"""Where an event has what a funnel names: its properties, and its context, in which every client says the page. Pure.

One table of names for all clients: the formats write the page into `context.page`, so one name finds it in any
event. A property of the very name comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_CONTEXT: Final = "context."
_UTM: Final = "utm."
PAGE_PATH: Final = "page.path"
_NAMED: Final[Mapping[str, tuple[str, ...]]] = {
    PAGE_PATH: ("page", "path"),
    "page.url": ("page", "url"),
    "page.title": ("page", "title"),
    "referrer": ("page", "referrer"),
    "device": ("device", "type"),
}
TAGS: Final = ("source", "medium", "campaign", "content", "term")
"""What `utm.` may be followed by: the properties that say where a visitor came from."""
TEXTS: Final = frozenset({PAGE_PATH, "page.url", "page.title", "referrer", *(f"{_UTM}{tag}" for tag in TAGS)})
"""Names whose values are texts, never numbers."""


def property_of(name: str) -> str:
    """The property that a name of a funnel means: `utm.source` is the property `source`."""
    return name.removeprefix(_UTM) if name.startswith(_UTM) else name


def context_path(name: str) -> tuple[str, ...]:
    """Where in the context a name is looked for; nothing for a name that is a property and no more."""
    if name.startswith(_CONTEXT):
        return tuple(name.removeprefix(_CONTEXT).split("."))
    return _NAMED.get(name, ())


def unknown_place(name: str) -> str | None:
    """What to write instead of a name that can find nothing; None where it can."""
    if name.startswith(_UTM) and property_of(name) not in TAGS:
        return f"{name}: write one of {' '.join(_UTM + tag for tag in TAGS)}"
    if name.startswith(_CONTEXT) and not all(context_path(name)):
        return f"{name}: write the members of the context with a dot between them, e.g. context.page.url"
    if name.startswith("journey."):
        return f"{name}: no event says that; only a dimension can ask for journey.touches, with attribution: last"
    if name.startswith("page.") and name not in _NAMED:
        return f"{name}: write page.path, page.url or page.title; for another member of the page context.{name}"
    return None


def in_context(name: str, members: Mapping[str, Any]) -> Any:
    """The value of a name with a context path, given the context's members; None where there is none."""
    value: Any = members
    for member in context_path(name):
        value = value.get(member) if isinstance(value, Mapping) else None
    if name == PAGE_PATH and value in (None, ""):
        page = members.get("page")
        url = page.get("url") if isinstance(page, Mapping) else None
        return path_of(url) if isinstance(url, str) else None
    return value


def path_of(url: str) -> str | None:
    """The path of an address, `/` where it has none; None for what is no address."""
    whole = url.partition("?")[0].partition("#")[0]
    if whole.startswith("/") and not whole.startswith("//"):
        return whole
    _, is_address, after = (":" + whole if whole.startswith("//") else whole).partition("://")
    return "/" + after.partition("/")[2] if is_address else None

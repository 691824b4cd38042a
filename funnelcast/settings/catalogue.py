"""Which settings a kind of process has, and all there are. Reads classes, no values."""

from __future__ import annotations

import dataclasses
import inspect
from functools import cache
from pathlib import Path
from typing import get_type_hints

from funnelcast.settings.sections import Settings
from funnelcast.settings.setting import Setting


def settings_of(kind: type[Settings]) -> tuple[Setting, ...]:
    """The settings of one kind of process or command, in the order of its sections."""
    types = get_type_hints(kind)
    owners: dict[str, type[Settings]] = {
        name: section for section in reversed(kind.__mro__) for name in inspect.get_annotations(section)
    }
    return tuple(
        Setting(
            attribute=field.name,
            type=types[field.name],
            default=field.default,
            facts=field.metadata["facts"],
            section=owners[field.name].title,
            process=kind.process if _is_own(owners[field.name]) else "",
        )
        for field in dataclasses.fields(kind)
        if "facts" in field.metadata
    )


def variables_of(section: type[Settings], settings: Settings | None = None) -> dict[str, str]:
    """A section as environment of a child process, with paths that hold in every directory; without `settings` all is
    empty, which means not set."""

    def text(setting: Setting) -> str:
        value = None if settings is None else getattr(settings, setting.attribute)
        return setting.written(value.resolve() if isinstance(value, Path) else value)

    return {setting.variable: text(setting) for setting in settings_of(section)}


def _is_own(section: type) -> bool:
    return bool(section.__dict__.get("own") or section.__dict__.get("process"))


@cache
def all_settings() -> dict[str, Setting]:
    """Every setting by its key in the file: those of the installation first, then those of each process."""
    from funnelcast.settings.processes import ALL  # every process, where most commands are one

    settings = [each for kind in ALL for each in settings_of(kind)]
    return {each.key: each for each in sorted(settings, key=lambda each: each.process != "")}

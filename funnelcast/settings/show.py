"""Shows effective settings, in one log event or as rows. Secrets and credentials are masked; decides nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

from funnelcast.settings.catalogue import settings_of
from funnelcast.settings.sections import Settings
from funnelcast.structlog_alone import structlog

DEFAULT = "default"


class Row(NamedTuple):
    """One effective setting."""

    key: str
    value: Any
    source: str


def rows(settings: Settings) -> list[Row]:
    """Every setting with its value, masked, and where it comes from."""
    return [
        Row(
            setting.key,
            setting.shown(getattr(settings, setting.attribute)),
            settings.sources.get(setting.key, DEFAULT),
        )
        for setting in settings_of(type(settings))
    ]


def log_settings(settings: Settings) -> None:
    """The event `settings`: all values, and the source of each that is not the default."""
    shown = rows(settings)
    structlog.get_logger(f"funnelcast.{settings.process}").info(
        "settings",
        values={row.key: row.value for row in shown},
        sources={row.key: row.source for row in shown if row.source != DEFAULT},
    )

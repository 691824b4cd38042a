"""Values for any setting: as a person writes them, in text and in TOML. No pytest here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from funnelcast.settings.setting import Setting


def written(setting: Setting, number: int) -> str:
    """The text of value `number` (0, 1, 2), each another one and none the default."""
    kind = setting.value_type
    if setting.facts.unit == "duration":
        return f"{number + 11}m"
    if kind is bool:
        return str(bool(setting.default) is bool(number % 2)).lower()
    if kind in (int, float):
        return str(int(setting.facts.least or 0) + number + 2)
    if get_origin(kind) is Literal:
        return [str(word) for word in get_args(kind) if word != setting.default][number % 2]
    if setting.facts.unit == "network,...":
        return f"10.0.{number}.0/24,192.0.2.{number}"
    if setting.facts.unit == "url":
        return f"https://word{number}.example"
    return f"first{number},second{number}" if get_origin(kind) is tuple else f"word{number}"


def value(setting: Setting, number: int) -> Any:
    """What it means."""
    text, kind = written(setting, number), setting.value_type
    if setting.facts.unit == "duration":
        return (number + 11) * 60_000
    if kind is bool:
        return text == "true"
    if kind in (int, float):
        return kind(text)
    if get_origin(kind) is tuple:
        return tuple(text.split(","))
    return Path(text) if kind is Path else text


def toml(setting: Setting, number: int) -> str:
    """A file that sets it, with the natural type of TOML."""
    text = written(setting, number)
    plain = setting.value_type in (bool, int, float) and setting.facts.unit != "duration"
    shown = text if plain else json.dumps(text.split(",") if "," in text else text)
    return f"[{setting.process}]\n{setting.name} = {shown}\n" if setting.process else f"{setting.name} = {shown}\n"

"""The tables of docs/operations.md list every setting as its field states it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_origin

from funnelcast.settings.catalogue import all_settings
from funnelcast.settings.setting import Setting

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"
HEAD = "| Setting | Value | Default | |\n|---|---|---|---|\n"


def row(setting: Setting) -> str:
    words = setting.placeholder if get_origin(setting.value_type) is Literal else setting.placeholder.lower()
    unit = "true, false" if setting.value_type is bool else words.replace("|", ", ")
    default = setting.written(setting.default)
    return f"| `{setting.key}` | {unit} | {f'`{default}`' if default else ''} | {setting.facts.help} |\n"


def test_every_setting_is_in_the_table_as_its_field_states_it() -> None:
    tables = [[each for each in all_settings().values() if bool(each.process) is own] for own in (False, True)]
    text = OPERATIONS.read_text(encoding="utf-8")
    for settings in tables:
        expected = HEAD + "".join(map(row, settings))
        assert expected in text, f"docs/operations.md needs this table:\n{expected}"

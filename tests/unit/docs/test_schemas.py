"""docs/json-schemas holds what the types of the code say."""

from __future__ import annotations

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "docs/write_schemas.py"


def test_the_committed_schemas_are_those_of_the_code() -> None:
    expected = runpy.run_path(str(SCRIPT))["schemas"]()
    folder = SCRIPT.parent / "json-schemas"
    committed = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    assert committed.keys() == expected.keys(), "run: python docs/write_schemas.py"
    changed = [name for name, text in expected.items() if committed[name] != text]
    assert changed == [], "run: python docs/write_schemas.py"

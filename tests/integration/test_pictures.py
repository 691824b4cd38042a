"""The pictures of tables are those that the code draws."""

from __future__ import annotations

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "docs/draw_terminal.py"


def test_the_committed_pictures_are_drawn_from_the_code_and_ask_nobody() -> None:
    drawn = runpy.run_path(str(SCRIPT))["pictures"]()
    folder = SCRIPT.parent / "pictures"
    assert {path.stem for path in folder.glob("*.svg")} == drawn.keys()
    changed = [name for name, text in drawn.items() if (folder / f"{name}.svg").read_text(encoding="utf-8") != text]
    assert changed == [], "run: python docs/draw_terminal.py"
    assert not [name for name, text in drawn.items() if "url(http" in text or "@import" in text]

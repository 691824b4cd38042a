"""The pages that are written from the code say what the code says."""

from __future__ import annotations

import runpy
from pathlib import Path

from tests.support.rows import rows

DOCS = Path(__file__).parents[3] / "docs"
WRITTEN = [
    ("write_commands.py", "page", "commands.md"),
    ("write_funnel_file.py", "page", "funnel-file.md"),
    ("write_llms.py", "text", "llms.txt"),
]


@rows("script, function, page", WRITTEN)
def test_a_page_is_what_its_script_writes(script: str, function: str, page: str) -> None:
    written = runpy.run_path(str(DOCS / script))[function]()
    assert (DOCS / page).read_text(encoding="utf-8") == written, f"run: python docs/{script}"

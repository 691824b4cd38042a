"""Writes docs/json-schemas/NAME.json: a JSON Schema (2020-12) of every document that a command prints with `--json`.

They are made from the types of the code. Run `python docs/write_schemas.py` after one was changed; a test compares the
committed files with what this script writes. It writes nothing but them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from funnelcast.diagnosis import Diagnosis
from streams.api.description import PAGES, Described
from streams.api.schema import Schemas
from streams.stuck import StuckDocument

FOLDER = Path(__file__).resolve().parent / "json-schemas"
OTHERS = (
    Described(
        "stuck",
        "Who waits for longest: what `funnelcast report --persons --json` prints.",
        shape=StuckDocument,
        is_several=True,
    ),
    Described("doctor", "What is wrong with an installation: what `funnelcast doctor --json` prints.", shape=Diagnosis),
)


def schemas() -> dict[str, str]:
    """The text of each file, by the name of the document."""
    described = [page for page in (*PAGES.values(), *OTHERS) if page.shape is not None]
    return {page.operation: _text(page) for page in described}


def _text(page: Described) -> str:
    known = Schemas("#/$defs/")
    shape = known.of(page.shape)
    several = {"anyOf": [shape, {"type": "array", "items": shape}]} if page.is_several else shape
    document: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": page.operation,
        "description": page.summary,
        **several,
        "$defs": dict(sorted(known.components.items())),
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files, and remove those that no document has."""
    FOLDER.mkdir(exist_ok=True)
    texts = schemas()
    for path in FOLDER.glob("*.json"):
        if path.stem not in texts:
            path.unlink()
    for name, text in texts.items():
        (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")
    print(f"{len(texts)} schemas written to {FOLDER.name}/")


if __name__ == "__main__":
    main()

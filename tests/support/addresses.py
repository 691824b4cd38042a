"""Addresses of pages, and what must be read from them: one table for every reader, as JSON, whatever its language."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, TypedDict


class Address(TypedDict):
    """`address` from its path on; `tags` are its campaign tags and click ids, `kept` is what the snippet sends."""

    about: str
    address: str
    tags: dict[str, str]
    kept: str


ADDRESSES: Final[list[Address]] = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))

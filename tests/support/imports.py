"""Runs an import file over files of a directory, without a collector: what would be sent, and what is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from producers.importer.load import parse_import
from producers.importer.outcomes import Rows
from producers.importer.overview import Overview
from producers.importer.preparation import Preparation
from producers.importer.problems import Kind, Refused
from producers.importer.strict import Strict
from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts

NOW_MS = 1_767_225_600_000
"""2026-01-01: nothing in a test's file is newer."""


@dataclass
class Imported:
    """What came of an import file."""

    rows: Rows
    events: list[dict[str, Any]]
    refused: list[Refused] = field(default_factory=list)
    overview: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def said(self) -> list[tuple[int, str]]:
        """(line, reason) of what was refused."""
        return [(each.line, each.reason) for each in self.refused]

    def brief(self) -> list[tuple[str, str, str | None]]:
        """(name, id, value) of every event by time."""
        return [(each["name"], each["id"], each["properties"].get("value")) for each in self.events]


def imported(text: str, directory: Path, *tolerated: Kind, known_names: set[str] | None = None) -> Imported:
    """Read everything that the text of an import file names in the directory."""
    definition = parse_import(text)
    ingest = Ingest(contacts=Contacts(b"key"), known_names=known_names)
    strict = Strict(ingest, NOW_MS, tolerated=frozenset(tolerated) | frozenset(definition.tolerate))
    refused: list[Refused] = []
    overview = Overview()
    preparation = Preparation(definition, directory, strict, refused.append, watcher=overview)
    rows = preparation.run()
    assert rows.read == rows.taken + rows.refused + rows.without_event, "a row is counted twice, or not at all"
    events = [json.loads(event) for _, event in preparation.events()]
    return Imported(rows, events, refused, overview.document(), preparation.notes)

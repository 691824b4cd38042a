"""Reads an import file; every error names the file, the key and what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from producers.importer.definition import EventRule, ImportFile, Input, Join, TimeFormat
from schemas.errors import InputFileError
from schemas.explain import Explainer, KeyPath
from schemas.written_file import WrittenFile

if TYPE_CHECKING:
    from pydantic import BaseModel

QUESTION: Final = "???"
"""Stands in a suggested file where only a person knows."""
_INNER: Final = (("inputs", Input), ("events", EventRule), ("join", Join), ("times", TimeFormat))


def _known_keys(path: KeyPath) -> list[str]:
    model: type[BaseModel] = ImportFile
    for part, inner in _INNER:
        if part in path:
            model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


_ERRORS: Final = Explainer(
    known_keys=_known_keys,
    examples={
        "inputs": "inputs: [{file: orders.csv}]",
        "file": "file: orders.csv",
        "name": "name: order_paid",
        "at": "at: the column of the time",
        "on": "on: the column of the input",
        "key": "key: the column of the second table",
        "as": "as: product",
    },
    mappings={
        "inputs": "{file: orders.csv}",
        "events": "{name: order_paid, at: Paid at, email: Email, value: Total}",
    },
)


_FILE: Final = WrittenFile(ImportFile, InputFileError, _ERRORS, " that starts like `inputs: [{file: orders.csv}]`")


def load_import(path: Path) -> ImportFile:
    """A checked import file. Raises InputFileError."""
    return parse_import(_FILE.text(path), origin=str(path))


def parse_import(text: str, *, origin: str = "import file") -> ImportFile:
    """From YAML or JSON text; `origin` names it in errors. Raises InputFileError."""
    data = _FILE.mapping(text, origin=origin)
    if open_questions := list(_questions(data, ())):
        lines = [f"{origin}: {place}: is a question ({QUESTION}): {said}" for place, said in open_questions]
        raise InputFileError("\n".join(lines))
    return _FILE.checked(data, origin=origin)


def _questions(value: object, path: KeyPath) -> list[tuple[str, str]]:
    from schemas.explain import path_text

    if isinstance(value, str) and QUESTION in value:
        return [(path_text(path), value.replace(QUESTION, "").strip() or "write what it is")]
    if isinstance(value, dict):
        return [found for key, inner in value.items() for found in _questions(inner, (*path, str(key)))]
    if isinstance(value, list):
        return [found for index, inner in enumerate(value) for found in _questions(inner, (*path, index))]
    return []

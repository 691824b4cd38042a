"""A file that a person wrote, as a checked value: its text, what that says in YAML or JSON, and the model of it.

Whatever is wrong becomes one error of the file's own class, which names the file, the place and what to write instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from schemas.errors import UsageError
from schemas.explain import Explainer
from schemas.plain_yaml import read_yaml

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class WrittenFile(Generic[Model]):
    """One kind of file. Every method raises `error`; `origin` names the file in it."""

    model: type[Model]
    error: type[UsageError]
    explainer: Explainer
    wanted: str
    """Ends the error of a file that is no mapping: what to write instead."""

    def load(self, path: Path) -> Model:
        """What a file says."""
        return self.parse(self.text(path), origin=str(path))

    def parse(self, text: str, *, origin: str) -> Model:
        """What a text says."""
        return self.checked(self.mapping(text, origin=origin), origin=origin)

    def text(self, path: Path) -> str:
        """The text of a file."""
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise self.error(f"{path}: cannot be read: {error.strerror or error}") from None
        except UnicodeDecodeError as error:
            raise self.error(f"{path}: is no text in UTF-8: {error}") from None

    def mapping(self, text: str, *, origin: str) -> dict[str, Any]:
        """What a text in YAML or JSON says, unchecked."""
        try:
            data = read_yaml(text)
        except yaml.YAMLError as error:
            raise self.error(f"{origin}: is neither YAML nor JSON{self._place(error)}") from None
        if not isinstance(data, dict):
            raise self.error(f"{origin}: must be a mapping{self.wanted}")
        return data

    def checked(self, data: object, *, origin: str) -> Model:
        """The value of what was written."""
        try:
            return self.model.model_validate(data)
        except ValidationError as error:
            raise self.error("\n".join(self.explainer.lines(origin, error))) from None

    def _place(self, error: yaml.YAMLError) -> str:
        """The parser repeats what was written: not where that may be a secret."""
        if self.explainer.shows_input:
            return f": {error}"
        mark = getattr(error, "problem_mark", None)
        return "" if mark is None else f" at line {mark.line + 1}"

"""How names are shown: values of dimensions and reasons as they were first written, not as they are compared. Pure, but
for `read_spelling`.

Documents keep the form in which names are compared: it is the same for every worker. What people read shows how each
was written first (docs/decisions/readings.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypedDict, TypeVar

from schemas.counters import REASONS
from schemas.funnel.model import Funnel
from schemas.names import name_of
from streams.report.document.names import Registers
from streams.report.questions.lines import values_of
from streams.store.port import CounterReader

REASON: Final = "reason"
"""Under it, reasons stand among the dimensions. A dimension of that name has its values there, too."""
_BY_REASON: Final = ("lost.", "lost_late.")
_Document = TypeVar("_Document")


class NamesDocument(TypedDict):
    """How the names of a funnel are written."""

    funnel: str
    version: int
    names: dict[str, dict[str, str]]
    """By dimension, and `reason`: name as compared -> as it was first written; those that are the same are left out."""


class Spelling:
    """Of one funnel. `written`: (register, code) -> as first written."""

    def __init__(self, funnel: Funnel, registers: Registers, written: Mapping[tuple[int, int], str]) -> None:
        self._funnel = funnel
        self._values: dict[str, dict[str, str]] = {dimension.name: {} for dimension in funnel.dimensions}
        self._reasons: dict[str, str] = {}
        names = list(self._values)
        for (register, name), code in registers.items():
            shown = written.get((register, code), name)
            if shown != name:
                (self._reasons if register == REASONS else self._values[names[register - 1]])[name] = shown
        for dimension in funnel.dimensions:
            listed = zip(dimension.compared_values() or (), dimension.values or (), strict=True)
            self._values[dimension.name] |= {name_of(name): name_of(text) for name, text in listed if name != text}

    @property
    def names(self) -> dict[str, dict[str, str]]:
        """By dimension, and `reason`, how those names are written that are not written as they are compared."""
        reasons = {**self._values.get(REASON, {}), **self._reasons}
        return {name: shown for name, shown in {**self._values, REASON: reasons}.items() if shown}

    def value(self, dimension: str, name: str) -> str:
        """A value as it is shown."""
        return self._values.get(dimension, {}).get(name, name)

    def reason(self, name: str) -> str:
        """A reason as it is shown."""
        return self._reasons.get(name, name)

    def label(self, text: str) -> str:
        """The label of a cell as it is shown; any other text as it is."""
        name, is_label, _ = text.partition("=")
        if not is_label or name not in self._values:
            return text
        return "|".join(f"{name}={self.value(name, value)}" for name, value in values_of(self._funnel, text).items())

    def shown(self, document: _Document) -> _Document:
        """A document for people: every label and reason in it as it is written."""
        return document if not self.names else self._shown(document, "")

    def _shown(self, part: Any, key: str) -> Any:
        if isinstance(part, str):
            return self.reason(part) if key == REASON else self.label(part)
        if isinstance(part, Mapping):
            if key.startswith(_BY_REASON):
                return {self.reason(name): amount for name, amount in part.items()}
            if key == "values" and all(isinstance(value, str) for value in part.values()):  # else a stage is called so
                return {name: self.value(name, value) for name, value in part.items()}
            if "dim" in part and "values" in part:
                part = {**part, **self._decomposed(part)}
            return {self.label(name): self._shown(member, name) for name, member in part.items()}
        return [self._shown(member, key) for member in part] if isinstance(part, list | tuple) else part

    def _decomposed(self, part: Mapping[str, Any]) -> dict[str, Any]:
        """Values whose dimension stands beside them (`streams.report.questions.comparison.Decomposition`)."""
        dimension = part["dim"]
        return {
            "values": [{**each, "value": self.value(dimension, each["value"])} for each in part["values"]],
            "top": [self.value(dimension, name) for name in part["top"]],
        }


async def read_spelling(reader: CounterReader, funnel: Funnel) -> Spelling:
    """As it is stored now."""
    registers, written = await reader.registers(funnel.funnel_id), await reader.written_names(funnel.funnel_id)
    return Spelling(funnel, registers, written)


async def report_names(reader: CounterReader, funnel: Funnel) -> NamesDocument:
    """Raises StoreError."""
    spelling = await read_spelling(reader, funnel)
    return {"funnel": funnel.name, "version": funnel.version, "names": spelling.names}

"""JSON Schemas (2020-12, as OpenAPI 3.1 has them) of the shapes that are answered, made from their types. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

Schema = dict[str, Any]
_PLAIN: Mapping[type, str] = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}
"""Every number is finite: documents hold no NaN."""


class Schemas:
    """Collects the named shapes that have been met; `components` holds them."""

    def __init__(self, place: str = "#/components/schemas/") -> None:
        self._place = place
        self.components: dict[str, Schema] = {}

    def of(self, kind: Any) -> Schema:
        """The schema of a type; of a TypedDict or a dataclass a reference."""
        if is_typeddict(kind):
            return self._reference(kind, kind.__required_keys__)
        if is_dataclass(kind):
            return self._reference(kind, [field.name for field in fields(kind)])
        if kind in _PLAIN:
            return {"type": _PLAIN[kind]}
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, UnionType):
            return self._any_of([self.of(each) for each in arguments])
        if origin is Literal:
            return {"enum": list(arguments)}
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        if isinstance(origin, type) and issubclass(origin, Sequence):
            return {"type": "array", "items": self.of(arguments[0])}
        raise TypeError(f"{kind} has no schema")

    @staticmethod
    def _any_of(schemas: list[Schema]) -> Schema:
        if all(set(schema) == {"type"} for schema in schemas):
            return {"type": [schema["type"] for schema in schemas]}
        return {"anyOf": schemas}

    def _reference(self, kind: Any, required: Iterable[str]) -> Schema:
        name = kind.__name__
        if name not in self.components:
            self.components[name] = {}  # a shape may hold itself
            members = get_type_hints(kind)
            self.components[name] = {
                "type": "object",
                "description": " ".join(inspect.cleandoc(kind.__doc__ or "").split()),
                "properties": {member: self.of(inner) for member, inner in members.items()},
                "required": sorted(required),
                "additionalProperties": False,
            }
        return {"$ref": f"{self._place}{name}"}

"""From the bytes of a record to typed fields: only what the loaded funnels look at, and nothing ever raises.

The struct is generated from the funnels, so a property nobody counts by costs no object, and the context is read where
a funnel names something in it (`schemas.places`). What does not fit the struct (an id that is a number, properties that
are no object) goes through a generic decode; what is no JSON object is None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from schemas.places import context_path, in_context
from schemas.properties import ALWAYS_READ, MONEY
from schemas.record import Forward
from streams.core.plan import Plan

NO_RAW: Final = msgspec.Raw(b"")


def _properties(plans: Iterable[Plan]) -> list[str]:
    names = set(ALWAYS_READ).union(*(plan.definition.properties for plan in plans))
    return sorted(names - set(MONEY)) + list(MONEY)


_MOST: Final = 2**62
_MOST_PLACEHOLDERS: Final = 1000
_Int: TypeAlias = Annotated[int, msgspec.Meta(ge=-_MOST, le=_MOST)]
"""What is stored must fit 64 bits; the sums of what is counted, too."""
_Few: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=_MOST_PLACEHOLDERS)]
ABSENT: Final = -(2**62)
"""The time of reception of a record that states none: no event of ours, whatever else it is."""
UNREADABLE: Final = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


class Decoder:
    """Decodes records for a set of funnels. `attribute` maps a property to the attribute that holds it."""

    def __init__(self, plans: Iterable[Plan]) -> None:
        names = _properties(plans)
        self.attribute = {name: name if name in ALWAYS_READ else f"p{number}" for number, name in enumerate(names)}
        fields: list[Any] = [
            (self.attribute[name], msgspec.Raw, NO_RAW) if name in MONEY else (self.attribute[name], Any, None)
            for name in names
        ]
        rename = {attribute: name for name, attribute in self.attribute.items() if attribute != name}
        self.properties = msgspec.defstruct("Properties", fields, rename=rename, gc=False, frozen=True)
        self.empty = self.properties()
        self._places = {name: self.attribute[name] for name in names if context_path(name)}
        """Names that are looked for in the context where no property has them, and their attributes."""
        members = sorted({context_path(name)[0] for name in self._places})
        self._members = {f"c{number}": member for number, member in enumerate(members)}
        parts: list[Any] = [(attribute, Any, None) for attribute in self._members]
        context = msgspec.defstruct("Context", parts, rename=self._members, gc=False, frozen=True)
        record = msgspec.defstruct(
            "Record",
            [
                ("id", str, ""),
                ("name", str, ""),
                ("occurred_at_ms", _Int, 0),
                ("received_at_ms", _Int, ABSENT),
                ("source", str, ""),
                ("properties", self.properties, self.empty),
                ("placeholder_ids", _Few, 0),
                ("seq", tuple[str, _Int] | None, None),
                ("tick", _Int | None, None),
                ("marker", str | None, None),
                ("forget", _Int | None, None),
                ("link", str | None, None),
                ("forward", Forward | None, None),
                *([("context", context | None, None)] if self._places else []),
            ],
            gc=False,
        )
        self.record = record
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(record).decode
        self.typed: Callable[[bytes], Any] = self._with_context if self._places else self._decode
        """The fast way; what it raises (UNREADABLE) is for `generic`."""

    def _with_context(self, value: bytes) -> Any:
        record = self._decode(value)
        if record.context is not None:
            members = {member: getattr(record.context, attribute) for attribute, member in self._members.items()}
            record.properties = self._placed(record.properties, members)
        return record

    def _placed(self, properties: Any, context: dict[str, Any]) -> Any:
        """The properties, with what stands in the context alone."""
        placed = {
            attribute: value
            for name, attribute in self._places.items()
            if getattr(properties, attribute) is None and (value := in_context(name, context)) is not None
        }
        return msgspec.structs.replace(properties, **placed) if placed else properties

    def generic(self, value: bytes) -> Any:
        """The record as a struct, whatever its types, or None where it cannot be read as one."""
        try:
            raw = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
            fields = {key: msgspec.json.decode(one) for key, one in raw.items() if key not in ("properties", "context")}
            properties = self._generic_properties(raw.get("properties"))
            if self._places:
                context = msgspec.json.decode(raw.get("context", b"null"))
                properties = self._placed(properties, context if isinstance(context, dict) else {})
        except UNREADABLE:
            return None
        tick, seq, forget = _integer(fields.get("tick")), fields.get("seq"), _integer(fields.get("forget"))
        if (
            tick is None
            and forget is None
            and (_integer(fields.get("received_at_ms")) is None or fields.get("name") is None)
        ):
            return None
        received = _integer(fields.get("received_at_ms")) or 0
        occurred = _integer(fields.get("occurred_at_ms"))
        is_seq = isinstance(seq, list) and len(seq) == 2 and _integer(seq[1]) is not None
        return self.record(
            id=str(fields.get("id", "")),
            name=str(fields.get("name", "")),
            occurred_at_ms=received if occurred is None else occurred,
            received_at_ms=received,
            source=str(fields.get("source") or ""),
            properties=properties,
            placeholder_ids=min(max(_integer(fields.get("placeholder_ids")) or 0, 0), _MOST_PLACEHOLDERS),
            seq=(str(seq[0]), int(seq[1])) if is_seq and isinstance(seq, list) else None,
            tick=tick,
            marker=None if fields.get("marker") is None else str(fields["marker"]),
            forget=forget,
        )

    def _generic_properties(self, raw: msgspec.Raw | None) -> Any:
        if raw is None:
            return self.empty
        try:
            return msgspec.json.decode(raw, type=self.properties)
        except msgspec.ValidationError:
            return self.empty


def _integer(value: object) -> int | None:
    """A whole number that can be stored, else None."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST else None

"""The objects inside an event: their shape and depth, and the e-mails and phones in them. Everything that stays is kept
byte for byte. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson

from producers.ingest.event import Members
from producers.ingest.privacy import IP_NAMES
from producers.ingest.verdicts import RefusedError
from schemas.ids import MAX_ID_CHARS
from schemas.properties import CONTACT_NAMES
from schemas.reasons import RejectReason

PERSONAL_NAMES: Final = CONTACT_NAMES | IP_NAMES
_STRINGS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""Never looks at a byte twice: what has no closing quote is a string to its end."""
_ONE_KIND: Final = bytes.maketrans(b"[]", b"{}")
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")


def id_in(parsed: object) -> str | None:
    """The id in an element that may not have the shape of an event."""
    event_id = parsed.get("id") if isinstance(parsed, dict) else None
    is_id = isinstance(event_id, str | int) and not isinstance(event_id, bool)
    return str(event_id)[:MAX_ID_CHARS] if is_id else None


def object_in(parsed: dict[str, Any], member: str) -> Members:
    """A member that must be an object; null is as good as an empty one. Raises RefusedError."""
    value = parsed.get(member)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RefusedError(RejectReason.WRONG_TYPE, f"{member} must be an object")
    return value


def holds_personal(properties: Members, context: Members) -> bool:
    """Whether an e-mail, a phone or the address of a machine lies among the properties, in the context or in its
    traits."""
    if not PERSONAL_NAMES.isdisjoint(properties):
        return True
    if not context:
        return False
    traits = context.get("traits")
    return not PERSONAL_NAMES.isdisjoint(context) or (
        isinstance(traits, dict) and not PERSONAL_NAMES.isdisjoint(traits)
    )


def shape_refusal(raw: bytes, error: msgspec.ValidationError) -> RefusedError:
    """The refusal of valid JSON that does not have the shape of an event."""
    if raw.lstrip()[:1] != b"{":
        return RefusedError(RejectReason.NOT_AN_OBJECT, "an event is a JSON object")
    return RefusedError(RejectReason.WRONG_TYPE, str(error))


def is_deeper(raw: bytes, limit: int) -> bool:
    """Whether objects and lists are nested deeper than that, brackets in strings apart. Takes time in proportion to the
    length, whatever stands there."""
    brackets = _STRINGS.sub(b"", raw).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(limit):
        brackets = brackets.replace(b"{}", b"")  # the innermost level
        if not brackets:
            return False
    return b"{}" in brackets or brackets.count(b"{") > limit


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def with_members(raw: msgspec.Raw, properties: Members, added: Mapping[str, Any]) -> tuple[msgspec.Raw, Members]:
    """(`raw` with those of `added` that are absent from it, the same as values). `properties` are the values of `raw`;
    what was sent keeps its bytes."""
    missing = {name: value for name, value in added.items() if value is not None and properties.get(name) is None}
    if not missing:
        return raw, properties
    text = msgspec.json.encode(missing)
    if not properties:
        return msgspec.Raw(text), missing
    if not properties.keys().isdisjoint(missing):  # a null stands there, and a name may not stand there twice
        return msgspec.Raw(msgspec.json.encode({**_members.decode(raw), **missing})), {**properties, **missing}
    return msgspec.Raw(bytes(raw).rstrip()[:-1] + b"," + text[1:]), {**properties, **missing}


def without_member(raw: msgspec.Raw, name: str) -> msgspec.Raw:
    """The object without one member."""
    return _raw_of({member: value for member, value in _members.decode(raw).items() if member != name})


def without_contacts(raw: msgspec.Raw, *, keep: bool) -> tuple[msgspec.Raw, str | None, str | None]:
    """(the object without its members `email` and `phone`, their values); everything else stays as it was sent."""
    members = _members.decode(raw)
    contacts = CONTACT_NAMES & members.keys()
    if not contacts:
        return raw, None, None
    values: dict[str, str] = {}
    for member in contacts:
        value = orjson.loads(bytes(members[member]))
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            values.setdefault(member.lower(), str(value))
        del members[member]
    return raw if keep else _raw_of(members), values.get("email"), values.get("phone")


def context_contacts(context: msgspec.Raw, *, keep: bool) -> tuple[msgspec.Raw, str | None, str | None]:
    """The same for `context` and `context.traits`, where Segment's clients repeat what `identify` said."""
    context, email, phone = without_contacts(context, keep=keep)
    members = _members.decode(context)
    traits = members.get("traits")
    if traits is not None and bytes(traits)[:1] == b"{":
        members["traits"], email_there, phone_there = without_contacts(traits, keep=keep)
        email, phone = email or email_there, phone or phone_there
        context = _raw_of(members)
    return context, email, phone


def _raw_of(members: dict[str, msgspec.Raw]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(members))

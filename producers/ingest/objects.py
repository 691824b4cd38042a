"""The objects inside an event: their shape and depth, and the e-mails and phones in them. Everything that stays is kept
byte for byte. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import orjson

from producers.ingest.privacy import IP_NAMES
from producers.ingest.verdicts import ABSENT, NOTHING, NativeEvent, RefusedError
from schemas.ids import MAX_ID_CHARS
from schemas.properties import CONTACT_NAMES
from schemas.reasons import RejectReason

_EMPTY: Final = b"{}"
_PERSONAL_NAMES: Final = CONTACT_NAMES | IP_NAMES
_STRINGS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""Never looks at a byte twice: what has no closing quote is a string to its end."""
_ONE_KIND: Final = bytes.maketrans(b"[]", b"{}")
_NO_BRACKETS: Final = bytes(one for one in range(256) if one not in b"[]{}")


def id_of(event: NativeEvent | None) -> str | None:
    """How a rejected event is named in the answer."""
    return None if event is None or event.id is None else str(event.id)[:MAX_ID_CHARS]


def id_in(parsed: object) -> str | None:
    """The id of an event that has not the shape of one."""
    found = parsed.get("id") if isinstance(parsed, dict) else None
    is_id = isinstance(found, str | int) and not isinstance(found, bool)
    return str(found)[:MAX_ID_CHARS] if is_id else None


def take_objects(event: NativeEvent, parsed: dict[str, Any]) -> bool:
    """Hold properties and context to be objects; null is as good as absent. Returns whether an e-mail or phone lies in
    them."""
    properties, context = parsed.get("properties"), parsed.get("context")
    if properties is None:
        event.properties = NOTHING
    elif not isinstance(properties, dict):
        raise RefusedError(RejectReason.WRONG_TYPE, "properties must be an object")
    if context is not None and not isinstance(context, dict):
        raise RefusedError(RejectReason.WRONG_TYPE, "context must be an object")
    if not context:
        event.context = ABSENT
    return has_contacts(properties, context)


def has_contacts(properties: object, context: object) -> bool:
    """Whether an e-mail, a phone or the address of a machine lies among the properties, in the context or in its
    traits."""
    if isinstance(properties, dict) and not _PERSONAL_NAMES.isdisjoint(properties):
        return True
    if not isinstance(context, dict):
        return False
    traits = context.get("traits")
    return not _PERSONAL_NAMES.isdisjoint(context) or (
        isinstance(traits, dict) and not _PERSONAL_NAMES.isdisjoint(traits)
    )


def shape_refusal(raw: bytes, error: msgspec.ValidationError) -> RefusedError:
    """The refusal of valid JSON that has not the shape of an event."""
    if raw.lstrip()[:1] != b"{":
        return RefusedError(RejectReason.NOT_AN_OBJECT, "an event is a JSON object")
    return RefusedError(RejectReason.WRONG_TYPE, str(error))


def as_object(member: str, raw: msgspec.Raw) -> bytes:
    """The bytes of a member that must be an object (null counts as an empty one). Raises RefusedError."""
    text = bytes(raw)  # a decoder leaves no blanks around it
    if text[:1] == b"{":
        return text
    if text == b"null":
        return _EMPTY
    raise RefusedError(RejectReason.WRONG_TYPE, f"{member} must be an object")


def is_deeper(raw: bytes, limit: int) -> bool:
    """Whether objects and lists are nested deeper than that, brackets in strings apart. Takes time in proportion to the
    length, whatever stands there."""
    brackets = _STRINGS.sub(b"", raw).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(limit):
        brackets = brackets.replace(b"{}", b"")  # the innermost level
        if not brackets:
            return False
    return b"{}" in brackets or brackets.count(b"{") > limit


_Members = dict[str, msgspec.Raw]
_members = msgspec.json.Decoder(_Members)


def without_contacts(raw: msgspec.Raw, *, keep: bool) -> tuple[msgspec.Raw, str | None, str | None]:
    """(the object without its members `email` and `phone`, their values); everything else stays as it was sent."""
    members = _members.decode(raw)
    contacts = CONTACT_NAMES & members.keys()
    if not contacts:
        return raw, None, None
    found: dict[str, str] = {}
    for member in contacts:
        value = orjson.loads(bytes(members[member]))
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            found.setdefault(member.lower(), str(value))
        del members[member]
    return raw if keep else _raw_of(members), found.get("email"), found.get("phone")


def context_contacts(context: msgspec.Raw, *, keep: bool) -> tuple[msgspec.Raw, str | None, str | None]:
    """The same for `context` and `context.traits`, where Segment's clients repeat what `identify` said."""
    context, email, phone = without_contacts(context, keep=keep)
    members = _members.decode(context)
    traits = members.get("traits")
    if traits is not None and bytes(traits)[:1] == b"{":
        members["traits"], found_email, found_phone = without_contacts(traits, keep=keep)
        email, phone = email or found_email, phone or found_phone
        context = _raw_of(members)
    return context, email, phone


def _raw_of(members: dict[str, msgspec.Raw]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(members))

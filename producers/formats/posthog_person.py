"""Who an event of PostHog is about: its one `distinct_id` is an account or a device, and the rest of the event shows
which. Pure."""

from __future__ import annotations

import re
from typing import Final

from producers.formats.translating import id_of
from producers.ingest.event import Members

Id = str | int | None
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_COOKIELESS: Final = "$posthog_cookieless"
"""Stands for every visitor who refused cookies: no person's id."""
_LINKS: Final = ("$identify", "$create_alias", "$merge_dangerously", "$groupidentify")
_SAYING: Final = frozenset({"$is_identified", "$user_id", "$process_person_profile", "$device_id"})
"""Members that distinguish an account from a device; servers send none of them."""
_SERVERS_WITH_USER_FIRST: Final = "posthog-node"
"""Its alias call names the account first; other clients name the device."""


def ids_of(members: Members, properties: Members, *, name: object) -> tuple[Id, Id]:
    """(user id, anonymous id) of an event."""
    distinct_id = members.get("distinct_id")
    if type(distinct_id) is not str:
        distinct_id = _other_id(members, properties)
    if name in _LINKS:
        return _of_link(distinct_id, properties, name=name)
    if distinct_id == _COOKIELESS:
        return None, None
    if _SAYING.isdisjoint(properties):
        return distinct_id, None
    if _is_anonymous(distinct_id, properties):
        return None, distinct_id
    return distinct_id, _device(distinct_id, properties)


def _other_id(members: Members, properties: Members) -> Id:
    for candidate in (members.get("distinct_id"), properties.get("distinct_id"), members.get("$distinct_id")):
        if id_of(candidate) is not None:
            return id_of(candidate)
    return None


def _of_link(distinct_id: Id, properties: Members, *, name: object) -> tuple[Id, Id]:
    """Ids of the events that link two ids to one person, or describe a group."""
    if name == "$identify":
        return distinct_id, id_of(properties.get("$anon_distinct_id")) or _device(distinct_id, properties)
    if name == "$groupidentify":
        is_group = isinstance(distinct_id, str) and distinct_id[:1] == "$"  # a group without a person: made of its name
        if is_group or _is_anonymous(distinct_id, properties):
            return None, distinct_id
        return distinct_id, _device(distinct_id, properties)
    return _of_alias(distinct_id, id_of(properties.get("alias")), properties=properties)


def _is_anonymous(distinct_id: Id, properties: Members) -> bool:
    """Whether a distinct id is a device's. Browsers say so; servers know accounts only, unless they have no person."""
    is_identified = properties.get("$is_identified")
    if isinstance(is_identified, bool):
        return not is_identified
    if properties.get("$user_id") is not None:
        return False
    return properties.get("$process_person_profile") is False or (
        distinct_id is not None and properties.get("$device_id") == distinct_id
    )


def _device(distinct_id: Id, properties: Members) -> Id:
    device_id = id_of(properties.get("$device_id"))
    return None if device_id == distinct_id else device_id


def _of_alias(distinct_id: Id, alias: Id, *, properties: Members) -> tuple[Id, Id]:
    """Which of the two is the account: the clients do not agree, but a UUID is a device's."""
    if alias is None:
        return distinct_id, None
    is_user_first = properties.get("$lib") == _SERVERS_WITH_USER_FIRST
    if _is_uuid(alias) != _is_uuid(distinct_id):
        is_user_first = _is_uuid(alias)
    return (distinct_id, alias) if is_user_first else (alias, distinct_id)


def _is_uuid(value: Id) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None

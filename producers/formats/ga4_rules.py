"""What Google's own validation would say of a request of the Measurement Protocol: its documented limits, as messages.

The collector accepts what exceeds them; a client that sends to both needs to know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from producers.formats.translating import dict_of
from producers.ingest.event import Members

EVENTS: Final = 25
PARAMS: Final = 25
USER_PROPERTIES: Final = 25
NAME_CHARS: Final = 40
VALUE_CHARS: Final = 100
LONG_VALUES: Final = {"page_location": 1000, "page_referrer": 420, "page_title": 300}
BACKDATE_HOURS: Final = 72
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_RESERVED_PREFIXES: Final = ("ga_", "google_", "firebase_")
Message = dict[str, str]


def messages_of(body: Any, now_ms: int) -> list[Message]:
    """One message for each limit that is broken."""
    members = dict_of(body)
    messages = list(_of_request(members))
    events = members.get("events")
    for number, event in enumerate(events if isinstance(events, list) else []):
        messages += _of_event(
            dict_of(event), f"events[{number}]", shared_micros=members.get("timestamp_micros"), now_ms=now_ms
        )
    return messages


def _of_request(members: Members) -> Iterator[Message]:
    events = members.get("events")
    if not events:
        yield _message("events", description="a request needs at least one event", code="VALUE_REQUIRED")
    elif isinstance(events, list) and len(events) > EVENTS:
        yield _message(
            "events",
            description=f"{len(events)} events; Google takes {EVENTS} in a request",
            code="EXCEEDED_MAX_ENTITIES",
        )
    count = len(dict_of(members.get("user_properties")))
    if count > USER_PROPERTIES:
        yield _message(
            "user_properties",
            description=f"{count} user properties; Google takes {USER_PROPERTIES}",
            code="EXCEEDED_MAX_ENTITIES",
        )


def _of_event(event: Members, path: str, *, shared_micros: object, now_ms: int) -> Iterator[Message]:
    name, params = event.get("name"), dict_of(event.get("params"))
    if isinstance(name, str) and name:
        yield from _of_name(name, f"{path}.name")
    if len(params) > PARAMS:
        yield _message(
            f"{path}.params",
            description=f"{len(params)} parameters; Google takes {PARAMS}",
            code="EXCEEDED_MAX_ENTITIES",
        )
    for param, value in params.items():
        yield from _of_name(param, f"{path}.params.{param}")
        longest = LONG_VALUES.get(param, VALUE_CHARS)
        if isinstance(value, str) and len(value) > longest:
            yield _message(
                f"{path}.params.{param}",
                description=f"{len(value)} characters; Google takes {longest}",
                code="VALUE_OUT_OF_BOUNDS",
            )
    if ("value" in params) and "currency" not in params:
        yield _message(f"{path}.params.currency", description="a value needs a currency", code="VALUE_REQUIRED")
    own_micros = event.get("timestamp_micros")
    micros = shared_micros if own_micros is None else own_micros
    if isinstance(micros, int) and micros // 1000 < now_ms - BACKDATE_HOURS * 3_600_000:
        yield _message(
            f"{path}.timestamp_micros",
            description=f"older than {BACKDATE_HOURS} hours; Google moves it",
            code="VALUE_OUT_OF_BOUNDS",
        )


def _of_name(name: str, path: str) -> Iterator[Message]:
    if len(name) > NAME_CHARS or not _NAME.fullmatch(name):
        what = f"a name is a letter, then letters, digits and _, {NAME_CHARS} characters at most"
        yield _message(path, description=what, code="NAME_INVALID")
    elif name.startswith(_RESERVED_PREFIXES):
        yield _message(path, description="a name that Google keeps for itself", code="NAME_RESERVED")


def _message(path: str, *, description: str, code: str) -> Message:
    return {"fieldPath": path, "description": description, "validationCode": code}

"""`funnelcast forget`: takes a person out of the counted state, through the log, and leaves the numbers as they are."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from funnelcast.clock import wall_clock_ms
from funnelcast.commands.options import JsonFlag, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import (
    ContactKeySettings,
    FunnelSettings,
    KafkaSettings,
    PhoneSettings,
    RedisSettings,
    SpaceSettings,
)

if TYPE_CHECKING:
    from streams.forget import ErasureMarker

app = typer.Typer(add_completion=False)
_PREFIXES = ("u:", "c:", "a:")


@dataclass(frozen=True, kw_only=True)
class ForgetSettings(PhoneSettings, ContactKeySettings, FunnelSettings, SpaceSettings, RedisSettings, KafkaSettings):
    """Contact key, phone region and state directory are the collector's."""


@app.command(
    epilog="Examples:  funnelcast forget --user-id 4711  ·  funnelcast forget --email - <address.txt  ·  "
    "funnelcast forget a:3f6c0d1e --no-wait"
)
@with_settings(ForgetSettings)
def forget(
    settings: ForgetSettings,
    *,
    person: Annotated[
        str | None,
        typer.Argument(metavar="PERSON", help="Person key: u:<user id>, c:<contact id> or a:<anonymous id>."),
    ] = None,
    user_id: Annotated[str | None, typer.Option(help="Account id, as it was sent.")] = None,
    contact_id: Annotated[str | None, typer.Option(help="Contact id, as it was sent.")] = None,
    anonymous_id: Annotated[str | None, typer.Option(help="Device id, as it was sent.")] = None,
    email: Annotated[
        str | None, typer.Option(help="E-mail; - reads it from stdin. Hashed with the contact key.")
    ] = None,
    phone: Annotated[
        str | None, typer.Option(help="Phone; - reads it from stdin. Hashed with the contact key.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the worker has applied it.")] = True,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait for the worker.")] = 60.0,
    as_json: JsonFlag = False,
) -> None:
    """Forget one person: their state loses its name, every number stays.

    Stop sending the person's events first: what comes later counts as somebody new. Every id that is linked to it
    (device, contact, account) is forgotten too, and the links; the funnels must be the worker's for that. The events
    themselves stay in Kafka until its retention ends.
    Exit 75 when the worker has not applied it in time; the record is in the log then and will be applied.
    """
    ids = {"user_id": user_id, "contact_id": contact_id, "anonymous_id": anonymous_id}
    given = [each for each in (person, *ids.values(), email, phone) if each is not None]
    if len(given) != 1:
        raise typer.BadParameter("give exactly one person: PERSON or one of the options that name an id")
    if email is not None or phone is not None:
        key = _contact(settings, email=_given(email), phone=_given(phone))
    else:
        key = _key(person, ids)
    settings.need_kafka()
    if wait:
        settings.need_redis()
    markers, is_erased, is_known = asyncio.run(_forget(settings, key, wait_seconds=timeout if wait else None))
    if is_known is False:
        say(
            f"nobody is known as {key.decode()}: nothing is counted under it; the record waits for what may come",
            err=True,
        )
    _print(key, markers, is_erased=is_erased, is_known=is_known, as_json=as_json)
    raise typer.Exit(75 if wait and not is_erased else 0)


def _given(address: str | None) -> str | None:
    """An address as an argument stands in the history of the shell, and in the list of processes."""
    return sys.stdin.readline().strip() if address == "-" else address


def _key(person: str | None, ids: dict[str, str | None]) -> bytes:
    """The person key of the id that was given."""
    from schemas.ids import MAX_ID_CHARS, clean_id, person_key

    if person is not None:
        if not person.startswith(_PREFIXES):
            raise typer.BadParameter(
                "a person is u:<user id>, c:<contact id> or a:<anonymous id>; or give --user-id, --email, ...",
                param_hint="PERSON",
            )
        field = {"u": "user_id", "c": "contact_id", "a": "anonymous_id"}[person[0]]
        ids = {**ids, field: person[2:]}
    cleaned = {field: clean_id(value) for field, value in ids.items()}
    key = person_key(cleaned["user_id"], cleaned["contact_id"], cleaned["anonymous_id"])
    if key is None:
        raise typer.BadParameter("that is a placeholder, not the id of a person; events without an id are nobody's")
    if len(key.decode()) > MAX_ID_CHARS + 2:
        raise typer.BadParameter(f"ids are at most {MAX_ID_CHARS} characters long")
    return key


def _contact(settings: ForgetSettings, *, email: str | None, phone: str | None) -> bytes:
    """The person key of an e-mail or phone, as the collector makes it."""
    from funnelcast.person_keys import contact_key

    try:
        return contact_key(settings, phone_region=settings.phone_region, email=email, phone=phone)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


async def _forget(
    settings: ForgetSettings, person: bytes, *, wait_seconds: float | None
) -> tuple[dict[bytes, ErasureMarker], bool, bool | None]:
    """Where the records of the person's ids are, that of the given one first; whether all of them were applied; whether
    anybody is known by that id (None: no store to ask)."""
    from streams.forget import is_applied, request_erasure
    from streams.store.connection import close, connect
    from streams.store.reader import RedisCounterReader

    client = None if settings.redis is None else connect(settings.need_redis())
    try:
        ids, is_known = ([person], None) if client is None else await _ids(settings, client, person=person)
        now_ms = wall_clock_ms()
        markers = {
            key: await request_erasure(settings.need_kafka(), settings.topics, person=key, asked_at_ms=now_ms)
            for key in ids
        }
        if wait_seconds is None or client is None:
            return markers, False, is_known
        reader, deadline = RedisCounterReader(client, settings.space), time.monotonic() + wait_seconds
        for marker in markers.values():
            if not await is_applied(reader, marker, seconds=deadline - time.monotonic()):
                return markers, False, is_known
        return markers, True, is_known
    finally:
        if client is not None:
            await close(client)


async def _ids(settings: ForgetSettings, client: Any, *, person: bytes) -> tuple[list[bytes], bool]:
    """Every id of the person, the given one first, and whether anybody is known by it."""
    from funnelcast.people_lookup import trees_of
    from schemas.funnel.load import load_funnels

    trees = await trees_of(client, settings.space, keys=[person], funnels=load_funnels(settings.funnels))
    others = [one.encode() for tree in trees for one in tree.ids if one.encode() != person]
    return [person, *others], bool(trees)


def _print(
    person: bytes, markers: dict[bytes, ErasureMarker], *, is_erased: bool, is_known: bool | None, as_json: bool
) -> None:
    if as_json:
        marker, ids = markers[person], [known_id.decode() for known_id in markers]
        where = {"partition": marker.partition, "offset": marker.offset}
        emit(json.dumps({"person": person.decode(), "ids": ids, **where, "erased": is_erased, "known": is_known}))
        return
    for known_id, marker in markers.items():
        say(f"{known_id.decode()}: recorded at partition {marker.partition}, offset {marker.offset}")
    say("forgotten" if is_erased else "the worker has not applied it yet, and will")

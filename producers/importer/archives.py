"""Archives in a vendor's own shape. Events of clients go through the format that takes them over HTTP, so that history
and what comes live mean the same; lists of an API have rules like anybody's file, shipped in `shapes/`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from producers.formats.ga4 import GA4
from producers.formats.port import Endpoint, Request
from producers.formats.posthog import POSTHOG
from producers.formats.segment import SEGMENT
from producers.formats.snowplow import SNOWPLOW
from producers.http.body import RequestError
from producers.importer.columns import Row as Cells
from producers.importer.definition import EventRule, TimeFormat
from producers.importer.making import Made
from producers.importer.problems import Kind, Problem
from producers.importer.shapes import ga4, snowplow
from producers.importer.shapes.moments import moment_ms
from producers.importer.tables import OpenTable, elements_of
from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts
from producers.ingest.verdicts import Accepted, Rejected, Sender
from producers.reading.delimited import Layout, read_delimited
from producers.reading.rows import BadRow, Row
from schemas.plain_yaml import read_yaml

Sent = tuple[bytes, int | None]
"""(the body by which a client would send the event, when it was received)."""
_SENDER: Final = Sender()


def _segment(cells: Made) -> Sent:
    received = next((cells[name] for name in ("receivedAt", "sentAt", "timestamp") if cells.get(name)), None)
    return orjson.dumps({"batch": [cells]}), moment_ms(received)


def _posthog(cells: Made) -> Sent:
    event = dict(cells)
    if isinstance(event.get("properties"), str):
        event["properties"] = orjson.loads(event["properties"] or "{}")
    at_ms = moment_ms(event.get("timestamp"))
    event["timestamp"] = None if at_ms is None else at_ms / 1000
    return orjson.dumps({"historical_migration": True, "batch": [event]}), at_ms


ARCHIVES: Final[dict[str | None, tuple[Callable[[Ingest], Endpoint], Callable[[Made], Sent]]]] = {
    "segment": (lambda ingest: _endpoint(SEGMENT.endpoints(ingest), "/v1/batch"), _segment),
    "posthog": (lambda ingest: POSTHOG.endpoints(ingest)[0], _posthog),
    "snowplow": (lambda ingest: SNOWPLOW.endpoints(ingest)[0], snowplow.sent),
    "ga4": (lambda ingest: GA4.endpoints(ingest)[0], ga4.sent),
}
"""Shapes of events, by name: the endpoint that reads them, and what a client would have sent."""


def _endpoint(endpoints: Sequence[Endpoint], path: str) -> Endpoint:
    return next(each for each in endpoints if any(route.path == path for route in each.paths))


class Archive:
    """Makes events of the rows of an archive."""

    def __init__(self, shape: str | None, ingest: Ingest) -> None:
        endpoint, self._sent = ARCHIVES[shape]
        # Only whether there is an address matters: the collector hashes it with its own key.
        checks = Ingest(limits=ingest.limits, contacts=Contacts(b"archive"), keep_contacts=True)
        self._endpoint = endpoint(checks)

    def events_of(self, row: Cells) -> list[Made | Problem]:
        """Usually one."""
        try:
            body, received_at_ms = self._sent(row.cells)
        except (AttributeError, LookupError, TypeError, ValueError) as error:  # whatever JSON there may be
            return [Problem("unreadable", f"is no event of this shape: {error}")]
        if received_at_ms is None:
            return [Problem("invalid_time", "says no time that can be read")]
        request = Request("POST", "", {}, b"", body=body, received_at_ms=received_at_ms)
        try:
            verdicts = self._endpoint.read(request, _SENDER).verdicts
        except RequestError as error:
            return [Problem("unreadable", str(error))]
        return [_event_of(verdict) for verdict in verdicts]

    def groups_of(self, row: Cells) -> list[tuple[int, str]] | Problem:
        """None."""
        return []

    def event_of_group(self, number: int, rows: Sequence[Cells]) -> Made | Problem | None:
        """None."""
        return None


def _event_of(verdict: object) -> Made | Problem:
    """The native event that says the same as a record."""
    if isinstance(verdict, Rejected):
        return Problem(verdict.reason, verdict.detail)
    if not isinstance(verdict, Accepted):
        return Problem("unreadable", "is no event")
    if verdict.was_clamped:
        return Problem(Kind.TIME, "its time cannot be read, or lies behind that of its reception")
    record = msgspec.json.decode(verdict.value)
    names = ("id", "name", "occurred_at_ms", "anonymous_id", "user_id", "properties", "context")
    return {name: record[name] for name in names if record.get(name) is not None}


def archive_rows(shape: str | None, opened: OpenTable) -> Iterator[Row | BadRow]:
    """The rows of an archive, whatever kind of file it is."""
    if shape == "snowplow" and opened.format == "csv":
        layout = Layout("\t", heading=0, columns=snowplow.COLUMNS, has_quotes=False)
        yield from read_delimited(opened.clear, layout).rows
    elif opened.format == "json":
        yield from map(_loaded, elements_of(opened.clear, opened.table.rows or _ROWS.get(shape)))
    else:
        yield from opened.read(frozenset(Kind)).rows


_ROWS: Final[dict[str | None, str]] = {"posthog": "results", "segment": "batch"}


def _loaded(element: tuple[int, bytes]) -> Row | BadRow:
    number, text = element
    try:
        value: Any = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return BadRow(number, f"is no JSON: {error}")
    return Row(number, value) if isinstance(value, dict) else BadRow(number, "is no JSON object")


def shape_text(shape: str) -> str:
    """The rules of a shape as they are written: an import file without inputs."""
    return (resources.files("producers.importer") / "shapes" / f"{shape}.yaml").read_text(encoding="utf-8")


class ShapeRules(NamedTuple):
    """Where an API's answer has its list, and what its rows become."""

    rows: str
    times: dict[str, TimeFormat]
    events: tuple[EventRule, ...]


@lru_cache(maxsize=8)
def shape_of(shape: str) -> ShapeRules:
    """The rules of a shape."""
    stated = read_yaml(shape_text(shape))
    times = {name: TimeFormat.model_validate(form) for name, form in stated.get("times", {}).items()}
    return ShapeRules(stated["rows"], times, tuple(map(EventRule.model_validate, stated["events"])))

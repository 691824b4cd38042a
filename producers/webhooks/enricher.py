"""The enricher's work on one hook: ask the CRM for what the hook does not say, and write the event.

A hook is never lost because its details are missing: when the CRM does not answer within the hook's patience, or does
not have the thing, the event says what the hook holds. Ids come from the hook (Bitrix24: from the deal's stage), so
that a hook that is processed twice is one event. Reads no Kafka; writes through the sink.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import structlog

from producers.dead_letters.record import encode_dead_letter
from producers.ingest.checks import Ingest
from producers.ingest.verdicts import Accepted, Rejected
from producers.sink.port import Outgoing, Sink, SinkUnavailableError, partition_for
from producers.webhooks.config import PREFIX, Hook, Webhooks
from producers.webhooks.crm import Crm, CrmUnavailableError, Details
from producers.webhooks.delivery import WebhookEvent, all_events_of
from producers.webhooks.enricher_metrics import EnricherMetrics
from producers.webhooks.hook_record import HookRecord, decode_hook
from producers.webhooks.mapper import Mapper
from schemas.reasons import RejectReason
from schemas.topics import Topics

log = structlog.get_logger("funnelcast.webhooks")
FIRST_PAUSE_SECONDS: Final = 0.5
MOST_PAUSE_SECONDS: Final = 60.0
_REMEMBERED: Final = 100_000
LETTER_BYTES: Final = 65_536


class Enricher:
    """Works on hooks of every CRM, any number at once."""

    def __init__(
        self,
        *,
        webhooks: Webhooks,
        ingest: Ingest,
        crms: Mapping[str, Crm],
        sink: Sink,
        topics: Topics,
        metrics: EnricherMetrics,
    ) -> None:
        self._hooks = webhooks.by_name()
        self._mappers = {name: Mapper(hook, ingest) for name, hook in self._hooks.items()}
        self._crms = crms
        self._sink = sink
        self._topics = topics
        self._metrics = metrics
        self._written: OrderedDict[str, None] = OrderedDict()
        self._dead_letters = 0

    async def work_on(self, value: bytes) -> None:
        """Returns when the event, or a dead letter, is acknowledged. Its one broad `except`: what breaks on one hook
        must not stop the others."""
        hook, record, event = "unknown", None, None
        try:
            record = decode_hook(value)
            hook = record.hook if record.hook in self._hooks else "unknown"
            event = self._read(record)
        except ValueError as error:
            await self._refuse(
                value, hook, record=record, reason=RejectReason.MALFORMED_JSON, detail=f"no hook: {error}"
            )
            return
        if event is None:
            await self._refuse(
                value,
                hook,
                record=record,
                reason=RejectReason.UNSUPPORTED_TYPE,
                detail=f"no hook is named {record.hook!r}",
            )
            return
        try:
            await self._enrich(record, event)
        except Exception:
            log.exception("hook_failed", hook=hook, id=record.id)
            await self._refuse(
                value,
                hook,
                record=record,
                reason=RejectReason.UNSUPPORTED_TYPE,
                detail="the enricher failed on this hook",
            )

    def _read(self, record: HookRecord) -> WebhookEvent | None:
        """Its one event; None where no hook has the name. A lead that is added as won says two things, each with a
        record of its own. Raises ValueError."""
        hook = self._hooks.get(record.hook)
        if hook is None:
            return None
        events = hook.read(record.payload.encode(), {}).events
        if len(events) > 1:
            events = [event for event in events if event.id == record.id]
        if len(events) != 1:
            raise ValueError(f"it holds {len(events)} events")
        return events[0]

    async def _enrich(self, record: HookRecord, event: WebhookEvent) -> None:
        hook = self._hooks[record.hook]
        details = await self._details(hook, event)
        if details is not None:
            add_details(event, details)
        outcome = "bare" if details is None else "enriched"
        events = [one for one in all_events_of(event) if one.id not in self._written]
        outcomes = [await self._write(hook, record, event=one, outcome=outcome) for one in events]
        self._metrics.worked_on(hook.name, outcomes[0] if outcomes else "unchanged")

    async def _write(self, hook: Hook, record: HookRecord, *, event: WebhookEvent, outcome: str) -> str:
        """Write one event, or its dead letter."""
        verdict = self._mappers[hook.name].verdict(event, record.received_at_ms)
        if isinstance(verdict, Rejected):
            await self._letter(event.element, hook.name, record=record, reason=verdict.reason, detail=verdict.detail)
            outcome = "rejected"
        elif isinstance(verdict, Accepted):
            await self._put(await self._outgoing(verdict))
        self._remember(event.id)
        return outcome

    async def _details(self, hook: Hook, event: WebhookEvent) -> Details | None:
        """What the CRM says, None where it does not have the thing or has not answered in time."""
        crm = self._crms.get(hook.name)
        if crm is None or hook.api is None or event.deal is None:
            return None
        loop = asyncio.get_running_loop()
        give_up, tries = loop.time() + hook.api.milliseconds("patience") / 1000, 0
        while True:
            try:
                return await crm.details(event)
            except CrmUnavailableError as error:
                pause = pause_of(tries, error.retry_after_seconds)
                tries += 1
                self._metrics.retried(hook.name)
                if loop.time() + pause > give_up:
                    log.warning("hook_without_details", hook=hook.name, id=event.id, tries=tries, error=str(error))
                    return None
                if tries in (1, 10):
                    log.warning("crm_unavailable", hook=hook.name, error=str(error), again_in_seconds=pause)
            await asyncio.sleep(pause)

    async def _outgoing(self, verdict: Accepted) -> list[Outgoing]:
        topic = self._topics.events
        partitions = await self._partitions(topic)
        return [
            Outgoing(topic, partition_for(key, partitions), key, value, verdict.received_at_ms)
            for key, value in verdict.records
        ]

    def _remember(self, event_id: str) -> None:
        self._written[event_id] = None
        if len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)

    async def _refuse(
        self, payload: bytes, hook: str, *, record: HookRecord | None, reason: RejectReason, detail: str
    ) -> None:
        await self._letter(payload, hook, record=record, reason=reason, detail=detail)
        self._metrics.worked_on(hook, "rejected")

    async def _letter(
        self, payload: bytes, hook: str, *, record: HookRecord | None, reason: RejectReason, detail: str
    ) -> None:
        known = self._hooks.get(hook)
        received_at_ms = 0 if record is None else record.received_at_ms
        value = encode_dead_letter(
            reason=reason,
            detail=detail,
            source="unknown" if known is None else known.sent_as,
            route=PREFIX + hook,
            received_at_ms=received_at_ms,
            payload=payload,
            keep_bytes=LETTER_BYTES,
        )
        self._dead_letters += 1
        topic, headers = self._topics.rejected, (("reason", reason.value.encode()),)
        partition = self._dead_letters % await self._partitions(topic)
        await self._put([Outgoing(topic, partition, None, value, received_at_ms, headers)])

    async def _partitions(self, topic: str) -> int:
        while True:
            try:
                return self._sink.partitions_of(topic)
            except SinkUnavailableError as error:
                await asyncio.sleep(min(error.retry_after_seconds, 1))

    async def _put(self, records: list[Outgoing]) -> None:
        """Until Kafka has acknowledged it: no sender would send it again."""
        while True:
            try:
                await self._sink.put(records)
                return
            except SinkUnavailableError as error:
                log.warning("kafka_unavailable", error=str(error))
                await asyncio.sleep(min(error.retry_after_seconds, 5))


def add_details(event: WebhookEvent, details: Details) -> None:
    """What the CRM says, over what the hook said."""
    if details.keys and details.id is not None:
        event.keys, event.is_stage = details.keys, True
    elif details.keys:
        event.keys = (*event.keys, *details.keys)
    event.id = details.id or event.id
    event.type = details.type or event.type
    event.occurred_ms = details.occurred_ms or event.occurred_ms
    event.subject = details.subject or event.subject
    event.email = details.email or event.email
    event.phone = details.phone or event.phone
    event.properties = {**event.properties, **details.properties}
    event.test_mark = details.test_mark or event.test_mark
    event.further = event.further if details.further is None else details.further


def pause_of(tries: int, asked_seconds: float | None) -> float:
    """Seconds until the next try: doubling, with some jitter, and never less than the CRM asks for."""
    pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(tries, 10), MOST_PAUSE_SECONDS) * random.uniform(0.8, 1.2)
    return max(pause, asked_seconds or 0.0)

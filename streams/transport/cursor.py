"""Does a stored cursor still belong to this log? Every answer no is an error whose text says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from schemas.errors import NeedsHumanError
from streams.transport.errors import LogGapError
from streams.transport.port import LogRange

END_TRIES = 3
END_PAUSE_SECONDS = 0.5


def topic_missing(topic: str) -> NeedsHumanError:
    """The broker does not know the topic at start."""
    return NeedsHumanError(f"topic {topic} does not exist: create it with `funnelcast topics create`, or check --space")


def topic_deleted(topic: str) -> NeedsHumanError:
    """The topic went away under a running worker."""
    return NeedsHumanError(
        f"topic {topic} was deleted while the worker ran: its records are gone, the counters hold what was applied "
        "before. To count a new topic, use a new space (--space)."
    )


def topic_recreated(topic: str, *, before: str, now: str) -> NeedsHumanError:
    """Same name, other records."""
    return NeedsHumanError(
        f"topic {topic} was recreated (its id is {now}, the cursors belong to {before}). Nothing was skipped or "
        "counted twice. Use a new space (--space) for the new topic."
    )


def partitions_changed(topic: str, *, before: int, now: int) -> NeedsHumanError:
    """Sentence for a changed partition count."""
    return NeedsHumanError(
        f"topic {topic} has {now} partitions, the counters were made with {before}: persons would move away from their "
        "state. The count is fixed for the life of a space. Nothing of the new partitions was counted: use a new space "
        f"(--space) made with `funnelcast topics create --partitions {now}` and send the events into it."
    )


def gap_below(topic: str, *, partition: int, cursor: int, start: int) -> LogGapError:
    """Records from `cursor` to `start` are gone."""
    return LogGapError(
        f"{topic} partition {partition}: the cursor stands at {cursor}, but the log starts at {start}: "
        f"{start - cursor} records were deleted before they were counted. Nothing was skipped. "
        "Restore them, or accept the loss with "
        f'`funnelcast gaps accept --partition {partition} --offset {start} --reason "..."` and start the worker again.'
    )


def check_cursor(topic: str, *, partition: int, cursor: int, log_range: LogRange) -> LogGapError | None:
    """The error of a cursor that lies outside the log, None where it fits."""
    if cursor < log_range.start:
        return gap_below(topic, partition=partition, cursor=cursor, start=log_range.start)
    if log_range.end is not None and cursor > log_range.end:
        return beyond_end(topic, partition=partition, cursor=cursor, end=log_range.end)
    return None


async def find_problem(
    ask: Callable[[int], Awaitable[LogRange]], topic: str, *, partition: int, cursor: int
) -> LogGapError | None:
    """`check_cursor` on what `ask(partition)` answers; an end of the log before the cursor must come three times.

    A leader that has just been elected may not know yet where its log ends.
    """
    problem = None
    for attempt in range(END_TRIES):
        if attempt:
            await asyncio.sleep(END_PAUSE_SECONDS)
        log_range = await ask(partition)
        problem = check_cursor(topic, partition=partition, cursor=cursor, log_range=log_range)
        if problem is None or cursor < log_range.start:
            return problem
    return problem


def beyond_end(topic: str, *, partition: int, cursor: int, end: int) -> LogGapError:
    """The cursor lies behind the end of the log."""
    return LogGapError(
        f"{topic} partition {partition}: the cursor stands at {cursor}, beyond the end of the log at {end}: the log "
        "was truncated, or log and counts do not belong together. Nothing was skipped. Check --kafka, --redis and "
        "--space. If they are right, restore the log, or count into a new space (--space): moving the cursor back "
        "would count twice what is sent again."
    )


def unacceptable_gap(topic: str, *, partition: int, offset: int, log_range: LogRange) -> NeedsHumanError | None:
    """Why counting cannot go on at `offset`, None where it can."""
    if log_range.start <= offset and (log_range.end is None or offset <= log_range.end):
        return None
    end = "" if log_range.end is None else f" to {log_range.end}"
    return NeedsHumanError(
        f"{topic} partition {partition}: the log holds offsets {log_range.start}{end}, {offset} is outside: nothing "
        "was changed. Give --offset as the worker's message names it."
    )

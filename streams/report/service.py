"""Answers the question of a report from whatever is stored now. Reads through `CounterReader`, never writes."""

from __future__ import annotations

from streams.report.document import RATED_GRAINS, document_of
from streams.report.question import ReportQuestion
from streams.report.shapes import CountersDocument
from streams.store.port import CounterReader, StoreRefusedError


async def report(reader: CounterReader, question: ReportQuestion) -> CountersDocument:
    """The document, or the part asked for, with the rates of its cells.

    Raises StoreRefusedError where another definition is counted under the funnel's name and version,
    StoreUnavailableError.
    """
    funnel = question.funnel
    stored = (await reader.fingerprints()).get(funnel.funnel_id)
    if stored not in (None, funnel.fingerprint):
        raise StoreRefusedError(
            f"funnel {funnel.name} version {funnel.version} is counted by another definition; "
            "report with the file the worker has, or give the changed one a new version"
        )
    views = [
        await reader.view(
            partition,
            funnel.funnel_id,
            grains=question.grains,
            dimsets=None if question.dimset is None else [question.dimset],
            since=question.first_buckets,
            until=question.last_buckets,
        )
        for partition in await reader.partitions()
    ]
    return document_of(
        funnel,
        [view for view in views if view is not None],
        await reader.registers(funnel.funnel_id),
        rated=RATED_GRAINS if question.grain is None else question.grains,
        only=question.label,
        period=question.period,
    )

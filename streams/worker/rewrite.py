"""Which person buckets of a partition still hold an older layout: the list that the owner works off while it counts.

Bookkeeping only; reading, upgrading and writing are the processor's (docs/decisions/layout-version.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from streams.state import FunnelLayouts

FIELDS_PER_APPLY = 2_000
"""Stored fields rewritten in one apply: as many as a chunk of records changes persons."""


class OldBuckets:
    """What a claim left to be rewritten."""

    def __init__(self, layouts: Mapping[str, FunnelLayouts], newest: int) -> None:
        self._newest = newest
        self._layouts = {funnel_id: old for funnel_id, old in layouts.items() if old.oldest < newest}

    def next_bucket(self) -> tuple[str, int] | None:
        """(funnel_id, bucket) to be rewritten next; None when everything is of the newest layout."""
        for funnel_id, layouts in self._layouts.items():
            for bucket, layout in enumerate(layouts.buckets):
                if layout < self._newest:
                    return funnel_id, bucket
        return None

    def after_core_state(self, funnel_id: str) -> FunnelLayouts | None:
        """The layouts once the funnel's core state is written; None where that changes nothing."""
        layouts = self._layouts.get(funnel_id)
        if layouts is None or layouts.core_state == self._newest:
            return None
        return replace(layouts, core_state=self._newest)

    def after_bucket(self, funnel_id: str, bucket: int) -> FunnelLayouts:
        """The layouts once a bucket and the funnel's core state are written."""
        buckets = bytearray(self._layouts[funnel_id].buckets)
        buckets[bucket] = self._newest
        return FunnelLayouts(core_state=self._newest, buckets=bytes(buckets))

    def admit(self, funnel_id: str, layouts: FunnelLayouts) -> None:
        """Take over what an acknowledged apply has written."""
        if layouts.oldest < self._newest:
            self._layouts[funnel_id] = layouts
        else:
            del self._layouts[funnel_id]

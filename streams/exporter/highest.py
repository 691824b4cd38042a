"""Counters as a scraper wants them: none ever falls. Pure, apart from what it remembers."""

from __future__ import annotations

from streams.exporter import catalogue
from streams.exporter.page import Labels, Page

_COUNTERS = tuple(metric.name for metric in catalogue.METRICS if metric.kind == "counter")


class Highest:
    """One per process.

    After a Redis server has lost its newest second, events are counted again: `rate()` would take the dip for a restart
    and add everything once more. So each counter is shown at the highest value that it had.
    """

    def __init__(self) -> None:
        self._had: dict[tuple[str, Labels], float] = {}

    def keep(self, page: Page) -> None:
        """Raise the counters of a page to what they were."""
        for name in _COUNTERS:
            samples = page.samples[name]
            for labels, value in samples.items():
                samples[labels] = self._had[name, labels] = max(value, self._had.get((name, labels), 0))

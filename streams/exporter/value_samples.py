"""The samples of dimension values: of all time, and of the windows that consist of hours. Pure.

Values beyond a cap are added up as `other`; what the values of one dimension show is always the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

from schemas.counters import OTHER, UNKNOWN
from schemas.funnel.model import Funnel
from schemas.money import minor_digits
from streams.exporter import catalogue
from streams.exporter.metric import Metric
from streams.exporter.page import Page
from streams.report.document.cell import CellView
from streams.report.document.shapes import NamedCell

MOST_IN_WINDOWS = 20
"""Values of a dimension with window series of their own: those with the most entries of seven days."""


class ValueSamples:
    """Samples of one funnel; `labels` are its name and version."""

    def __init__(self, page: Page, funnel: Funnel, *, labels: tuple[str, str]) -> None:
        self._page, self._funnel, self._labels = page, funnel, labels
        self._stages = [stage.name for stage in funnel.stages]
        self._order_stages = [stage.name for stage in funnel.stages if stage.nth is not None]

    def fill_totals(self, known: Mapping[str, Collection[str]], cells: Mapping[str, NamedCell]) -> None:
        """`known`: values with series of their own, by dimension; `cells` by `channel=google`."""
        for dimension, values in known.items():
            for value in (*values, UNKNOWN, OTHER):
                self._fill_total(dimension, value, CellView({}))
            self._of(dimension, cells, values=values, fill=self._fill_total)
            for value in (UNKNOWN, OTHER):
                self._fill_windows(dimension, value, CellView({}), windows=catalogue.VALUE_WINDOWS)

    def fill_windows(self, windows: Mapping[str, Mapping[str, NamedCell]]) -> None:
        """By window and `channel=google`."""
        longest = windows.get(catalogue.VALUE_WINDOWS[-1], {})
        for dimension in (dimension.name for dimension in self._funnel.dimensions):
            shown = self._most_entered(dimension, longest)
            for value in shown:
                self._fill_windows(dimension, value, CellView({}), windows=catalogue.VALUE_WINDOWS)
            for window, cells in windows.items():
                self._of(dimension, cells, values=shown, fill=partial(self._fill_windows, windows=[window]))

    def _most_entered(self, dimension: str, cells: Mapping[str, NamedCell]) -> list[str]:
        sizes = {
            value: sum(CellView(cell).entries(stage) for stage in self._stages)
            for label, cell in cells.items()
            for name, _, value in [label.partition("=")]
            if name == dimension
        }
        return sorted(sizes, key=lambda value: (-sizes[value], value))[:MOST_IN_WINDOWS]

    def _of(
        self,
        dimension: str,
        cells: Mapping[str, NamedCell],
        *,
        values: Collection[str],
        fill: Callable[[str, str, CellView], None],
    ) -> None:
        """Fill with the cells of a dimension, those of values that are not shown as `other`."""
        shown = {*values, UNKNOWN, OTHER}
        for label, cell in cells.items():
            name, _, value = label.partition("=")
            if name == dimension:
                fill(dimension, value if value in shown else OTHER, CellView(cell))

    def _add(self, metric: Metric, *labels: str, value: float) -> None:
        self._page.add(metric, *self._labels, *labels, value=value)

    def _fill_total(self, dimension: str, value: str, view: CellView) -> None:
        for stage in self._stages:
            labels = (dimension, value, stage)
            for family, metric in catalogue.DIMENSION.items():
                self._add(metric, *labels, value=view.amount(stage, family))
            self._add(catalogue.DIMENSION_LOST, *labels, value=view.lost(stage))
            for family, metric in catalogue.DIMENSION_MONEY.items():
                self._fill_money(metric, family, labels, (), view=view, stage=stage)
        for currency, minor in {self._funnel.currency: 0, **view.amounts("", "spend")}.items():
            self._add(catalogue.DIMENSION_SPEND, dimension, value, currency, value=minor / 10 ** minor_digits(currency))

    def _fill_windows(self, dimension: str, value: str, view: CellView, *, windows: Iterable[str]) -> None:
        for window in windows:
            for stage in self._stages:
                labels = (dimension, value, stage, window)
                for family, metric in catalogue.VALUE_WINDOW.items():
                    self._add(metric, *labels, value=view.amount(stage, family))
                self._add(catalogue.VALUE_WINDOW_RESOLVED, *labels, value=view.resolved(stage))
                for family, metric in catalogue.VALUE_WINDOW_MONEY.items():
                    self._fill_money(metric, family, labels[:3], (window,), view=view, stage=stage)

    def _fill_money(
        self,
        metric: Metric,
        family: str,
        labels: tuple[str, ...],
        window: tuple[str, ...],
        *,
        view: CellView,
        stage: str,
    ) -> None:
        """By currency, in major units (`orders` is a number); the funnel's own is there from the start."""
        amounts = view.amounts(stage, family)
        if (stage in self._order_stages) != (family == "open_value"):
            amounts = {self._funnel.currency: 0, **amounts}
        for currency, amount in amounts.items():
            unit = 1 if family == "orders" else 10 ** minor_digits(currency)
            self._add(metric, *labels, *window, currency, value=amount / unit)

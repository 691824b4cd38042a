"""The samples of one page from a snapshot, as Prometheus reads them. Pure.

Every metric of the catalogue is on every page, and every stage, window and known dimension value has its series from
the start, at 0, so that the first event is seen as a change.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas.counters import AGE_EDGES_DAYS, DURATION_EDGES_SECONDS, UNKNOWN
from schemas.funnel.model import Funnel
from schemas.money import minor_digits
from schemas.names import clean_value
from schemas.traffic import TRAFFIC_CLASSES
from streams.exporter import catalogue
from streams.exporter.metric import Metric
from streams.exporter.page import Page
from streams.exporter.snapshot import FunnelCounts, Snapshot
from streams.exporter.value_samples import ValueSamples
from streams.report.document.cell import CellView
from streams.report.document.rates import last_of_overall
from streams.report.document.shapes import Amounts
from streams.report.questions.legs import joined, joins_of

_LOST = "lost"
_COHORT_EDGES = {"5m": 300, "1h": 3600, "1d": 86_400, "7d": 7 * 86_400}
_STATS = {
    "accepted": catalogue.ACCEPTED,
    "duplicates": catalogue.DUPLICATES,
    "persons": catalogue.PERSONS,
    "forgotten": catalogue.FORGOTTEN,
    "placeholder_ids": catalogue.PLACEHOLDERS,
    "link_conflicts": catalogue.CONFLICTS,
    "links": catalogue.LINKS,
    "persons_with_many_ids": catalogue.MANY_IDS,
    "children_refused": catalogue.CHILDREN_REFUSED,
    "amounts_refused": catalogue.AMOUNTS_REFUSED,
    "undecodable": catalogue.UNDECODABLE,
    "retries": catalogue.RETRIES,
    "too_many_of_person": catalogue.SURPLUS,
}


def fill(page: Page, snapshot: Snapshot, *, now_ms: int) -> None:
    """Add everything that a snapshot holds."""
    _fill_partitions(page, snapshot, now_ms=now_ms)
    for counts in snapshot.funnels:
        labels = (counts.funnel.name, str(counts.funnel.version))
        page.add(catalogue.MATCHES, *labels, value=float(counts.is_same_definition))
        if counts.is_same_definition:
            _Filler(page, counts, labels=labels).fill()


def _fill_partitions(page: Page, snapshot: Snapshot, *, now_ms: int) -> None:
    page.add(catalogue.PARTITIONS, value=len(snapshot.statuses))
    page.add(catalogue.GAPS, value=snapshot.gaps)
    if newest := max((status.meta.last_event_ms for status in snapshot.statuses.values()), default=0):
        page.add(catalogue.LAST_EVENT, value=newest / 1000)
    for partition, status in sorted(snapshot.statuses.items()):
        label, meta = str(partition), status.meta
        page.add(catalogue.OFFSET, label, value=status.offset)
        page.add(catalogue.PENDING, label, value=meta.pending)
        page.add(catalogue.RECORDS, label, value=meta.records)
        page.add(catalogue.APPLIED_AT, label, value=meta.applied_at_ms / 1000)
        if meta.watermark_ms is not None:
            page.add(catalogue.WATERMARK, label, value=meta.watermark_ms / 1000)
            page.add(catalogue.WATERMARK_LAG, label, value=(now_ms - meta.watermark_ms) / 1000)
        if meta.max_received_ms is not None:
            page.add(catalogue.FRESHNESS, label, value=max(0, now_ms - meta.max_received_ms) / 1000)


class _Filler:
    """Samples of one funnel."""

    def __init__(self, page: Page, counts: FunnelCounts, *, labels: tuple[str, str]) -> None:
        self._page = page
        self._counts = counts
        self._funnel: Funnel = counts.funnel
        self._labels = labels
        self._stages = [stage.name for stage in counts.funnel.stages]
        self._order_stages = [stage.name for stage in counts.funnel.stages if stage.nth is not None]
        reasons = {clean_value(rule.reason) for rule in counts.funnel.lost if rule.reason}
        self._reasons = sorted(reasons | {UNKNOWN}) if counts.funnel.lost else []

    def fill(self) -> None:
        self._fill_info()
        self._fill_totals(CellView(self._counts.totals.get("", {})))
        for window in catalogue.WINDOWS:
            self._fill_window(window, CellView(self._counts.windows.get(window, {})))
        for age in catalogue.COHORT_AGES:
            self._fill_cohort(age, CellView(self._counts.cohorts.get(age, {})))
        values = ValueSamples(self._page, self._funnel, labels=self._labels)
        values.fill_totals(self._counts.values, self._counts.totals)

    def _add(self, metric: Metric, *labels: str, value: float) -> None:
        self._page.add(metric, *self._labels, *labels, value=value)

    def _fill_info(self) -> None:
        for number, stage in enumerate(self._funnel.stages, 1):
            self._add(catalogue.STAGE_INFO, stage.name, f"{number:02}", stage.role or "", value=1)
        for key, metric in _STATS.items():
            self._add(metric, value=self._counts.stats.get(key, 0))
        for traffic in TRAFFIC_CLASSES:
            self._add(catalogue.LEFT_OUT, traffic, value=self._counts.stats.get(f"left_out_{traffic}", 0))
        for age in catalogue.LATE_AGES:
            self._add(catalogue.LATE, age, value=self._counts.stats.get(f"late_le_{age}", 0))

    def _fill_totals(self, view: CellView) -> None:
        for family, metric in catalogue.STAGE.items():
            for stage in self._stages:
                self._add(metric, stage, value=view.amount(stage, family))
        self._add(catalogue.STAGE["events"], _LOST, value=view.amount(_LOST, "events"))
        for stage in self._stages:
            lost, transitions = view.amounts(stage, "lost.cohort"), view.amounts(stage, "transitions.cohort")
            late = view.amounts(stage, "lost_late.cohort")
            self._fill_keyed(catalogue.STAGE_LOST_BY_REASON, stage, expected=self._reasons, amounts=lost)
            self._fill_keyed(catalogue.STAGE_LOST_LATE, stage, expected=self._reasons, amounts=late)
            self._fill_keyed(catalogue.TRANSITIONS, stage, expected=(), amounts=transitions)
            self._fill_durations(catalogue.DURATION, stage, view=view)
            self._fill_times(stage, view)
            for family, metric in catalogue.STAGE_MONEY.items():
                self._fill_money(metric, family, stage, view=view, of_stage=stage)
                if self._has_family(stage, family):
                    self._add(metric, stage, self._funnel.currency, value=0)
        for stage in self._order_stages:
            self._fill_lifetime(stage, view)
        for stage, following in zip(self._stages, self._stages[1:], strict=False):
            self._add(catalogue.TRANSITIONS, stage, following, value=0)
        self._fill_money(catalogue.SPEND, "spend", view=view, of_stage="")
        self._add(catalogue.SPEND, self._funnel.currency, value=0)

    def _has_family(self, stage: str, family: str) -> bool:
        return (stage in self._order_stages) == (family not in ("value", "open_value"))

    def _fill_keyed(self, metric: Metric, *labels: str, expected: Iterable[str], amounts: Amounts) -> None:
        for key in expected:
            self._add(metric, *labels, key, value=0)
        for key, amount in amounts.items():
            self._add(metric, *labels, key, value=amount)

    def _fill_durations(self, metric: Metric, stage: str, *labels: str, view: CellView) -> None:
        """The next stage has its histogram from the start."""
        durations, seconds = view.amounts(stage, "durations"), view.amounts(stage, "duration_seconds")
        following = self._stages[self._stages.index(stage) + 1 :][:1]
        for target in {**dict.fromkeys(following), **{key.rpartition(" ")[0]: None for key in sorted(durations)}}:
            counts = {key.rpartition(" ")[2]: n for key, n in durations.items() if key.rpartition(" ")[0] == target}
            total = seconds.get(target, 0)
            self._page.add_histogram(metric, *self._labels, stage, target, *labels, counts=counts, seconds=total)

    def _fill_times(self, stage: str, view: CellView) -> None:
        """From the beginning of a journey to its order, and from an entry to its loss."""
        times = {"lead_time": catalogue.LEAD_TIME} if stage in self._order_stages else {}
        for family, metric in (times | {"loss_time": catalogue.LOSS_TIME}).items():
            counts, seconds = view.amounts(stage, family), view.amount(stage, f"{family}_seconds")
            self._page.add_histogram(metric, *self._labels, stage, counts=counts, seconds=seconds)

    def _fill_lifetime(self, stage: str, view: CellView) -> None:
        for age in (*map(str, AGE_EDGES_DAYS), "inf"):
            self._add(catalogue.LIFETIME, stage, self._funnel.currency, age, value=0)
        for key, amount in view.amounts(stage, "lifetime").items():
            currency, age = key.split(" ")
            self._add(catalogue.LIFETIME, stage, currency, age, value=amount / 10 ** minor_digits(currency))

    def _fill_money(self, metric: Metric, family: str, *labels: str, view: CellView, of_stage: str) -> None:
        """By currency; amounts in major units (`orders` is a number)."""
        for currency, amount in view.amounts(of_stage, family).items():
            unit = 1 if family == "orders" else 10 ** minor_digits(currency)
            self._add(metric, *labels, currency, value=amount / unit)

    def _fill_window(self, window: str, view: CellView) -> None:
        for stage in self._stages:
            for family, metric in catalogue.WINDOW.items():
                self._add(metric, stage, window, value=view.amount(stage, family))
            self._add(catalogue.WINDOW_RESOLVED, stage, window, value=view.resolved(stage))
            lost = view.amounts(stage, "lost.period")
            self._fill_keyed(catalogue.WINDOW_LOST, stage, window, expected=self._reasons, amounts=lost)
            self._fill_durations(catalogue.WINDOW_DURATION, stage, window, view=view)
        self._add(catalogue.WINDOW["events"], _LOST, window, value=view.amount(_LOST, "events"))
        for family, metric in catalogue.WINDOW_MONEY.items():
            for stage in self._order_stages:
                self._fill_money(metric, family, window, view=view, of_stage=stage)
                self._add(metric, window, self._funnel.currency, value=0)
        for stage in self._order_stages:
            self._add(catalogue.ORDERS_JOINED, stage, window, value=view.amount(stage, "orders_joined"))
        self._fill_conversions(view, window)
        for number in joins_of(self._funnel):
            came, every = joined(self._funnel, view, stage=number)
            self._add(catalogue.JOURNEYS_JOINED, self._stages[number], window, value=came)
            self._add(catalogue.JOURNEYS_ARRIVED, self._stages[number], window, value=every)

    def _fill_conversions(self, view: CellView, window: str) -> None:
        first, last = self._stages[0], self._stages[last_of_overall(self._funnel)]
        shares = {(first, last, "overall"): (view.entries(last), view.entries(first))}
        for j, k in zip(self._stages, self._stages[1:], strict=False):
            shares[j, k, "period"] = (view.entries(k), view.entries(j))
            shares[j, k, "step"] = (view.passed(k) - view.amount(k, "started"), view.passed(j))
        for labels, (numerator, denominator) in shares.items():
            self._add(catalogue.CONVERSION_NUMERATOR, *labels, window, value=numerator)
            self._add(catalogue.CONVERSION_DENOMINATOR, *labels, window, value=denominator)

    def _fill_cohort(self, age: str, view: CellView) -> None:
        edges = {str(edge) for edge in DURATION_EDGES_SECONDS if edge <= _COHORT_EDGES[age]}
        for stage in self._stages[:-1]:
            durations = view.amounts(stage, "durations")
            in_time = sum(amount for key, amount in durations.items() if key.rpartition(" ")[2] in edges)
            self._add(catalogue.COHORT_ENTRIES, stage, age, value=view.entries(stage))
            self._add(catalogue.COHORT_WENT_ON, stage, age, value=in_time)
            self._add(catalogue.COHORT_LOST, stage, age, value=view.lost(stage))
            self._add(catalogue.COHORT_ABANDONED, stage, age, value=view.amount(stage, "abandoned.cohort"))

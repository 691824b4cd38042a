"""Every answer of a report equals one that was computed from each entry and order by itself (tests/oracle)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.counters import DURATION_EDGES_SECONDS
from schemas.funnel.model import Funnel
from streams.core.place import ONLY_PARTITION
from streams.report.document.question import ReportQuestion
from streams.report.questions.sla import Sla
from streams.report.questions.targets_file import parse_targets
from streams.report.questions.what_if import Lifts
from streams.report.services.forecast import report_forecast
from streams.report.services.report import (
    report_calibration,
    report_compared,
    report_paths,
    report_profit,
    report_what_if,
)
from streams.report.services.sla import report_sla
from streams.report.services.targets import report_targets
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.worker.partition import LogRecord, PartitionProcessor
from tests.oracle import comparisons, outlooks, questions
from tests.oracle.generate import Case, Wants
from tests.oracle.passages import facts_of
from tests.oracle.shops import random_shop
from tests.property.cases import assert_same, law
from tests.property.driver import funnels_of, oracle_document, oracle_world, records_of
from tests.support.thorough import cases

DAY_MS = 86_400_000
Cells = dict[str, Any]


class Told:
    """A case, counted by the product and known to the oracle."""

    def __init__(self, case: Case) -> None:
        (self.funnel,) = funnels_of([case.funnel])
        self.case, self.facts = case, facts_of(oracle_world(case))
        space = MemorySpace(clock_ms=lambda: 0)
        self.reader = MemoryCounterReader(space)
        asyncio.run(self._count(MemoryPartitionStore(space)))

    async def _count(self, store: MemoryPartitionStore) -> None:
        await store.check_funnels({self.funnel.funnel_id: self.funnel.fingerprint})
        processor = PartitionProcessor(
            store, ONLY_PARTITION, [self.funnel], watermark_delay_ms=self.case.watermark_delay_ms, clock_ms=lambda: 0
        )
        await processor.claim()
        log = [LogRecord(key, value, at, number) for number, (key, value, at) in enumerate(records_of(self.case))]
        await processor.process(log, len(log))
        await processor.book_due()

    def asked(self, **texts: Any) -> ReportQuestion:
        return ReportQuestion.parse(self.funnel, texts, now_ms=self.facts.watermark)  # type: ignore[arg-type]

    @property
    def dims(self) -> list[str]:
        """Nothing, and every dimension of the attribution `first`."""
        return ["", *(one.name for one in self.funnel.dimensions if one.attribution == "first")]

    def cells(self, dim: str) -> list[str]:
        """The labels by a dimension."""
        return [""] if not dim else self.facts.cells([one.name for one in self.funnel.dimensions].index(dim))


def start_of(funnel: Funnel, day: date) -> int:
    return round(datetime.combine(day, time(), ZoneInfo(funnel.timezone)).timestamp() * 1000)


def check_paths(told: Told, dim: str) -> None:
    document = asyncio.run(report_paths(told.reader, told.asked(dim=dim)))
    names = [stage.name for stage in told.funnel.stages]
    for cell in document["cells"]:
        assert_same(questions.stages(told.facts, cell["dim"]), cell["stages"])
        shown = {
            (one["before"], one["after"]): {"share": one["share"], "took": one["took"]} for one in cell["transitions"]
        }
        assert_same(questions.transitions(told.facts, cell["dim"]), shown)
        for effect in cell["effects"]:
            won, beyond, without, jumped = questions.with_and_without(
                told.facts, cell["dim"], names.index(effect["stage"])
            )
            rates, (fewest, most) = effect["won"], effect["won_without"]
            assert jumped > 0
            assert fewest <= without <= most
            assert _share(rates["after"]) == ((won, beyond) if beyond else None)
            assert _share(rates["before"]) in [None, (without, jumped)]
            assert (rates["before"] is None) is (fewest < most)


def _share(rate: Any) -> tuple[int, int] | None:
    return None if rate is None else (rate["numerator"], rate["denominator"])


def check_profit(told: Told, dim: str, *, since: date | None = None, until: date | None = None) -> None:
    if since is None or until is None:
        days, oldest, asked = None, 0, told.asked(dim=dim)
    else:
        days = {(since + timedelta(number)).isoformat() for number in range((until - since).days)}
        oldest = told.facts.watermark - start_of(told.funnel, until)
        asked = told.asked(dim=dim, since=since.isoformat(), until=until.isoformat())
    document = asyncio.run(report_profit(told.reader, asked))
    for cell in document["cells"]:
        expected = questions.profit(told.facts, cell["dim"], days, oldest_age=oldest)
        assert_same({"dim": cell["dim"], **expected}, cell)


def check_sla(told: Told, dim: str, rng: Random) -> None:
    stage = rng.randrange(len(told.funnel.stages) - 1)
    after = rng.choice([None, *range(stage + 1, len(told.funnel.stages))])
    seconds = rng.choice(DURATION_EDGES_SECONDS)
    zone = ZoneInfo(told.funnel.timezone)

    def day_at(at: int) -> date:
        return datetime.fromtimestamp(at // 1000, zone).date()

    def bucket(at: int) -> tuple[int, int]:
        if seconds < 86_400:
            return at // 3_600_000 * 3_600_000, at // 3_600_000 * 3_600_000 + 3_600_000
        return start_of(told.funnel, day_at(at)), start_of(told.funnel, day_at(at) + timedelta(1))

    last = day_at(told.facts.watermark)
    since, until = (start_of(told.funnel, last + timedelta(days)) for days in (-30, 1))
    sla = Sla(told.funnel.stages[stage].name, None if after is None else told.funnel.stages[after].name, seconds)
    answer = asyncio.run(report_sla(told.reader, told.asked(dim=dim), slas=[sla], now_ms=told.facts.watermark))
    shown = {cell["dim"]: cell for cell in answer["sla"][0]["cells"]}
    for label in {"", *told.cells(dim), *shown}:
        asked = questions.Asked(stage, after, seconds, since, until, bucket)
        expected = questions.sla(told.facts, label, asked)
        if not expected["entries"]:
            assert label not in shown
            continue
        assert_same(expected, {key: shown[label][key] for key in expected})  # type: ignore[literal-required]
        share = (expected["kept"], expected["kept"] + expected["breached"])
        assert _share(shown[label]["rate"]) == (share if share[1] else None)


def check_what_if(told: Told, dim: str, rng: Random) -> None:
    names = [stage.name for stage in told.funnel.stages]
    top, percent = rng.choice([0, 50, 300]), rng.choice([5, 10, 400])
    lifted = rng.sample(range(1, len(names)), rng.randint(0, len(names) - 1))
    texts = [f"top=+{top}%", *(f"{names[stage]}=+{percent}%" for stage in lifted)]
    document = asyncio.run(
        report_what_if(told.reader, told.asked(dim=dim), lifts=Lifts.parse(told.funnel, ",".join(texts)))
    )
    supposed: dict[str, Any] = {
        "top": 1 + Fraction(top, 100),
        "factors": {k: 1 + Fraction(percent, 100) for k in lifted},
        "points": Fraction(0),
    }
    for cell in document["cells"]:
        passed = comparisons.lifted(told.facts, cell["dim"], **supposed)
        side = comparisons.side_of(told.facts, cell["dim"], None)
        for k, stage in enumerate(cell["stages"]):
            grown = passed[k] * Fraction(side.entries[k], side.passed[k]) if side.passed[k] else passed[k]
            assert stage["expected_entries"] == pytest.approx(float(grown), abs=1e-9)
        assert _gain(cell["gain"]) == _near(comparisons.gain(told.facts, cell["dim"], **supposed))
        _check_gains(told, cell)


def _check_gains(told: Told, cell: Any) -> None:
    names, alone = [stage.name for stage in told.funnel.stages], {}
    for k, each in enumerate(cell["gains"], 1):
        lift, point = (
            comparisons.gain(told.facts, cell["dim"], top=Fraction(1), factors={k: factor}, points=points)
            for factor, points in ((Fraction(11, 10), Fraction(0)), (Fraction(1), Fraction(1, 100)))
        )
        assert (each["stage"], _gain(each["lift"]), _gain(each["point"])) == (names[k], _near(lift), _near(point))
        alone[names[k]] = (lift, point)
    best = max(alone.values())
    assert cell["pays_most"] == (next(n for n, v in alone.items() if v == best) if any(map(any, best)) else None)


def _gain(shown: Any) -> tuple[float, ...]:
    return shown["revenue"], shown["orders"], shown["entries"]


def _near(gain: tuple[Fraction, ...]) -> Any:
    return pytest.approx(tuple(map(float, gain)), rel=1e-9, abs=1e-9)


def check_comparison(told: Told, days: list[date], rng: Random) -> None:
    middle = rng.randrange(1, len(days))
    spans = [days[:middle], days[middle:]]
    before, after = ({day.isoformat() for day in span} for span in spans)
    since, until = (day.isoformat() for day in (spans[1][0], spans[1][-1] + timedelta(1)))
    dim = rng.choice(["", f"channel={rng.choice(['fair', 'google'])}", None])
    document: Any = asyncio.run(
        report_compared(
            told.reader,
            told.asked(dim=dim, since=since, until=until),
            text=f"{spans[0][0]}..{spans[1][0]}",
            now_ms=told.facts.watermark,
        )
    )
    expected = comparisons.comparison(told.facts, dim or "", before, after)
    for table in ("period_conversion", "step_conversion", "cohort_conversion"):
        assert document[table].keys() == expected[table].keys()
        for key, rate in expected[table].items():
            _same_compared(rate, document[table][key])
    _same_compared(expected["overall"], document["overall"])
    legs = expected["legs"]
    assert (legs is None) is (document["legs"] is None)
    if legs is not None:
        for leg in ("web", "sales"):
            _same_compared(legs.pop(leg), document["legs"].pop(leg))
        assert document["legs"] == pytest.approx(legs)
    if dim is None:
        (decomposition,) = document["decompositions"]
        _same_decomposition(comparisons.contributions_of(told.facts, 0, before, after), decomposition)


def _same_compared(expected: Any, shown: Any) -> None:
    for key in ("difference", "p_value"):
        assert shown[key] == (None if expected[key] is None else pytest.approx(expected[key], rel=1e-9, abs=1e-12))
    assert shown["interval"] == (None if expected["interval"] is None else pytest.approx(expected["interval"]))
    assert shown["is_significant"] == expected["is_significant"]


def _same_decomposition(expected: Any, shown: Any) -> None:
    assert expected is not None
    assert shown["change"] == pytest.approx(float(expected["change"]))
    parts = expected["parts"]
    assert {each["value"] for each in shown["values"]} == parts.keys()
    for each in shown["values"]:
        assert (each["mix"], each["rate"], each["neither"]) == pytest.approx(tuple(map(float, parts[each["value"]])))
    ranked = sorted((-abs(sum(part)), value) for value, part in parts.items() if sum(part))
    assert shown["top"] == [value for _, value in ranked[:3]]


def shop_of(told: Told) -> tuple[outlooks.Shop, Callable[[str], outlooks.Days]]:
    """What outlooks ask of it, and the days of a cell as the oracle counts them."""
    counters = oracle_document(told.case)["counters"]["day"]
    funnel = told.funnel
    shop = outlooks.Shop(
        [stage.name for stage in funnel.stages],
        [stage.nth is not None for stage in funnel.stages],
        funnel.currency,
        funnel.conversion_window_ms / DAY_MS,
    )
    return shop, lambda cell: {
        date.fromisoformat(day).toordinal(): cells[cell] for day, cells in counters.items() if cell in cells
    }


def now_of(told: Told) -> tuple[int, float]:
    """Today, and which part of it is over."""
    today = datetime.fromtimestamp(told.facts.watermark // 1000, ZoneInfo(told.funnel.timezone)).date()
    begin, end = (start_of(told.funnel, today + timedelta(days)) for days in (0, 1))
    return today.toordinal(), (told.facts.watermark - begin) / (end - begin)


def check_forecast(told: Told) -> None:
    shop, days_of = shop_of(told)
    today, share = now_of(told)
    whole = outlooks.Forecast(shop, days_of(""), today)
    for dim in ("", "channel"):
        document = asyncio.run(
            report_forecast(told.reader, told.asked(dim=dim), with_back_test=not dim, now_ms=told.facts.watermark)
        )
        for cell in document["cells"]:
            days, own = days_of(cell["dim"]), outlooks.Forecast(shop, days_of(cell["dim"]), today)
            learned = own if own.won >= 30 else whole
            expected = outlooks.forecast(shop, days, now=today + share, learned=learned, today=today)
            assert cell["learned_orders"] == learned.won
            if expected is None:
                assert cell["expected"] is None
                assert not cell["when"]
                continue
            for when in cell["when"]:
                assert {key: when[key] for key in ("orders", "expected")} == pytest.approx(
                    {key: expected["when"][when["until"]][key] for key in ("orders", "expected")}
                )
                assert when["interval"] == pytest.approx(expected["when"][when["until"]]["interval"])
            assert len(cell["when"]) == len(expected["when"])
            assert {one["stage"]: one["entries"] for one in cell["stages"]} == pytest.approx(expected["entries"])
        if document["back_test"] is not None:
            _check_back_test(document["back_test"], shop, days_of(""))


def _check_back_test(shown: Any, shop: outlooks.Shop, days: outlooks.Days) -> None:
    for each in shown["dates"]:
        now = date.fromisoformat(each["date"]).toordinal()
        expected = outlooks.looked_back(shop, days, now=now, horizon=shown["horizon_days"])
        assert (each["expected"], each["actual"]) == pytest.approx((expected["expected"], expected["actual"]))
        low, high = expected["interval"]
        assert each["interval"] == pytest.approx([low, high])
        assert each["is_inside"] is (low - 0.5 <= expected["actual"] <= high + 0.5)
    assert shown["inside"] == sum(each["is_inside"] for each in shown["dates"])


def check_targets(told: Told, days: list[date], rng: Random) -> None:
    shop, days_of = shop_of(told)
    today, share = now_of(told)
    first = rng.choice([*days, date.fromordinal(today)])
    last = first + timedelta(rng.choice([0, 6, 30]))
    stage = rng.randrange(len(shop.names))
    of = rng.choice(["entries", "orders", "revenue"]) if shop.orders[stage] else "entries"
    team, goal = rng.choice(["", "channel=fair", "manager=ann"]), rng.choice([1, 20, 400])
    written = f"{{stage: {shop.names[stage]}, of: {of}, period: {first}..{last}, goal: {goal}, team: '{team}'}}"
    document = asyncio.run(
        report_targets(
            told.reader, told.funnel, targets=parse_targets(f"targets: [{written}]"), now_ms=told.facts.watermark
        )
    )
    (answer,) = document["targets"]
    of_team, whole = days_of(team), days_of("")
    goal *= 100 if of == "revenue" and shop.currency == "EUR" else 1

    def amounts(day: int) -> int:
        cell = of_team.get(day, {})
        return int(shop.amount(cell, stage, "entries")) if of == "entries" else shop.money(cell, stage, of)

    begin = min((day for day in whole if today - 56 <= day < today), default=today)
    expected = outlooks.target(
        amounts,
        first=first.toordinal(),
        last=last.toordinal(),
        goal=goal,
        now=(today, share),
        begin=begin,
        is_count=of != "revenue",
    )
    shown: Any = {key: answer[key] for key in expected}  # type: ignore[literal-required]
    assert shown.pop("interval") == (None if expected["interval"] is None else pytest.approx(expected.pop("interval")))
    expected.pop("interval", None)
    assert shown == pytest.approx(expected)
    came = sum(map(amounts, range(begin, today)))
    entries = {
        shop.names[k]: sum(shop.amount(of_team.get(day, {}), k, "entries") for day in range(begin, today))
        for k in range(stage + 1)
    }
    _check_needs(answer, entries, came=came, missing=max(0, goal - expected["fact"]))


def _check_needs(answer: Any, entries: dict[str, int], *, came: int, missing: int) -> None:
    """What each stage needs, of the entries that it had when so much came."""
    if not came or answer["team"].startswith("manager"):
        assert answer["needs"] is None
        return
    assert {one["stage"]: (one["entries"], one["still"]) for one in answer["needs"]} == {
        name: pytest.approx((answer["goal"] * number / came, missing * number / came))
        for name, number in entries.items()
        if number
    }


def check_scores(told: Told) -> None:
    document = asyncio.run(report_calibration(told.reader, told.asked()))
    names = [stage.name for stage in told.funnel.stages]
    for stage in document["stages"]:
        for each in stage["temperatures"]:
            cell = f"{document['dim']}={each['temperature']}"
            own = [one.entry for one in told.facts.passages(cell) if names[one.entry.stage] == stage["stage"]]
            known = sum(entry.outcome != "open" for entry in own)
            assert (each["entries"], each["resolved"]) == (len(own), known)
            assert each["won"] == sum(entry.is_won for entry in own)


@law(Wants(max_events=100), share=0.5)
def test_answers_about_any_log(case: Case, rng: Random) -> None:
    """How journeys go, what is left, agreed times, what if: of any funnel over any log."""
    told = Told(case)
    for dim in told.dims:
        check_paths(told, dim)
        check_profit(told, dim)
        check_sla(told, dim, rng)
        check_what_if(told, dim, rng)


@law(Wants(scores=True), share=0.2)
def test_calibration_of_scores(case: Case, rng: Random) -> None:
    """Of any log."""
    check_scores(Told(case))


@pytest.mark.parametrize("seed", range(cases(24, few=4)))
def test_answers_about_a_shop(seed: int) -> None:
    """With enough people for differences, targets and forecasts."""
    rng = Random(seed)
    told = Told(random_shop(rng, people=rng.choice([60, 400, 900])))
    first = datetime(2025, 1, 1, tzinfo=UTC).date()
    days = [first + timedelta(number) for number in range(now_of(told)[0] - first.toordinal())]
    for dim in ("", "channel"):
        check_paths(told, dim)
        check_profit(told, dim, since=days[3], until=days[-3])
        check_sla(told, dim, rng)
        check_what_if(told, dim, rng)
    check_comparison(told, days, rng)
    check_targets(told, days, rng)
    check_forecast(told)

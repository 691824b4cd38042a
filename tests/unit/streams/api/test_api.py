"""The reports API on a real socket: the bytes of the command, parameters, ETags, CSV, errors, keys."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Unpack

import httpx
import pytest

from funnelcast.readers import ReadersOnly, check_reports_are_guarded
from funnelcast.settings import SettingsError
from funnelcast.settings.processes import WebSettings
from producers.access.keys import KeyRing, create_key
from producers.ingest.verdicts import Scope
from streams.report.document.counters import answer_json
from streams.report.document.question import QuestionTexts, ReportQuestion
from streams.report.document.spans import Comparison
from streams.report.questions.sla import Sla
from streams.report.questions.what_if import Lifts
from streams.report.services.changes import report_changes
from streams.report.services.forecast import report_forecast
from streams.report.services.report import report, report_comparison, report_paths, report_what_if
from streams.report.services.sla import report_sla
from streams.report.services.targets import report_targets
from streams.report.services.views import report_view
from streams.store.memory import MemoryCounterReader, MemorySpace
from streams.store.port import StoreUnavailableError
from tests.support.http import plain_get
from tests.support.rows import rows
from tests.support.served_reports import FUNNELS, NOW_MS, TARGETS, counted_shop, served
from tests.support.shop import SHOP


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with served() as url, httpx.Client(base_url=url) as client:
        yield client


def printed(*funnels: Any, **texts: Unpack[QuestionTexts]) -> bytes:
    """What `funnelcast report --json` prints."""

    async def documents() -> list[Any]:
        reader = await counted_shop()
        questions = [ReportQuestion.parse(funnel, texts, now_ms=NOW_MS) for funnel in funnels]
        return [await report(reader, question) for question in questions]

    return answer_json(asyncio.run(documents()))


@pytest.mark.parametrize(
    "texts",
    [
        {},
        {"grain": "hour"},
        {"grain": "month", "dim": "channel"},
        {"since": "2h", "until": "2025-01-01T11:00:00Z"},
        {"dim": "channel|manager", "grain": "total"},
        {"dim": ""},
    ],
)
def test_a_report_has_the_bytes_that_the_command_prints(client: httpx.Client, texts: QuestionTexts) -> None:
    query = {name: str(text) for name, text in texts.items()}
    answer = client.get("/v1/reports", params={"funnel": "shop", **query})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.content == printed(SHOP, **texts)


def test_several_funnels_are_a_list_and_none_is_all(client: httpx.Client) -> None:
    both = client.get("/v1/reports", params={"funnel": ["other", "shop"], "grain": "total"})
    assert both.content == printed(*reversed(FUNNELS), grain="total")
    assert [document["funnel"] for document in client.get("/v1/reports").json()] == ["shop", "other"]


def test_the_funnels_say_what_can_be_asked(client: httpx.Client) -> None:
    shop, other = client.get("/v1/funnels").json()
    assert shop["stages"] == ["impression", "click", "lead", "payment"]
    assert (shop["name"], shop["version"], shop["currency"], shop["timezone"]) == ("shop", 3, "EUR", "UTC")
    assert (shop["dimensions"], shop["pairs"]) == (["channel", "manager"], ["channel|manager"])
    assert other["name"] == "other"


def test_what_has_not_changed_is_not_sent_again(client: httpx.Client) -> None:
    first = client.get("/v1/reports", params={"funnel": "shop"})
    assert first.headers["cache-control"] == "private, no-cache"
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    for known in (tag, f'"x", {tag}', tag.removeprefix("W/"), "*"):
        again = client.get("/v1/reports", params={"funnel": "shop"}, headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["cache-control"] == "private, no-cache"
    other = client.get("/v1/reports", params={"funnel": "shop", "dim": ""}, headers={"if-none-match": tag})
    assert other.status_code == 200


def test_head_is_get_without_its_body(client: httpx.Client) -> None:
    answer, read = client.head("/v1/reports"), client.get("/v1/reports")
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (200, b"", read.headers["etag"])


def test_counters_in_long_form(client: httpx.Client) -> None:
    answer = client.get("/v1/reports/counters.csv", params={"funnel": "shop", "grain": "total", "dim": "channel"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    cells = client.get("/v1/reports", params={"funnel": "shop", "grain": "total"}).json()["counters"]["total"]["all"]
    lost = next(row for row in rows if row["family"] == "lost.cohort" and row["key"] == "price")
    assert lost["amount"] == str(cells[lost["dim"]][lost["stage"]]["lost.cohort"]["price"])
    assert (lost["funnel"], lost["version"], lost["grain"], lost["bucket"]) == ("shop", "3", "total", "all")
    entries = {row["dim"]: int(row["amount"]) for row in rows if (row["stage"], row["family"]) == ("click", "entries")}
    assert entries == {
        f"channel={channel}": cells[f"channel={channel}"]["click"]["entries"]
        for channel in ("facebook", "google", "mail")
    }


def test_rates_in_long_form(client: httpx.Client) -> None:
    query = {"funnel": "shop", "grain": "total", "dim": ""}
    rows = list(csv.DictReader(io.StringIO(client.get("/v1/reports/rates.csv", params=query).text)))
    (rates,) = client.get("/v1/reports", params=query).json()["rates"]
    by_name = {(row["rate"], row["of"]): row for row in rows}
    cohort, expected = by_name["cohort_conversion", "click"], rates["cohort_conversion"]["click"]
    assert (float(cohort["value"]), float(cohort["maturity"])) == (expected["rate"], expected["maturity"])
    assert [float(cohort["low"]), float(cohort["high"])] == expected["interval"]
    assert float(by_name["money.aov", ""]["value"]) == rates["money"]["aov"] == 1999
    assert by_name["overall", ""]["denominator"] == str(rates["overall"]["denominator"])
    assert ("money.roas", "") not in by_name or rates["money"]["roas"] is not None


def test_a_comparison_has_the_bytes_that_the_command_prints(client: httpx.Client) -> None:
    async def expected() -> bytes:
        question = ReportQuestion.parse(SHOP, {"since": "2025-01-01", "until": "2025-01-02"}, now_ms=NOW_MS)
        comparison = Comparison.parse(question, "previous", now_ms=NOW_MS)
        return answer_json([await report_comparison(await counted_shop(), comparison)])

    query = {"funnel": "shop", "since": "2025-01-01", "until": "2025-01-02", "compare": "previous"}
    answer = client.get("/v1/comparisons", params=query)
    assert answer.content == asyncio.run(expected())
    assert answer.json()["after"] == {"first": "2025-01-01", "last": "2025-01-01"}
    assert answer.json()["entries"]["impression"] == {"before": 0, "after": 240, "change": None}


def test_paths_have_the_bytes_that_the_command_prints(client: httpx.Client) -> None:
    async def expected() -> bytes:
        return answer_json([await report_paths(await counted_shop(), ReportQuestion.parse(SHOP, {}, now_ms=NOW_MS))])

    answer = client.get("/v1/paths", params={"funnel": "shop"})
    assert answer.content == asyncio.run(expected())
    assert answer.json()["cells"][0]["transitions"][0]["took"]["p50"] == {"above": 10, "at_most": 60}


def test_targets_have_the_bytes_that_the_command_prints(client: httpx.Client) -> None:
    async def expected() -> bytes:
        return answer_json([await report_targets(await counted_shop(), SHOP, targets=TARGETS, now_ms=NOW_MS)])

    answer = client.get("/v1/targets", params={"funnel": "shop"})
    assert answer.content == asyncio.run(expected())
    (target,) = answer.json()["targets"]
    assert (target["fact"], target["elapsed"], target["verdict"]) == (30, pytest.approx(2.5 / 7, abs=0.01), "unknown")


def test_a_forecast_has_the_bytes_that_the_command_prints(client: httpx.Client) -> None:
    async def expected() -> bytes:
        question = ReportQuestion.parse(SHOP, {"dim": "channel"}, now_ms=NOW_MS)
        asked = report_forecast(await counted_shop(), question, with_back_test=True, now_ms=NOW_MS)
        return answer_json([await asked])

    answer = client.get("/v1/forecasts", params={"funnel": "shop", "dim": "channel", "back_test": "true"})
    assert answer.content == asyncio.run(expected())
    assert client.get("/v1/forecasts", params={"back_test": "yes"}).json()["code"] == "bad_parameter"


def test_a_view_has_the_bytes_that_the_command_prints(client: httpx.Client) -> None:
    async def expected() -> bytes:
        question = ReportQuestion.parse(SHOP, {"since": "2025-01-01", "until": "2025-01-02"}, now_ms=NOW_MS)
        return answer_json([await report_view(await counted_shop(), question, view="sales", now_ms=NOW_MS)])

    query = {"funnel": "shop", "since": "2025-01-01", "until": "2025-01-02", "view": "sales"}
    assert client.get("/v1/views", params=query).content == asyncio.run(expected())
    assert client.get("/v1/views", params={"view": "boss"}).json()["code"] == "bad_question"


def test_an_sla_has_the_bytes_that_the_command_prints(client: httpx.Client) -> None:
    async def expected() -> bytes:
        question = ReportQuestion.parse(SHOP, {"dim": "manager"}, now_ms=NOW_MS)
        slas = Sla.parse_all(SHOP, "lead=4h")
        return answer_json([await report_sla(await counted_shop(), question, slas=slas, now_ms=NOW_MS)])

    answer = client.get("/v1/sla", params={"funnel": "shop", "dim": "manager", "sla": "lead=4h"})
    assert answer.content == asyncio.run(expected())
    assert client.get("/v1/sla", params={"sla": "lead=5h"}).json()["code"] == "bad_question"


def test_changes_have_the_bytes_that_the_command_prints(client: httpx.Client) -> None:
    async def expected() -> bytes:
        question = ReportQuestion.parse(SHOP, {"dim": "channel=google"}, now_ms=NOW_MS)
        return answer_json([await report_changes(await counted_shop(), question, now_ms=NOW_MS)])

    answer = client.get("/v1/changes", params={"funnel": "shop", "dim": "channel=google"})
    assert answer.content == asyncio.run(expected())
    (said,) = client.get("/v1/annotations").json()
    assert said == {"id": "a1", "at_ms": NOW_MS - 3_600_000, "text": "prices +10 %", "funnel": None}
    assert [change["id"] for change in answer.json()["changes"]] == ["a1"]


def test_what_if_has_the_bytes_that_the_command_prints(client: httpx.Client) -> None:
    async def expected() -> bytes:
        question = ReportQuestion.parse(SHOP, {"dim": "channel"}, now_ms=NOW_MS)
        return answer_json([await report_what_if(await counted_shop(), question, lifts=Lifts.parse(SHOP, "lead=+10%"))])

    answer = client.get("/v1/what-if", params={"funnel": "shop", "dim": "channel", "what_if": "lead=+10%"})
    assert answer.content == asyncio.run(expected())
    assert [cell["dim"] for cell in answer.json()["cells"]][:2] == ["channel=facebook", "channel=google"]


@pytest.mark.parametrize(
    ("path", "status", "code", "text"),
    [
        ("/v1/comparisons?grain=day", 400, "bad_parameter", "the parameter compare is missing"),
        ("/v1/comparisons?compare=never", 400, "bad_question", "write previous, last-week or"),
        ("/v1/what-if", 400, "bad_parameter", "the parameter what_if is missing"),
        ("/v1/what-if?what_if=led=%2B10%25", 400, "bad_question", "write top, each or a stage"),
        ("/v1/what-if?funnel=shop&dim=manager&what_if=top=%2B1%25", 400, "bad_question", "other people"),
        ("/v1/reports?grain=year", 400, "bad_question", "no grain; write total"),
        ("/v1/reports?since=yesterday", 400, "bad_question", "write 2025-01-31"),
        ("/v1/reports?since=99999999999999999", 400, "bad_question", "1900 and 9000"),
        ("/v1/reports?funnel=shop&dim=city", 400, "bad_question", "channel, manager, channel|manager"),
        ("/v1/reports?grain=day&grain=hour", 400, "bad_parameter", "more than once"),
        ("/v1/reports?garin=day", 400, "bad_parameter", "funnel, grain, since, until, dim"),
        ("/v1/reports?" + 200 * "&a=b", 400, "bad_parameter", "100 parameters"),
        ("/v1/funnels?grain=day", 400, "bad_parameter", "there are: none"),
        ("/v1/reports?funnel=nobody", 404, "unknown_funnel", "shop, other"),
        ("/v1/nothing", 404, "not_found", "/v1/reports"),
        ("/v1/reports/", 404, "not_found", "/v1/reports"),
    ],
)
def test_errors_have_one_shape(client: httpx.Client, path: str, status: int, code: str, text: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert set(document) == {"code", "message", "detail"}
    assert document["code"] == code
    assert text in document["message"] + document["detail"]
    assert answer.headers["cache-control"] == "no-store"


def test_it_is_read_only(client: httpx.Client) -> None:
    answer = client.post("/v1/reports")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert sorted(answer.headers["allow"].split(", ")) == ["GET", "HEAD"]
    with_body = client.request("GET", "/v1/reports", content=b"{}")
    assert (with_body.status_code, with_body.json()["code"]) == (413, "body_not_allowed")


def test_health_readiness_and_metrics(client: httpx.Client) -> None:
    client.get("/v1/reports?grain=year")
    assert client.get("/healthz").json() == {"alive": True}
    assert client.get("/readyz").json() == {"ready": True, "reason": ""}
    text = client.get("/metrics").text
    assert 'funnelcast_web_answers_total{page="/v1/reports",status="400"}' in text
    assert 'funnelcast_web_answer_seconds_count{page="/v1/reports"}' in text


class _Away(MemoryCounterReader):
    """A server that does not answer."""

    async def partitions(self) -> list[int]:
        raise StoreUnavailableError("redis://secret@host does not answer")

    async def fingerprints(self) -> dict[str, str]:
        raise StoreUnavailableError("redis://secret@host does not answer")


def test_while_redis_is_away_it_says_so_and_when_to_come_back() -> None:
    async def away() -> MemoryCounterReader:
        return _Away(MemorySpace(clock_ms=lambda: 0))

    with served(away) as url:
        answer = plain_get(f"{url}/v1/reports")
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")
        assert "secret" not in answer.text
        ready = plain_get(f"{url}/readyz")
        assert (ready.status_code, ready.json()) == (503, {"ready": False, "reason": "Redis cannot be read"})


def test_another_definition_under_the_same_name_is_refused() -> None:
    with served(funnels=[SHOP.model_copy(update={"currency": "USD"})]) as url:
        answer = plain_get(f"{url}/v1/reports")
    assert (answer.status_code, answer.json()["code"]) == (500, "state_refused")
    assert "another definition" in answer.json()["message"]


def test_reports_need_a_read_key_where_one_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key, _ = create_key(path, source="owner", scope=Scope.READ, created_at="2025-01-01T00:00:00+00:00")
    write_key, _ = create_key(path, source="web", scope=Scope.SERVER, created_at="2025-01-01T00:00:00+00:00")
    with served(wrap=lambda app: ReadersOnly(app, KeyRing(path), has_reports=True)) as url:
        for guarded in ("/v1/reports", "/v1/reports/rates.csv", "/v1/funnels", "/metrics", "/v1/nothing", "/v1/"):
            answer = plain_get(url + guarded)
            assert (answer.status_code, answer.json()["code"]) == (401, "bad_key"), guarded
        assert plain_get(f"{url}/v1/reports", headers={"x-read-key": write_key}).status_code == 401
        assert plain_get(f"{url}/v1/reports", headers={"authorization": f"Bearer {key}"}).status_code == 200
        for is_open in ("/v1/openapi.json", "/healthz", "/readyz"):
            assert plain_get(url + is_open).status_code == 200


@rows("host", ["0.0.0.0", "::", "10.0.0.7", "reports.example.org"])  # noqa: S104
def test_the_network_sees_no_reports_without_a_key(host: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="add --require-read-key"):
        check_reports_are_guarded(WebSettings(host=host))
    check_reports_are_guarded(WebSettings(host=host, require_read_key=True, keys=tmp_path))
    for loopback in ("127.0.0.1", "::1", "localhost"):
        check_reports_are_guarded(WebSettings(host=loopback))

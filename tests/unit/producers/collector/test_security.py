"""Who may do what over HTTP, what every answer carries, what is never written down. docs/security.md names these."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from typer.testing import CliRunner

from funnelcast.cli import app
from funnelcast.ingest_rules import read_properties, server_names
from funnelcast.readers import ReadersOnly
from funnelcast.settings import SettingsError
from funnelcast.settings.sections import ClientSettings
from producers.access.keys import KeyRing, create_key, read_keys, revoke_key
from producers.collector.admission import Admission
from producers.collector.ratelimit import RateLimits
from producers.dead_letters.redact import redact
from producers.ingest.verdicts import Scope
from schemas.errors import InputFileError
from schemas.funnel.load import load_funnels, parse_funnel
from schemas.reasons import RejectReason
from tests.support.collector import NOW, TOPICS, CollectorInMemory, basic, event
from tests.support.rows import rows
from tests.support.waiting import computing_limit

OUTSIDE = "203.0.113.9"
SHOP = "https://shop.example"
BROWSER = Scope.BROWSER


class Clock:
    """Monotonic seconds that stand still until they are set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def collector(tmp_path: Path) -> CollectorInMemory:
    names = server_names(load_funnels(["sales"]))
    return CollectorInMemory(tmp_path, options={"server_names": names}, address=OUTSIDE)


class TestScopes:
    async def test_a_browser_key_sends_what_a_visitor_does(self, collector: CollectorInMemory) -> None:
        names = ["page_view", "click", "lead", "offer", "identify"]
        answer = await collector.post([event(n, name=name) for n, name in enumerate(names)], scope=BROWSER)
        assert answer.json()["accepted"] == len(names)

    @rows("name", ["payment", "Order Completed", "purchase", "repeat-purchase", "refund", "ad_spend"])
    async def test_a_browser_key_sends_no_money(self, collector: CollectorInMemory, name: str) -> None:
        answer = await collector.post([event(1, name=name), event(2)], scope=BROWSER)
        assert answer.status_code == 200
        first, second = answer.json()["results"]
        assert (first["status"], first["reason"]) == ("rejected", "not_allowed")
        assert "scope server" in first["detail"]
        assert second["status"] == "accepted"
        assert [one["reason"] for one in collector.dead_letters()] == ["not_allowed"]

    async def test_the_same_over_another_format(self, collector: CollectorInMemory) -> None:
        body = {"event": "Order Completed", "anonymousId": "v", "messageId": "m", "properties": {"revenue": 1}}
        answer = await collector.post(body, "/v1/track", scope=BROWSER)
        assert answer.json()["results"][0]["reason"] == "not_allowed"
        assert (await collector.post(body, "/v1/track")).json()["accepted"] == 1

    async def test_a_server_key_sends_money(self, collector: CollectorInMemory) -> None:
        assert (await collector.post(event(name="payment"))).json()["accepted"] == 1

    async def test_a_browser_key_that_was_allowed_to(self, tmp_path: Path) -> None:
        options = {"server_names": server_names(load_funnels(["sales"]))}
        collector = CollectorInMemory(tmp_path, options=options, browser={"allow": ("Order Completed",)})
        answer = await collector.post([event(1, name="order_completed"), event(2, name="payment")], scope=BROWSER)
        assert [one["status"] for one in answer.json()["results"]] == ["accepted", "rejected"]

    def test_names_that_all_browsers_may_send(self) -> None:
        assert "order_completed" not in server_names(load_funnels(["sales"]), ["Order Completed"])

    def test_a_page_that_is_an_order_stage_stays_a_page(self) -> None:
        funnel = parse_funnel(
            "{name: f, conversion_window: 1d, stages: [{name: thanks, order: true, on: "
            "[{event: page_view, where: {path: /thanks}}, paid]}]}"
        )
        assert server_names([funnel]) == {"paid", "refund", "ad_spend", "order_withdrawn", "order_restated"}
        assert "path" in read_properties([funnel])

    async def test_a_read_key_sends_nothing(self, collector: CollectorInMemory) -> None:
        answer = await collector.post(event(), scope=Scope.READ)
        assert answer.status_code == 401
        assert answer.json() == {
            "code": "bad_key",
            "message": "a read key cannot send",
            "detail": "send with a key of the scope browser or server",
        }
        assert collector.events() == []

    async def test_a_revoked_key_is_told_so(
        self, collector: CollectorInMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("producers.access.keys._RELOAD_SECONDS", 0.0)
        path = tmp_path / "keys.json"
        (stored,) = [one for one in read_keys(path) if one.scope == BROWSER]
        revoke_key(path, stored.id)
        answer = await collector.post(event(), scope=BROWSER)
        assert (answer.status_code, answer.json()["code"]) == (401, "revoked_key")
        assert stored.id in answer.json()["message"]
        assert (await collector.post(event())).status_code == 200

    async def test_nobody_guesses_a_key(self, collector: CollectorInMemory) -> None:
        key = collector.keys[Scope.SERVER]
        for wrong in (key[:-1], key + "x", key.upper(), key[4:], "fcs_", " ", "\x00", "null"):
            answer = await collector.request("POST", "/v1/events", b"{}", basic(wrong))
            assert (answer.status_code, answer.json()["code"]) == (401, "bad_key"), wrong


class TestOrigins:
    @pytest.fixture
    def bound(self, tmp_path: Path) -> CollectorInMemory:
        return CollectorInMemory(tmp_path, address=OUTSIDE, browser={"origins": (SHOP, "*.shop.example")})

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": SHOP},
            {"Origin": "HTTPS://SHOP.example:443"},
            {"Origin": "https://www.shop.example"},
            {"Origin": "http://a.b.shop.example"},
            {"Referer": "https://shop.example/cart?x=1"},
        ],
    )
    async def test_a_listed_page_sends(self, bound: CollectorInMemory, headers: dict[str, str]) -> None:
        assert (await bound.post(event(), scope=BROWSER, headers=headers)).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Origin": "null"},
            {"Origin": "http://shop.example"},
            {"Origin": "https://shop.example:8443"},
            {"Origin": "https://shop.example.evil.test"},
            {"Origin": "https://evilshop.example"},
            {"Origin": "https://evil.test", "Referer": "https://shop.example/"},
            {"Referer": "https://evil.test/?https://shop.example/"},
            {"Referer": "https://shop.example@evil.test/"},
        ],
    )
    async def test_another_page_does_not(self, bound: CollectorInMemory, headers: dict[str, str]) -> None:
        answer = await bound.post(event(), scope=BROWSER, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong_origin")
        assert answer.json().keys() == {"code", "message", "detail"}
        assert answer.headers.get("access-control-allow-origin") == headers.get("Origin")
        assert bound.events() == []
        assert [(one["reason"], one["source"]) for one in bound.dead_letters()] == [("wrong_origin", "source-browser")]

    async def test_dead_letters_of_wrong_pages_are_few(self, bound: CollectorInMemory) -> None:
        for _ in range(30):
            await bound.post(event(), scope=BROWSER)
        assert len(bound.dead_letters()) == 10
        assert bound.metric("events_total", reason="wrong_origin") == 30

    async def test_a_server_key_has_no_page(self, bound: CollectorInMemory) -> None:
        assert (await bound.post(event())).status_code == 200


class TestRates:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    async def test_an_address_that_sends_too_much_with_a_browser_key(self, tmp_path: Path, clock: Clock) -> None:
        collector = CollectorInMemory(
            tmp_path, admission=Admission(RateLimits(address=1), clock=clock), address=OUTSIDE
        )
        answers = [await collector.post(event(n), scope=BROWSER) for n in range(6)]
        assert [one.status_code for one in answers] == [200] * 5 + [429]
        shown = {name: answers[0].headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining", "reset")}
        assert shown == {"limit": "5", "remaining": "4", "reset": "1"}
        assert answers[-1].json() == {
            "code": "rate_limited",
            "message": "too many requests from this address",
            "detail": "send the same again in 1 s",
        }
        assert (answers[-1].headers["retry-after"], answers[-1].headers["x-ratelimit-remaining"]) == ("1", "0")
        clock.now = 1.0
        assert (await collector.post(event(9), scope=BROWSER)).status_code == 200
        assert collector.metric("rate_limited_total", by="address") == 1
        assert collector.metric("events_received_total") == 6
        assert collector.dead_letters() == []

    async def test_a_page_can_read_how_long_to_wait(self, tmp_path: Path, clock: Clock) -> None:
        collector = CollectorInMemory(
            tmp_path, admission=Admission(RateLimits(address=0.1), clock=clock), address=OUTSIDE
        )
        for _ in range(2):
            answer = await collector.post(event(), scope=BROWSER, headers={"Origin": SHOP})
        assert answer.status_code == 429
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert "Retry-After" in answer.headers["access-control-expose-headers"]

    @pytest.mark.parametrize(("scope", "address"), [(Scope.SERVER, OUTSIDE), (BROWSER, "127.0.0.1"), (BROWSER, "::1")])
    async def test_servers_and_this_machine_are_not_limited_by_address(
        self, tmp_path: Path, clock: Clock, scope: Scope, address: str
    ) -> None:
        collector = CollectorInMemory(
            tmp_path, admission=Admission(RateLimits(address=1), clock=clock), address=address
        )
        answers = [await collector.post(event(n), scope=scope) for n in range(20)]
        assert {one.status_code for one in answers} == {200}
        assert "x-ratelimit-limit" not in answers[0].headers

    async def test_a_proxy_that_nobody_named_is_logged_once(self, tmp_path: Path) -> None:
        collector = CollectorInMemory(tmp_path, address="10.0.0.1")
        with structlog.testing.capture_logs() as lines:
            for _ in range(3):
                answer = await collector.post(event(), scope=BROWSER, headers={"X-Forwarded-For": OUTSIDE})
        assert answer.status_code == 200
        assert [line["event"] for line in lines] == ["private_address_not_limited"]
        assert "--trusted-proxies" in lines[0]["message"]

    async def test_a_key_that_states_a_rate_pays_for_events(self, tmp_path: Path, clock: Clock) -> None:
        collector = CollectorInMemory(tmp_path, admission=Admission(clock=clock), browser={"rate": 2.0})
        first = await collector.post([event(n) for n in range(9)], scope=BROWSER)
        assert (first.headers["x-ratelimit-limit"], first.headers["x-ratelimit-remaining"]) == ("10", "1")
        assert (await collector.post([event(n) for n in range(9)], scope=BROWSER)).status_code == 200
        answer = await collector.post(event(), scope=BROWSER)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
        assert answer.json()["message"] == "too many events with this write key"
        assert (await collector.post(event())).status_code == 200
        clock.now = 5.0
        assert (await collector.post(event(), scope=BROWSER)).status_code == 200

    async def test_a_rate_for_every_key(self, tmp_path: Path, clock: Clock) -> None:
        collector = CollectorInMemory(tmp_path, admission=Admission(RateLimits(key=1), clock=clock))
        statuses = [(await collector.post(event(n))).status_code for n in range(6)]
        assert statuses == [200] * 5 + [429]
        assert (await collector.post(event(), scope=Scope.HISTORICAL)).status_code == 200

    async def test_an_address_that_tries_keys_is_told_to_wait_and_costs_nothing_more(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        collector = CollectorInMemory(
            tmp_path, admission=Admission(RateLimits(refused=2), clock=clock), address=OUTSIDE
        )
        statuses = [(await collector.post(event(), scope=None)).status_code for _ in range(12)]
        assert statuses == [401] * 10 + [429] * 2
        assert collector.metric("rate_limited_total", by="refused") == 2
        assert collector.metric("events_total", reason="bad_key") == 10
        assert (await collector.post(event())).status_code == 200, "who has a key behind the same address may send"


class TestHeaders:
    @rows(
        ("method", "path", "status"),
        [
            ("POST", "/v1/events", 401),
            ("GET", "/v1/events", 405),
            ("GET", "/nothing", 404),
            ("OPTIONS", "/v1/events", 204),
            ("GET", "/healthz", 200),
            ("GET", "/metrics", 404),
        ],
    )
    async def test_every_answer(self, collector: CollectorInMemory, method: str, path: str, status: int) -> None:
        answer = await collector.request(method, path)
        assert answer.status_code == status
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "server" not in answer.headers
        assert "set-cookie" not in answer.headers

    async def test_a_pixel_may_be_embedded_anywhere(self, collector: CollectorInMemory) -> None:
        key = collector.keys[BROWSER]
        answer = await collector.request("GET", f"/pixel.gif?key={key}&e=impression&a=v&i=1")
        assert answer.status_code == 200
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"

    async def test_what_a_client_sends_is_no_header(self, collector: CollectorInMemory) -> None:
        answer = await collector.post(event(), headers={"Origin": "https://a.test"})
        assert answer.headers.get_list("access-control-allow-origin") == ["https://a.test"]
        for name, value in answer.headers.items():
            assert "\r" not in name + value
            assert "\n" not in name + value


class TestPages:
    """Everybody can read what stands on a page."""

    @rows("scope", [Scope.SERVER, Scope.HISTORICAL])
    async def test_a_page_cannot_use_a_secret_key(self, collector: CollectorInMemory, scope: Scope) -> None:
        sent = [("/v1/browser", {}), ("/v1/events", {"Origin": "https://shop.example"})]
        sent.append(("/v1/events", {"Sec-Fetch-Site": "cross-site"}))  # of a picture, which has no Origin
        for path, headers in sent:
            body = event() if path == "/v1/events" else {"events": [event()], "sent_at_ms": NOW}
            answer = await collector.post(body, path, scope=scope, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "wrong_origin")
            assert "keys revoke" in answer.json()["detail"]
        assert collector.events() == []
        own = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "cors"}  # typed into a browser; fetch of Node
        assert (await collector.post(event(), scope=scope, headers=own)).status_code == 200

    async def test_without_keys_a_page_reports_no_money(self, tmp_path: Path) -> None:
        collector = CollectorInMemory(tmp_path, {"server_names": {"paid"}}, is_open=True)
        page = {"Origin": "https://anywhere.example"}
        for headers, status in ((page, "rejected"), ({}, "accepted")):
            answer = await collector.post(event() | {"name": "paid"}, scope=None, headers=headers)
            assert answer.json()["results"][0]["status"] == status
        assert (await collector.post(event(), scope=None, headers=page)).json()["accepted"] == 1


class TestSecretsOfCommands:
    def test_a_page_gets_no_secret_key(self) -> None:
        for prefix in ("fcs_", "fch_", "fcr_"):
            refused = CliRunner().invoke(app, ["snippet", "--url", "https://c.example", "--key", f"{prefix}secret"])
            assert refused.exit_code == 2
            assert "key of the scope" in refused.output
            assert f"{prefix}secret" not in refused.output

    def test_the_state_directory_is_private_and_keys_come_from_files(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "empty.key").write_text("")
        sent = CliRunner().invoke(app, ["send", "nothing.jsonl", "--key-file", "empty.key"])
        assert isinstance(sent.exception, SettingsError | InputFileError)
        assert (tmp_path / ".funnelcast").stat().st_mode & 0o777 == 0o700

    def test_a_secret_is_read_from_stdin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("fcs_key\n"))
        assert ClientSettings(key_file=Path("-")).write_key() == "fcs_key"
        with pytest.raises(SettingsError, match="set one of them"):
            ClientSettings(key="a", key_file=Path("-")).write_key()


class TestReadKeys:
    async def ask(self, app: Any, path: str = "/metrics", **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://c") as client:
            return await client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    async def test_metrics_are_open_unless_asked_otherwise(self, collector: CollectorInMemory) -> None:
        assert (await self.ask(collector.app.health)).status_code == 200

    async def test_metrics_only_with_a_read_key(self, collector: CollectorInMemory, tmp_path: Path) -> None:
        app = ReadersOnly(collector.app.health, KeyRing(tmp_path / "keys.json"))
        key = collector.keys[Scope.READ]
        for headers in (
            {"authorization": f"Bearer {key}"},
            {"x_read_key": key},
            {"authorization": basic(key)["Authorization"]},
            {"authorization": httpx.BasicAuth("prometheus", key)._auth_header},
        ):
            assert (await self.ask(app, **headers)).status_code == 200, headers
        for headers in (
            {},
            {"authorization": f"Bearer {key}x"},
            {"authorization": "Basic ???"},
            {"authorization": f"Digest {key}"},
            {"x_read_key": collector.keys[Scope.SERVER]},
            {"x_read_key": collector.keys[BROWSER]},
        ):
            answer = await self.ask(app, **headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "bad_key"), headers
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await self.ask(app, "/metrics/")).status_code == 401
        assert (await self.ask(app, "/healthz")).status_code == 200


@pytest.mark.parametrize(
    "command",
    [["collector", "--open", "--kafka", "127.0.0.1:9"], ["exporter", "--redis", "redis://127.0.0.1:9"]],
    ids=["collector", "exporter"],
)
def test_metrics_that_nobody_could_read_are_a_mistake(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FUNNELCAST_KEYS", raising=False)
    with pytest.raises(SettingsError, match="--require-read-key needs a file of keys"):
        CliRunner().invoke(app, [*command, "--require-read-key"], catch_exceptions=False)


SECRET = "fcs_" + "S" * 43


class TestNothingSecretIsWrittenDown:
    @rows(
        ("sent", "left"),
        [
            (b'{"writeKey":"abc","x":1}', b'{"writeKey":"***","x":1}'),
            (b'{"api_key" : "abc"}', b'{"api_key" : "***"}'),
            (b'{"properties":{"token":"a\\"bc"}}', b'{"properties":{"token":"***"}}'),
            (b'{"api_secret":"abc","client_secret":"d"}', b'{"api_secret":"***","client_secret":"***"}'),
            (b'{"writeKey":"cut off', b'{"writeKey":"***'),
            (b'{"token":"a\\\nb"}', b'{"token":"***"}'),
            (b'{"token": abc,"api_key":null}', b'{"token": "***","api_key":null}'),
            (b"writeKey=abc&e=1", b"writeKey=***&e=1"),
            (b"e=1&api_secret=abc&token=d", b"e=1&api_secret=***&token=***"),
            (b"event=X&auth[application_token]=abc&ts=1", b"event=X&auth[application_token]=***&ts=1"),
            (b"auth%5Baccess_token%5D=abc", b"auth%5Baccess_token%5D=***"),
            (b"k=abc&e=impression", b"k=***&e=impression"),
            (b'{"note":"my key is ' + SECRET.encode() + b'"}', b'{"note":"my key is ***"}'),
            (b'{"keyword":"shoes","monkey":"x"}', b'{"keyword":"shoes","monkey":"x"}'),
        ],
    )
    def test_keys_are_blotted_out(self, sent: bytes, left: bytes) -> None:
        assert redact(sent) == left

    @rows(
        "text",
        [
            b'"' + b"a" * 300_000 + b'token"',
            b'"token' * 50_000,
            b'"token"' + b" " * 300_000,
            b'"token":"' + rb"\"" * 150_000,
            b"&" + b"a_" * 150_000 + b"token",
            b"&k" * 150_000,
            b"fcb_" * 75_000,
            b"auth%5B" * 42_000,
        ],
        ids=range(8),
    )
    @computing_limit()  # the square of so many steps takes minutes
    def test_a_text_made_to_be_slow_is_not(self, text: bytes) -> None:
        assert redact(text)

    async def test_dead_letters_hold_no_key(self, collector: CollectorInMemory) -> None:
        key = collector.keys[Scope.SERVER]
        message = {"writeKey": key, "type": "nonsense", "token": "t0ps3cret", "messageId": key}
        await collector.post({"batch": [message], "writeKey": key}, "/v1/batch", scope=None)
        await collector.post({"batch": 5, "writeKey": key, "api_key": "t0ps3cret"}, "/v1/batch", scope=None)
        await collector.post({"writeKey": SECRET}, "/v1/track", scope=None)
        dead_letters = b"".join(one.value for one in collector.sink.records(TOPICS.rejected))
        assert len(collector.dead_letters()) == 3
        for secret in (key, SECRET, "t0ps3cret"):
            assert secret.encode() not in dead_letters

    async def test_logs_hold_no_key_and_no_e_mail(
        self, collector: CollectorInMemory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("a bug")

        key = collector.keys[Scope.SERVER]
        body = event(email="ann@example.com", properties={"password": "t0ps3cret"})
        caplog.set_level(logging.DEBUG)
        with structlog.testing.capture_logs() as lines:
            await collector.post(body, scope=None, headers={"X-Write-Key": SECRET})
            await collector.post({**body, "name": None})
            monkeypatch.setattr("producers.formats.native.split_events", broken)
            answer = await collector.post(body)
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert [one["event"] for one in lines] == ["request_failed"]
        written = str(lines) + caplog.text
        for secret in (key, SECRET, "ann@example.com", "t0ps3cret"):
            assert secret not in written

    async def test_answers_repeat_no_key(self, collector: CollectorInMemory) -> None:
        answer = await collector.post({"writeKey": SECRET}, "/v1/track", scope=None)
        assert SECRET not in answer.text

    def test_a_key_at_rest_is_a_hash_and_its_file_is_private(self, tmp_path: Path) -> None:
        key, _ = create_key(tmp_path / "keys.json", source="web", scope=BROWSER, created_at="")
        assert key not in (tmp_path / "keys.json").read_text()
        assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0


def test_every_status_of_these_reasons_is_in_the_document() -> None:
    text = (Path(__file__).parents[4] / "docs" / "api.md").read_text()
    for reason in (RejectReason.BAD_KEY, RejectReason.REVOKED_KEY, RejectReason.WRONG_ORIGIN, RejectReason.NOT_ALLOWED):
        assert f"### {reason.value}" in text
    assert "rate_limited" in text

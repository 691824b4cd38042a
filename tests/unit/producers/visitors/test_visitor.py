"""What visits: machines, prefetches, staff, countries and devices, out of a request and its events."""

from __future__ import annotations

from typing import Any

from producers.http.address import Networks
from producers.visitors.agents import device_of, is_machine, platform_of
from producers.visitors.visitor import Visitor, VisitorRules, properties_of
from tests.support.rows import rows

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"
IPAD = "Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X) AppleWebKit/605.1.15 Version/16.0 Mobile/15E148 Safari/604.1"
PIXEL = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36"
GALAXY_TAB = "Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 Chrome/130.0 Safari/537.36"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
RULES = VisitorRules(
    staff_addresses=Networks(["203.0.113.0/24"]), staff_cookie="funnelcast_staff", country_header=b"cf-ipcountry"
)


@rows(
    "agent",
    [
        "",
        " ",
        GOOGLEBOT,
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0 Safari/537.36",
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; GPTBot/1.2; +https://openai.com/gptbot",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "curl/8.5.0",
        "python-requests/2.32.3",
    ],
)
def test_machines(agent: str) -> None:
    assert is_machine(agent)


@rows(
    ("agent", "platform", "device"),
    [
        (CHROME, "Windows", "desktop"),
        (IPHONE, "iOS", "mobile"),
        (IPAD, "iOS", "tablet"),
        (PIXEL, "Android", "mobile"),
        (GALAXY_TAB, "Android", "tablet"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14.5; rv:130.0) Gecko/20100101 Firefox/130.0", "Mac OS X", "desktop"),
        ("something else", None, None),
    ],
)
def test_people_with_their_devices(agent: str, platform: str | None, device: str | None) -> None:
    assert not is_machine(agent)
    assert (platform_of(agent), device_of(agent)) == (platform, device)


@rows(
    ("headers", "address", "traffic"),
    [
        ({}, "198.51.100.1", "human"),
        ({b"sec-purpose": b"prefetch;prerender"}, "198.51.100.1", "prefetch"),
        ({b"purpose": b"prefetch"}, "203.0.113.9", "prefetch"),
        ({b"x-moz": b"prefetch"}, "198.51.100.1", "prefetch"),
        ({}, "203.0.113.9", "staff"),
        ({b"cookie": b"a=b; funnelcast_staff=1"}, "198.51.100.1", "staff"),
        ({b"cookie": b"a=funnelcast_staff; funnelcast_staff="}, "198.51.100.1", "human"),
    ],
)
def test_what_a_request_says(headers: dict[bytes, bytes], address: str, traffic: str) -> None:
    assert RULES.visitor_of(headers, address).traffic == traffic


def test_a_country_is_believed_of_a_trusted_proxy_alone() -> None:
    def country(value: bytes, *, is_trusted: bool = True) -> str | None:
        return RULES.visitor_of({b"cf-ipcountry": value}, "", is_proxy_trusted=is_trusted).country

    assert country(b"gr") == "GR"
    assert [country(b"GR", is_trusted=False), country(b"XX"), country(b"T1"), country(b"Greece")] == [None] * 4


PERSON, BOT = Visitor(CHROME), Visitor(GOOGLEBOT)
UNSURE = Visitor("okhttp/4.9", is_certain=False)
PAGE = {"page": {"url": "https://shop.example/"}}


@rows(
    ("properties", "context", "visitor", "key", "traffic"),
    [
        ({}, {}, None, None, None),  # a server
        ({}, {}, PERSON, None, None),
        ({}, {}, BOT, None, "bot"),
        ({}, {}, Visitor(""), None, "bot"),
        ({}, {"userAgent": CHROME}, BOT, None, None),  # the event knows its visitor better
        ({}, {"userAgent": GOOGLEBOT}, None, None, "bot"),
        ({}, {}, UNSURE, None, None),  # an app
        ({}, PAGE, UNSURE, None, "bot"),
        ({}, {}, Visitor(CHROME, "prefetch"), None, "prefetch"),
        ({}, {}, Visitor(GOOGLEBOT, "staff"), None, "staff"),
        ({}, {}, BOT, "canary", "canary"),
        ({}, {}, None, "staff", "staff"),
        ({"traffic": "canary"}, {}, BOT, "staff", None),
        ({"traffic": "human"}, {}, BOT, None, "bot"),  # anybody can say so
        ({"traffic": "organic"}, {}, BOT, None, "bot"),
        ({"traffic": "organic"}, {}, PERSON, None, None),
    ],
)
def test_the_class_of_an_event(
    properties: dict[str, Any], context: dict[str, Any], visitor: Visitor | None, key: str | None, traffic: str | None
) -> None:
    properties_seen = properties_of(properties, context, visitor=visitor, traffic=key, may_say_human=False)
    assert properties_seen.get("traffic") == traffic


def test_a_server_is_believed_that_an_event_is_a_persons() -> None:
    context = {"userAgent": GOOGLEBOT}
    assert (
        properties_of({"traffic": "human"}, context, visitor=None, traffic=None, may_say_human=True).get("traffic")
        is None
    )
    assert properties_of({"traffic": "Human"}, {}, visitor=None, traffic="staff", may_say_human=True) == {}


def test_country_and_device_are_added_where_an_event_states_none() -> None:
    visitor = Visitor(IPHONE, country="GR")
    properties_seen = properties_of({"device": "kiosk"}, {}, visitor=visitor, traffic=None, may_say_human=False)
    assert properties_seen == {"country": "GR", "platform": "iOS"}

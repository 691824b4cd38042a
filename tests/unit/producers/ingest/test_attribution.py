"""Channel and campaign out of links and parameters."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from producers.formats.attribution import CLICK_IDS, Origin, attribute, origin_of_link, origin_of_members
from tests.support.rows import rows


class TestLinks:
    @rows(
        ("link", "channel", "campaign"),
        [
            ("https://shop.example.com/a?utm_source=google&utm_campaign=spring%20sale", "google", "spring sale"),
            ("?utm_campaign=june+sale", None, "june sale"),
            ("utm_source=news", "news", None),
            ("https://example.com/?x=1&yclid=77", "yandex", None),
            ("https://example.com/?gclid=1&utm_source=partner", "partner", None),
            ("https://example.com/?fbclid=1&gclid=2", "google", None),
            ("https://example.com/#/deal?utm_source=mail", "mail", None),
            ("https://example.com/?utm_source=first&utm_source=second", "first", None),
            ("https://example.com/?gclid=&utm_source=", None, None),
            ("https://example.com/?not_gclid=1&xutm_source=2", None, None),
            ("https://example.com/?utm_source=%FF%00", "\N{REPLACEMENT CHARACTER}\0", None),
            ("http://[utm_source=x", None, None),
            ("", None, None),
            (7, None, None),
            (None, None, None),
        ],
    )
    def test_what_a_link_states(self, link: object, channel: str | None, campaign: str | None) -> None:
        assert origin_of_link(link) == (channel, campaign)

    @rows(("name", "channel"), CLICK_IDS.items())
    def test_every_click_id_names_its_channel(self, name: str, channel: str) -> None:
        assert origin_of_link(f"https://example.com/?a=b&{name}=xyz#top") == (channel, None)
        assert origin_of_members({name: "xyz"}) == (channel, None)

    @given(st.text())
    def test_no_text_is_too_odd(self, link: str) -> None:
        origin_of_link(link)
        origin_of_link(f"https://example.com/?utm_source={link}")


class TestMembers:
    @rows("odd", [None, "", 3, ["x"], {"a": 1}, True])
    def test_a_source_that_is_no_text_is_none(self, odd: Any) -> None:
        assert origin_of_members({"utm_source": odd, "utm_campaign": odd}) == (None, None)


class TestAttribute:
    def test_adds_what_is_absent_of_the_first_that_knows(self) -> None:
        properties: dict[str, Any] = {"channel": "own", "campaign": None}
        attribute(properties, Origin("one"), Origin("two", "c2"), Origin("three", "c3"))
        assert properties == {"channel": "own", "campaign": "c2"}

"""Campaign tags and click ids out of addresses: the table that the snippet reads by, too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from producers.attribution.links import CLICK_IDS, click_id_of, tags_among, tags_of
from tests.support.addresses import ADDRESSES, Address
from tests.support.rows import rows


@rows("row", ADDRESSES)
def test_what_the_snippet_reads_from_an_address_is_read_here(row: Address) -> None:
    assert tags_of(f"https://shop.example{row['address']}") == row["tags"]
    assert tags_of(row["address"]) == row["tags"]


@rows("link", ["", None, 7, "http://[utm_source=x", "https://a.example/?gclid=&utm_source="])
def test_what_is_no_address_says_nothing(link: object) -> None:
    assert tags_of(link) == {}


def test_a_query_alone_is_read_with_and_without_its_mark() -> None:
    assert tags_of("?utm_campaign=june+sale") == tags_of("utm_campaign=june+sale") == {"utm_campaign": "june sale"}


def test_a_known_networks_click_id_comes_before_any_other() -> None:
    assert click_id_of(tags_of("/?partnerclickid=p&fbclid=f&gclid=g")) == ("gclid", "g")
    assert click_id_of(tags_of("/?partnerclickid=p&gclsrc=aw.ds")) == ("partnerclickid", "p")
    assert click_id_of(tags_of("/?gclsrc=aw.ds")) is None
    assert all(click_id_of(tags_among({name: "x"})) == (name, "x") for name in CLICK_IDS)


def test_members_that_are_no_text_say_nothing() -> None:
    assert tags_among({"utm_source": 3, "utm_medium": ["x"], "gclid": True, "utm_term": ""}) == {}


@given(st.text())
def test_no_text_is_too_odd(link: str) -> None:
    tags_of(link)
    tags_of(f"https://shop.example/?utm_source={link}#{link}")

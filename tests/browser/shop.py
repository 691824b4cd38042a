"""A web site on a port of its own: pages as text, with headers, and what stands on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from playwright.sync_api import Page

from tests.browser.server import Answer, PageServer

BODY = """
<p data-funnel-impression=hero_view data-funnel-banner=spring>Spring sale</p>
<button id=buy data-funnel-event=cta_click data-funnel-order-id=p-1><b>Buy</b></button>
<a id=next href=/next>Next</a>
<form id=ask name=contact data-funnel-form=lead onsubmit="return false">
<input name=email type=email value=Ann@example.com><input name=tel type=tel value="+49 30 901820">
<input name=hotel value=Hilton><input name=phone_model value="X 12">
<input name=note value=secret1><input type=password name=email_password value=secret2@x><button>Send</button></form>
<form id=search name=search onsubmit="return false"><input name=email value=bob@example.com><button>Find</button></form>
"""


@dataclass
class Shop(PageServer):
    """`pages` by path; a page that is asked for and not there is a 404."""

    pages: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    scripts: dict[str, bytes] = field(default_factory=dict)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """A page or a script."""
        path = path.partition("?")[0]
        if path in self.scripts:
            return Answer(200, {"Content-Type": "text/javascript; charset=utf-8", **self.headers}, self.scripts[path])
        page = self.pages.get(path)
        kind = {"Content-Type": "text/html; charset=utf-8", **self.headers}
        return Answer(404 if page is None else 200, kind, (page or "").encode())


def page(head: str, body: str = "", title: str = "Shop") -> str:
    """One page of the site."""
    return (
        f"<!doctype html><html><head><meta charset=utf-8><title>{title}</title>{head}</head><body>{body}</body></html>"
    )


def loaded(tab: Page) -> None:
    """Wait for the script."""
    tab.wait_for_function("typeof funnelcast.flush === 'function'")

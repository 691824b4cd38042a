"""`funnelcast snippet`: the HTML to paste. Puts addresses, hashes and the key together; asks no server."""

from __future__ import annotations

import json
import re
from html import escape
from typing import Annotated, Literal
from urllib.parse import urlsplit

import typer

from funnelcast.commands.options import JsonFlag
from funnelcast.say import emit
from producers.access.prefixes import SECRET_SCOPES

app = typer.Typer(add_completion=False)
STUB = """<script>
(function(f){f.q=f.q||[];"init track page identify reset consent".split(" ").forEach(function(m){
f[m]=f[m]||function(){f.q.push([m,arguments,Date.now(),location.href,document.title,document.referrer])}})
})(window.funnelcast=window.funnelcast||{})
</script>"""
"""Keeps what a page calls before the script is there; `api.js` replays it."""


@app.command(
    epilog="Examples:  funnelcast snippet --url https://collect.example.com --key fcb_...  ·  "
    "funnelcast snippet --url https://collect.example.com --key fcb_... --consent pending --json"
)
def snippet(
    *,
    url: Annotated[str, typer.Option(help="Where browsers reach the collector, e.g. https://collect.example.com.")],
    key: Annotated[str, typer.Option(help="A write key of the scope browser; it will be public.")],
    consent: Annotated[
        Literal["granted", "pending", "denied"], typer.Option(help="What holds until the page says otherwise.")
    ] = "granted",
    stub: Annotated[bool, typer.Option(help="With the inline stub, so that a page may call before the load.")] = True,
    attribute: Annotated[
        list[str] | None, typer.Option(help="A further data attribute: manual, params=q. Repeat; see docs/snippet.md.")
    ] = None,
    cookieless: Annotated[
        bool,
        typer.Option("--cookieless", help="Store nothing in browsers: a visitor is known for a day."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="The console says what is sent and answered.")] = False,
    nonce: Annotated[str | None, typer.Option(help="Of the page's Content-Security-Policy.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Print what goes into the <head> of every page: the stub, and the script by its permanent address and its hash."""
    from producers.snippet.builds import current

    base, key = _base(url), _public(key)
    build = current()
    source, integrity = base + build.path("funnelcast.js"), build.files["funnelcast.js"].integrity
    attributes = {"src": source, "integrity": integrity, "crossorigin": "anonymous", "data-key": key}
    if consent != "granted":
        attributes["data-consent"] = consent
    attributes |= {f"data-{name}": "" for name, wanted in (("cookieless", cookieless), ("debug", debug)) if wanted}
    attributes |= dict(_attribute(text) for text in attribute or ())
    html = _html(attributes, nonce, stub=stub)
    if not as_json:
        emit(html)
        return
    module = {"src": base + build.path("funnelcast.mjs"), "integrity": build.files["funnelcast.mjs"].integrity}
    emit(json.dumps({"build": build.name, "src": source, "integrity": integrity, "module": module, "html": html}))


def _base(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise typer.BadParameter("write an address such as https://collect.example.com", param_hint="--url")
    if parts.path.strip("/"):
        raise typer.BadParameter("the collector answers at the root of a host; leave the path away", param_hint="--url")
    return f"{parts.scheme}://{parts.netloc}"


def _public(key: str) -> str:
    """The key, unless it must never stand on a page."""
    scope = SECRET_SCOPES.get(key[:4])
    if scope is not None:
        raise typer.BadParameter(
            f"this is a key of the scope {scope}, and everybody can read what stands on a page; "
            "make one for browsers: funnelcast keys create --source web",
            param_hint="--key",
        )
    return key


def _attribute(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    name = name.strip().removeprefix("data-").lower()
    if not re.fullmatch(r"[a-z][a-z-]*", name):
        raise typer.BadParameter(f"{text!r} is not a name or name=value", param_hint="--attribute")
    return f"data-{name}", value.strip()


def _html(attributes: dict[str, str], nonce: str | None, *, stub: bool) -> str:
    permission = "" if nonce is None else f' nonce="{escape(nonce)}"'
    shown = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    script = f"<script async{permission} {shown}></script>"
    return f"{STUB.replace('<script>', f'<script{permission}>')}\n{script}" if stub else script

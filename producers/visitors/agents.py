"""What a user agent says: a machine or a person's browser, its platform and its kind of device. Pure.

Machines are those of the list crawler-user-agents (crawlers, headless browsers, image proxies, HTTP libraries),
platforms those of ua-parser; both lists come with packages that follow the field. Texts are cut: nobody's browser has
longer ones, and nobody may buy much time with a long one. The lists are read with the first agent: many uses of the
checks never see one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

MAX_CHARS: Final = 512
_REMEMBERED: Final = 16_384
MOBILE: Final = "mobile"
TABLET: Final = "tablet"
DESKTOP: Final = "desktop"


@lru_cache(maxsize=_REMEMBERED)
def is_machine(agent: str) -> bool:
    """Whether it is one of the list, or says nothing at all."""
    from crawleruseragents import is_crawler

    agent = agent[:MAX_CHARS]
    return not agent.strip() or is_crawler(agent)


@lru_cache(maxsize=_REMEMBERED)
def platform_of(agent: str) -> str | None:
    """`Windows`, `iOS`, `Android`, ...; None where it says none."""
    from ua_parser import parse_os

    system = parse_os(agent[:MAX_CHARS])
    return None if system is None else system.family


@lru_cache(maxsize=_REMEMBERED)
def device_of(agent: str) -> str | None:
    """`mobile`, `tablet` or `desktop`, by the words that browsers' makers tell sites to look for; None where there is
    no platform either."""
    if platform_of(agent) is None:
        return None
    if "iPad" in agent or ("Android" in agent and "Mobi" not in agent):
        return TABLET
    return MOBILE if "Mobi" in agent else DESKTOP

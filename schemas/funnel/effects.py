"""What a change of a definition does to the numbers, in words. Pure; knows no counts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from schemas.funnel.diff import Change

_OF_THE_FUNNEL: Final = {
    "name": "another funnel: counted beside the one before",
    "version": "counted beside the version before, which stays as it is",
    "timezone": "days, weeks and months begin at other moments",
    "currency": "amounts without a currency are of this one, and reports show it",
    "conversion_window": "another longest time from the first stage to the last: journeys end at other moments",
    "allowed_lateness": "events that come later than this are counted as late, and nowhere else",
    "reentry": "a person's next journey begins at another moment",
    "unit": "another thing is a journey: a person's line of events, or each deal of the person",
    "lead_in": "events before a deal lead to it from another distance",
    "sources": "events of other sources are looked at",
    "traffic": "events of other classes of traffic are looked at",
    "lost": "journeys are lost by other events, or for other reasons",
    "refunds": "other events give money back",
    "ad_spend": "other events are spend: cost per click, lead and sale",
    "pairs": "other combinations of two dimensions are counted",
    "scoring": "people are cold, warm and hot by other points",
    "description": "no number",
    "journeys": "no number: whether changes of journeys are published from now on",
}
_OF_A_STAGE: Final = {
    "abandon_after": "{name}: entries are abandoned, and revived, at another moment",
    "stalled_after": "{name}: open entries are stalled at another moment",
    "nth": "{name}: entered by other orders of a person",
    "role": "{name}: cost per thousand, click, lead or sale stand on another stage",
    "position": "{name}: another place in the order, so conversion is from and to other stages",
}
_OF_A_DIMENSION: Final = {
    "attribution": "{name}: a journey counts under the value of another of its events",
    "property": "{name}: values come from another place of the event",
    "values": "{name}: other values are counted by name, the rest is `other`",
    "cap": "{name}: so many values are counted by name, the rest is `other`",
    "position": "",
}


def effect_of(change: Change) -> str:
    """A sentence without its full stop; empty where nothing has to be said."""
    kind, _, rest = change.path.partition(".")
    name, _, key = rest.rpartition(".") if _is_inner(change, rest) else (rest, "", "")
    if kind == "stages":
        return _of_a_stage(change, name, key)
    if kind == "dimensions":
        return _of_a_dimension(change, name, key)
    return _OF_THE_FUNNEL.get(kind, "")


def _is_inner(change: Change, rest: str) -> bool:
    """A whole stage or dimension that comes or goes is a mapping with its own name; a key of one is not."""
    whole = change.after if change.before is None else change.before
    return not (isinstance(whole, dict) and whole.get("name") == rest)


def _of_a_stage(change: Change, name: str, key: str) -> str:
    if not key:
        if change.before is None:
            return f"a new stage, entered by {_events(change.after['on'])}"
        return f"the stage is gone, and what {_events(change.before['on'])} counted there"
    if key != "on":
        return _OF_A_STAGE.get(key, "").format(name=name)
    before, after = [_rule(rule) for rule in change.before], [_rule(rule) for rule in change.after]
    gained = ", ".join(rule for rule in after if rule not in before)
    dropped = ", ".join(rule for rule in before if rule not in after)
    parts = [f"takes {gained} too"] * bool(gained) + [f"no longer takes {dropped}"] * bool(dropped)
    return f"{name}: {'; '.join(parts) or 'the same events, in another order'}"


def _of_a_dimension(change: Change, name: str, key: str) -> str:
    if key:
        return _OF_A_DIMENSION.get(key, "").format(name=name)
    return f"counted by {name} too" if change.before is None else f"no longer counted by {name}"


def _events(rules: Iterable[Any]) -> str:
    return ", ".join(_rule(rule) for rule in rules)


def _rule(rule: Any) -> str:
    """As a definition has it: a name, or a name with conditions."""
    if isinstance(rule, str):
        return rule
    return f"{rule['event']} where {json.dumps(rule['where'], ensure_ascii=False)}"

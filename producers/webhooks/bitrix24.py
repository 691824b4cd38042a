"""Bitrix24's outbound webhooks: a form that says which deal or lead changed, and nothing else of it. Pure.

The stage, the amount and the people have the API (`producers.webhooks.crm`). `auth[application_token]` is the secret.
"""

from __future__ import annotations

import re
from typing import Final

from producers.webhooks.amocrm import parse
from producers.webhooks.brackets import Tree
from producers.webhooks.told import Arrived, Delivery, Told, compact, members, moment, present, text

STAGES: Final[dict[str, str | None]] = {
    "lead.add": "lead_created",
    "deal.add": "lead_created",
    "lead.update": None,
    "deal.update": None,
    "NEW": "lead_created",
    "PREPARATION": "offer_sent",
    "PREPAYMENT_INVOICE": "invoice_sent",
    "EXECUTING": None,
    "FINAL_INVOICE": "invoice_sent",
    "WON": "payment",
    "LOSE": "deal_lost",
    "APOLOGY": "deal_lost",
    "lead/NEW": "lead_created",
    "lead/IN_PROCESS": None,
    "lead/PROCESSED": None,
    "lead/CONVERTED": None,
    "lead/JUNK": "lead_lost",
    "S": "payment",
    "F": "deal_lost",
    "lead/S": None,
    "lead/F": "lead_lost",
}
"""`S` and `F` are the semantics of a stage (success, failure): what a stage of one's own is, when nothing else says."""
_EVENT: Final = re.compile(r"ONCRM(DEAL|LEAD|CONTACT|COMPANY)(ADD|UPDATE|DELETE)")


def token_of(body: bytes) -> bytes | None:
    """The secret that came along. Raises RequestError."""
    token = text(members(parse(body).get("auth")).get("application_token"))
    return None if token is None else token.encode()


def read(arrived: Arrived) -> Delivery:
    """One event. Its element keeps no token."""
    tree = parse(arrived.body)
    auth = members(tree.get("auth"))
    account = text(auth.get("member_id"), auth.get("domain")) or arrived.account
    name = (text(tree.get("event")) or "event").upper()
    match = _EVENT.fullmatch(name)
    kind, action = (match[1].lower(), match[2].lower()) if match else ("object", name.lower())
    number = text(members(members(tree.get("data")).get("FIELDS")).get("ID")) or "unknown"
    time = text(tree.get("ts")) or ""
    told = Told(
        id=f"bitrix24:{account}:{kind}:{number}:{action}:{time}",
        type=f"{kind}_{action}",
        element=compact(_without_token(tree, auth)),
        subject=f"bitrix24:{account}:{kind}:{number}",
        keys=(f"{kind}.{action}",),
        occurred_ms=moment(time, unit_ms=1000),
        deal=number if kind in ("deal", "lead") and action in ("add", "update") else None,
    )
    told.properties = present(
        {
            "deal_id": number if kind == "deal" else None,
            "order_id": f"bitrix24:deal:{number}" if kind == "deal" else None,
        }
    )
    return Delivery([told], told.id)


def _without_token(tree: Tree, auth: Tree) -> Tree:
    known = {name: auth[name] for name in ("domain", "member_id") if name in auth}
    return {**{name: tree[name] for name in ("event", "data", "ts") if name in tree}, "auth": known}

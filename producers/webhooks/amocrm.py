"""amoCRM's and Kommo's webhooks: a form with brackets, several leads in one request, unsigned. Pure.

The hook tells the status and the price of a lead; who it is and why it was lost has the API (`producers.webhooks.crm`).
Status 142 is won and 143 is lost in every pipeline.
"""

from __future__ import annotations

from typing import Final

from producers.webhooks.brackets import Tree, branches, parse_brackets
from producers.webhooks.told import (
    Arrived,
    Delivery,
    Told,
    compact,
    delivery_of,
    members,
    moment,
    parse_object,
    present,
    text,
)

STAGES: Final[dict[str, str | None]] = {
    "leads.add": "lead_created",
    "unsorted.add": None,
    "142": "payment",
    "143": "deal_lost",
}
_DETAILED: Final = frozenset({"leads.add", "leads.status", "leads.restore"})


def parse(body: bytes) -> Tree:
    """The form, or one of its elements as a dead letter holds it. Raises RequestError."""
    return parse_object(body) if body.lstrip()[:1] == b"{" else parse_brackets(body)


def read(arrived: Arrived) -> Delivery:
    """One event for each thing of each list: `leads[status][0]`, `leads[status][1]`, `contacts[add][0]`, ..."""
    tree = parse(arrived.body)
    account = members(tree.get("account"))
    told = [
        _told(group, action, thing, account, arrived)
        for group, actions in tree.items()
        if group != "account"
        for action, things in members(actions).items()
        for thing in branches(things)
    ]
    return delivery_of(told)


def account_of(tree: Tree, arrived: Arrived) -> str:
    """The account as it names itself."""
    account = members(tree.get("account"))
    return text(account.get("subdomain"), account.get("id")) or arrived.account


def _told(group: str, action: str, thing: Tree, account: Tree, arrived: Arrived) -> Told:
    what, number = f"{group}.{action}", text(thing.get("id"), thing.get("uid")) or "unknown"
    owner = account_of({"account": account}, arrived)
    status, version = text(thing.get("status_id")), text(thing.get("last_modified"), thing.get("updated_at")) or ""
    told = Told(
        id=f"amocrm:{owner}:{what}:{number}:{version}",
        type=f"{group}_{action}",
        element=compact({group: {action: {"0": thing}}, "account": account}),
        subject=f"amocrm:{owner}:{_kind(group, thing)}",
        keys=(what,),
        occurred_ms=moment(thing.get("last_modified") or thing.get("updated_at"), unit_ms=1000),
    )
    if action == "add":
        told.id = f"amocrm:{owner}:{what}:{number}"
        created = thing.get("date_create") or thing.get("created_at")
        told.occurred_ms = moment(created, unit_ms=1000) or told.occurred_ms
    if group == "leads":
        told.properties = _lead(thing, number, arrived.currency)
        if action == "status":
            told.id = f"amocrm:{owner}:lead:{number}:{status}:{version}"
            told.keys, told.is_stage = (f"{text(thing.get('pipeline_id'))}/{status}", status or ""), True
        told.deal = number if what in _DETAILED else None
    told.email, told.phone = _contact(thing)
    return told


def _kind(group: str, thing: Tree) -> str:
    lead = text(thing.get("lead_id"))
    return f"lead:{lead}" if lead else f"{group.removesuffix('s')}:{text(thing.get('id'), thing.get('uid'))}"


def _lead(thing: Tree, number: str, currency: str | None) -> Tree:
    price = text(thing.get("price"))
    return present(
        {
            "value": price,
            "currency": currency if price is not None else None,
            "manager": text(thing.get("responsible_user_id")),
            "pipeline": text(thing.get("pipeline_id")),
            "stage": text(thing.get("status_id")),
            "reason": text(thing.get("loss_reason_name")),
            "deal_id": number,
            "order_id": f"amocrm:lead:{number}",
        }
    )


def _contact(thing: Tree) -> tuple[str | None, str | None]:
    """(e-mail, phone) of the fields that the account calls so."""
    found: dict[str, str | None] = {}
    for one in branches(thing.get("custom_fields")):
        code = (text(one.get("code"), one.get("name")) or "").upper()
        values = members(one.get("values"))
        value = next((text(members(each).get("value"), each) for each in values.values()), None)
        found.setdefault(code, value)
    return found.get("EMAIL"), found.get("PHONE")

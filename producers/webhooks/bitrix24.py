"""Bitrix24. Its outbound webhooks: a form that says which deal or lead changed, and nothing else of it. Its REST API
through an inbound webhook: everything.

`auth[application_token]` is the secret. Pure; the API is asked through a port.
"""

from __future__ import annotations

import re
from typing import Any, Final

from producers.attribution.links import TAG_NAMES
from producers.formats.port import Request
from producers.ingest.event import Members
from producers.webhooks.brackets import Tree, parse_form
from producers.webhooks.crm import CrmClient, Details
from producers.webhooks.delivery import (
    ORDER_STAGES,
    RESTATED,
    WITHDRAWN,
    Delivery,
    Further,
    RawDelivery,
    WebhookEvent,
    compact,
    items,
    members,
    moment,
    present,
    text,
)
from producers.webhooks.provider import Credentials, Provider
from producers.webhooks.signatures import Check, check_shared

_STAGES: Final[dict[str, str | None]] = {
    "lead.add": "lead_created",
    "deal.add": "lead_created",
    "lead.update": None,
    "deal.update": None,
    "deal.delete": "order_withdrawn",
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
    **ORDER_STAGES,
}
"""`S` and `F` are the semantics of a stage (success, failure): the meaning of a custom stage, where nothing else
says."""
_SAME_CHANGE_MS: Final = 2_000
"""What Bitrix24 changes so shortly after it moved a deal is part of the move."""
_EVENT: Final = re.compile(r"ONCRM(DEAL|LEAD|CONTACT|COMPANY)(ADD|UPDATE|DELETE)")


def token_of(body: bytes) -> bytes | None:
    """The secret of the delivery. Raises RequestError."""
    token = text(members(parse_form(body).get("auth")).get("application_token"))
    return None if token is None else token.encode()


def read(raw: RawDelivery) -> Delivery:
    """One event. Its element keeps no token."""
    tree = parse_form(raw.body)
    auth = members(tree.get("auth"))
    account = text(auth.get("member_id"), auth.get("domain")) or raw.account
    name = (text(tree.get("event")) or "event").upper()
    match = _EVENT.fullmatch(name)
    kind, action = (match[1].lower(), match[2].lower()) if match else ("object", name.lower())
    number = text(members(members(tree.get("data")).get("FIELDS")).get("ID")) or "unknown"
    time = text(tree.get("ts")) or ""
    event = WebhookEvent(
        id=f"bitrix24:{account}:{kind}:{number}:{action}:{time}",
        type=f"{kind}_{action}",
        element=compact(_without_token(tree, auth)),
        subject=f"bitrix24:{account}:{kind}:{number}",
        keys=(f"{kind}.{action}",),
        occurred_ms=moment(time, unit_ms=1000),
        deal=number if kind in ("deal", "lead") and action in ("add", "update") else None,
    )
    event.thing = event.subject if kind in ("deal", "lead") else None
    event.properties = present(
        {
            "deal_id": number if kind == "deal" else None,
            "order_id": f"bitrix24:deal:{number}" if kind == "deal" else None,
        }
    )
    return Delivery([event], event.id)


def _without_token(tree: Tree, auth: Tree) -> Tree:
    known = {name: auth[name] for name in ("domain", "member_id") if name in auth}
    return {**{name: tree[name] for name in ("event", "data", "ts") if name in tree}, "auth": known}


class Bitrix24:
    """An event of a deal is its stage and when it was reached: a change of something else is the same event again."""

    def __init__(self, http: CrmClient) -> None:
        self._http = http

    async def details(self, event: WebhookEvent) -> Details | None:
        """What the API adds."""
        kind = "lead" if event.type.startswith("lead") else "deal"
        thing = members(_result(await self._http.get(f"/crm.{kind}.get", params={"ID": event.deal or ""})))
        if not thing:
            return None
        stage = text(thing.get("STAGE_ID"), thing.get("STATUS_ID")) or ""
        semantics = text(thing.get("STAGE_SEMANTIC_ID"), thing.get("STATUS_SEMANTIC_ID")) or ""
        moved = text(thing.get("MOVED_TIME"))
        name = await self._stage_name(kind, stage, category=text(thing.get("CATEGORY_ID")))
        details = Details(
            keys=_keys(kind, stage, name=name, semantics=semantics),
            id=f"{event.subject}:{stage}:{moved or ''}",
            type=f"{kind}_stage",
            occurred_ms=moment(moved),
            test_mark="IS_RECURRING is Y" if thing.get("IS_RECURRING") == "Y" else None,
        )
        if kind == "deal":
            details.further = await self._of_the_order(thing, stage=stage, semantics=semantics)
        await self._person(details, event, thing=thing)
        details.properties = await self._properties(kind, thing, stage=stage, name=name, is_lost=semantics == "F")
        return details

    async def _of_the_order(self, deal: Members, *, stage: str, semantics: str) -> tuple[Further, ...]:
        """Whether a deal that was won is so no longer, or was changed since it was won: then its amount may be
        another."""
        if semantics == "S":
            changed, moved = moment(deal.get("DATE_MODIFY")), moment(deal.get("MOVED_TIME"))
            if changed is None or moved is None or changed - moved <= _SAME_CHANGE_MS:
                return ()
            return (Further((RESTATED,), version=str(changed), occurred_ms=changed),)
        params = {"entityTypeId": "2", "filter[OWNER_ID]": text(deal.get("ID")) or "", "order[ID]": "DESC"}
        moves = items(members(_result(await self._http.get("/crm.stagehistory.list", params=params))).get("items"))
        if len(moves) < 2 or text(moves[0].get("STAGE_ID")) != stage:
            return ()
        return (Further((WITHDRAWN,)),) if moves[1].get("STAGE_SEMANTIC_ID") == "S" else ()

    async def _properties(self, kind: str, thing: Members, *, stage: str, name: str | None, is_lost: bool) -> Members:
        value = text(thing.get("OPPORTUNITY"))
        products = await self._products(kind, text(thing.get("ID")))
        properties = present(
            {
                "value": value,
                "currency": text(thing.get("CURRENCY_ID")) if value is not None else None,
                "manager": await self._manager(text(thing.get("ASSIGNED_BY_ID"))),
                "stage": name or stage,
                "pipeline": text(thing.get("CATEGORY_ID")),
                "reason": (name or stage) if is_lost else None,
                "product": next(iter(products), None),
                "products": products or None,
            }
        )
        tags = {key.lower(): text(value) for key, value in thing.items() if key.lower() in TAG_NAMES}
        return present(tags) | properties

    async def _person(self, details: Details, event: WebhookEvent, *, thing: Members) -> None:
        """The contact of a deal; a lead has its own e-mail and phone."""
        number = text(thing.get("CONTACT_ID"))
        if number and number != "0":
            details.subject = f"{event.subject.rsplit(':', 2)[0]}:contact:{number}"
            thing = members(_result(await self._http.remembered("/crm.contact.get", params={"ID": number})))
        details.email, details.phone = _first(thing.get("EMAIL")), _first(thing.get("PHONE"))

    async def _manager(self, number: str | None) -> str | None:
        if number is None:
            return None
        users = items(_result(await self._http.remembered("/user.get", params={"ID": number})))
        names = [text(users[0].get(part)) for part in ("NAME", "LAST_NAME")] if users else []
        return " ".join(part for part in names if part) or number

    async def _products(self, kind: str, number: str | None) -> list[str]:
        if number is None:
            return []
        rows = items(_result(await self._http.get(f"/crm.{kind}.productrows.get", params={"ID": number})))
        return [name for one in rows[:20] if (name := text(one.get("PRODUCT_NAME")))]

    async def _stage_name(self, kind: str, stage: str, *, category: str | None) -> str | None:
        entity = "STATUS" if kind == "lead" else "DEAL_STAGE" + (f"_{category}" if category not in (None, "0") else "")
        statuses = items(_result(await self._http.remembered("/crm.status.list", params={"filter[ENTITY_ID]": entity})))
        return next((text(one.get("NAME")) for one in statuses if text(one.get("STATUS_ID")) == stage), None)


def _result(answer: Any) -> Any:
    return answer.get("result") if isinstance(answer, dict) else None


def _first(values: object) -> str | None:
    return next((text(one.get("VALUE")) for one in items(values)), None)


def _keys(kind: str, stage: str, *, name: str | None, semantics: str) -> tuple[str, ...]:
    """Its id, the id without the pipeline in front (`C1:WON`), its name, what kind of stage it is."""
    keys = [stage, stage.rpartition(":")[2], name or "", semantics if semantics in ("S", "F") else ""]
    return tuple(f"lead/{one}" if kind == "lead" else one for one in dict.fromkeys(keys) if one)


def check(request: Request, credentials: Credentials) -> Check:
    """The token of the body. Raises RequestError."""
    return check_shared(credentials.secrets, [token_of(request.body)])


BITRIX24: Final = Provider(
    name="bitrix24", read=read, check=check, stages=_STAGES, api=Bitrix24, needs_token=False, rate=2.0
)

"""amoCRM and Kommo. Their webhooks: a form with brackets, several leads in one request, unsigned. Their API v4: who
the lead is, who sells, why it was lost, what it is about.

A webhook has the status and the price of a lead, and little else. Status 142 is won and 143 is lost in every pipeline.
Pure; the API is asked through a port.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from producers.ingest.event import Members
from producers.webhooks.brackets import Tree, branches, parse_form
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
    delivery_of,
    items,
    members,
    moment,
    present,
    text,
)
from producers.webhooks.provider import Provider, check_address

_STAGES: Final[dict[str, str | None]] = {
    "leads.add": "lead_created",
    "unsorted.add": None,
    "142": "payment",
    "143": "deal_lost",
    **ORDER_STAGES,
}
_CLOSED: Final = ("142", "143")
_WITH: Final = {"with": "contacts,loss_reason,catalog_elements"}
_WON: Final = "142"
_DETAILED: Final = frozenset({"leads.add", "leads.status", "leads.restore"})


def read(raw: RawDelivery) -> Delivery:
    """One event for each thing of each list: `leads[status][0]`, `leads[status][1]`, `contacts[add][0]`, ...; of a lead
    that is added or restored as won or lost a second one, which says so."""
    tree = parse_form(raw.body)
    account = members(tree.get("account"))
    events = [
        _event(group, said, thing=thing, account=account, raw=raw)
        for group, actions in tree.items()
        if group != "account"
        for action, things in members(actions).items()
        for thing in branches(things)
        for said in _said(group, action, thing=thing)
    ]
    return delivery_of(events)


def _said(group: str, action: str, *, thing: Tree) -> tuple[str, ...]:
    """What a thing of a list says: no change of its status follows where a lead is added as won or lost."""
    is_back = group == "leads" and action in ("add", "restore")
    return (action, "status") if is_back and text(thing.get("status_id")) in _CLOSED else (action,)


def account_of(tree: Tree, raw: RawDelivery) -> str:
    """The account as it names itself."""
    account = members(tree.get("account"))
    return text(account.get("subdomain"), account.get("id")) or raw.account


def _event(group: str, action: str, *, thing: Tree, account: Tree, raw: RawDelivery) -> WebhookEvent:
    what, number = f"{group}.{action}", text(thing.get("id"), thing.get("uid")) or "unknown"
    owner = account_of({"account": account}, raw)
    status, version = text(thing.get("status_id")), text(thing.get("last_modified"), thing.get("updated_at")) or ""
    event = WebhookEvent(
        id=f"amocrm:{owner}:{what}:{number}:{version}",
        type=f"{group}_{action}",
        element=compact({group: {action: {"0": thing}}, "account": account}),
        subject=f"amocrm:{owner}:{_kind(group, thing)}",
        keys=(what,),
        occurred_ms=moment(version, unit_ms=1000),  # never the day of creation: an import sets it to any day
    )
    if action == "add":
        event.id = f"amocrm:{owner}:{what}:{number}"
    if group == "leads":
        event.thing = event.subject
        event.properties = _lead(thing, number, currency=raw.currency)
        if action == "status":
            event.id = f"amocrm:{owner}:lead:{number}:{status}:{version}"
            event.keys, event.is_stage = (f"{text(thing.get('pipeline_id'))}/{status}", status or ""), True
        event.deal = number if what in _DETAILED else None
        _of_the_order(event, action, thing=thing)
    event.email, event.phone = _contact(thing)
    return event


def _of_the_order(event: WebhookEvent, action: str, *, thing: Tree) -> None:
    """Whether a lead that was won is so no longer, or has a price of another day. Of a lead that is deleted the status
    may be missing: then it may have been won."""
    status, before = text(thing.get("status_id")), text(thing.get("old_status_id"))
    if action == "delete" and status in (None, _WON):
        event.keys = (WITHDRAWN,)
    elif action == "update" and status == _WON and "value" in event.properties:
        event.keys, event.deal = (RESTATED,), text(thing.get("id"))
    elif action == "status" and before == _WON and status != _WON:
        event.further = (Further((WITHDRAWN,)),)


def _kind(group: str, thing: Tree) -> str:
    lead = text(thing.get("lead_id"))
    return f"lead:{lead}" if lead else f"{group.removesuffix('s')}:{text(thing.get('id'), thing.get('uid'))}"


def _lead(thing: Tree, number: str, *, currency: str | None) -> Tree:
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
    """(e-mail, phone) of the fields with these names."""
    values_by_code: dict[str, str | None] = {}
    for field in branches(thing.get("custom_fields")):
        code = (text(field.get("code"), field.get("name")) or "").upper()
        values = members(field.get("values"))
        value = next((text(members(each).get("value"), each) for each in values.values()), None)
        values_by_code.setdefault(code, value)
    return values_by_code.get("EMAIL"), values_by_code.get("PHONE")


class AmoCrm:
    """Status, time and price stay the webhook's: they are what was true when it happened."""

    def __init__(self, http: CrmClient) -> None:
        self._http = http

    async def details(self, event: WebhookEvent) -> Details | None:
        """What the API adds."""
        lead = await self._http.get("/api/v4/leads/{}", event.deal, params=_WITH)
        if lead is None:
            return None
        lead = members(lead)
        embedded = members(lead.get("_embedded"))
        details = Details()
        await self._contact(details, event, contacts=items(embedded.get("contacts")))
        products = [name for one in items(embedded.get("catalog_elements"))[:5] if (name := await self._product(one))]
        reasons = [text(one.get("name")) for one in items(embedded.get("loss_reason"))]
        pipeline, stage = await self._place(event)
        price = text(lead.get("price"))
        details.properties = present(
            {
                "manager": await self._manager(event, lead),
                "reason": next(iter(reasons), None) if "143" in event.keys else None,
                "product": next(iter(products), None),
                "products": products or None,
                "pipeline": pipeline,
                "stage": stage,
                "value": price if event.properties.get("value") in (None, "0", "") else None,
            }
        )
        if event.is_stage and stage is not None:
            details.keys = (f"{pipeline}/{stage}", stage) if pipeline else (stage,)
        return details

    async def _contact(self, details: Details, event: WebhookEvent, *, contacts: list[Members]) -> None:
        main = next((contact for contact in contacts if contact.get("is_main")), next(iter(contacts), None))
        number = None if main is None else text(main.get("id"))
        if number is None:
            return
        details.subject = f"{event.subject.rsplit(':', 2)[0]}:contact:{number}"
        contact = members(await self._http.remembered("/api/v4/contacts/{}", number))
        for field in items(contact.get("custom_fields_values")):
            value = next((text(each.get("value")) for each in items(field.get("values"))), None)
            if field.get("field_code") == "EMAIL":
                details.email = details.email or value
            elif field.get("field_code") == "PHONE":
                details.phone = details.phone or value

    async def _manager(self, event: WebhookEvent, lead: Members) -> str | None:
        number = text(event.properties.get("manager"), lead.get("responsible_user_id"))
        if number is None:
            return None
        return text(members(await self._http.remembered("/api/v4/users/{}", number)).get("name"))

    async def _product(self, element: Members) -> str | None:
        catalog = text(members(element.get("metadata")).get("catalog_id"))
        product = await self._http.remembered("/api/v4/catalogs/{}/elements/{}", catalog, text(element.get("id")))
        return text(members(product).get("name"))

    async def _place(self, event: WebhookEvent) -> tuple[str | None, str | None]:
        """Names of the pipeline and the stage."""
        number, status = event.properties.get("pipeline"), event.properties.get("stage")
        if not number or not status:
            return None, None
        pipeline = members(await self._http.remembered("/api/v4/leads/pipelines/{}", number))
        statuses = items(members(pipeline.get("_embedded")).get("statuses"))
        return text(pipeline.get("name")), next(
            (text(one.get("name")) for one in statuses if text(one.get("id")) == status), None
        )


AMOCRM: Final = Provider(
    name="amocrm", read=read, check=check_address, stages=_STAGES, secret_in_path=True, api=AmoCrm, rate=7.0
)
KOMMO: Final = replace(AMOCRM, name="kommo")
"""The same product, under the name that it has outside Russia."""

"""HubSpot's CRM API: the amount of a deal, its owner, why it was lost, and whose it is."""

from __future__ import annotations

from typing import Final

from producers.webhooks.crm import CrmHttp, Details
from producers.webhooks.told import Members, Told, items, members, present, text

_DEAL: Final = {
    "properties": "amount,deal_currency_code,hubspot_owner_id,closed_lost_reason,pipeline,dealname",
    "associations": "contacts",
}

_CONTACT: Final = {"properties": "email,phone"}


class HubSpot:
    """Stage and time stay the hook's: they are what was true when it happened."""

    def __init__(self, http: CrmHttp) -> None:
        self._http = http

    async def details(self, told: Told) -> Details | None:
        """See `Crm`."""
        if told.type.startswith("contact"):
            found = Details()
            is_there = await self._person(found, told, told.deal or "")
            return found if is_there else None
        deal = await self._http.get("/crm/v3/objects/deals/{}", told.deal, params=_DEAL)
        if deal is None:
            return None
        found, known = Details(), members(members(deal).get("properties"))
        contacts = items(members(members(members(deal).get("associations")).get("contacts")).get("results"))
        number = next((text(one.get("id")) for one in contacts), None)
        if number is not None:
            await self._person(found, told, number)
        found.properties = await self._properties(told, known)
        return found

    async def _properties(self, told: Told, known: Members) -> Members:
        value = text(known.get("amount"))
        is_lost = told.properties.get("stage") == "closedlost"
        return present(
            {
                "value": value,
                "currency": text(known.get("deal_currency_code")) if value is not None else None,
                "manager": await self._manager(text(known.get("hubspot_owner_id"))),
                "reason": text(known.get("closed_lost_reason")) if is_lost else None,
                "pipeline": text(known.get("pipeline")),
            }
        )

    async def _person(self, found: Details, told: Told, number: str) -> bool:
        """The contact's e-mail and phone; False where there is no such contact."""
        found.subject = f"{told.subject.rsplit(':', 2)[0]}:contact:{number}"
        answer = await self._http.remembered("/crm/v3/objects/contacts/{}", number, params=_CONTACT)
        known = members(members(answer).get("properties"))
        found.email, found.phone = text(known.get("email")), text(known.get("phone"))
        return answer is not None

    async def _manager(self, number: str | None) -> str | None:
        if number is None:
            return None
        owner = members(await self._http.remembered("/crm/v3/owners/{}", number))
        names = [text(owner.get(part)) for part in ("firstName", "lastName")]
        return " ".join(part for part in names if part) or text(owner.get("email")) or number

    async def close(self) -> None:
        """See `Crm`."""
        await self._http.close()

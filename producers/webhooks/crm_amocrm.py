"""amoCRM's and Kommo's API v4: who the lead is, who sells, why it was lost, what it is about."""

from __future__ import annotations

from typing import Final

from producers.webhooks.crm import CrmHttp, Details
from producers.webhooks.told import Members, Told, items, members, present, text

_WITH: Final = {"with": "contacts,loss_reason,catalog_elements"}


class AmoCrm:
    """Status, time and price stay the hook's: they are what was true when it happened."""

    def __init__(self, http: CrmHttp) -> None:
        self._http = http

    async def details(self, told: Told) -> Details | None:
        """See `Crm`."""
        lead = await self._http.get("/api/v4/leads/{}", told.deal, params=_WITH)
        if lead is None:
            return None
        lead = members(lead)
        embedded = members(lead.get("_embedded"))
        found = Details()
        await self._contact(found, told, items(embedded.get("contacts")))
        products = [name for one in items(embedded.get("catalog_elements"))[:5] if (name := await self._product(one))]
        reasons = [text(one.get("name")) for one in items(embedded.get("loss_reason"))]
        pipeline, stage = await self._place(told)
        price = text(lead.get("price"))
        found.properties = present(
            {
                "manager": await self._manager(told, lead),
                "reason": next(iter(reasons), None) if "143" in told.keys else None,
                "product": next(iter(products), None),
                "products": products or None,
                "pipeline": pipeline,
                "stage": stage,
                "value": price if told.properties.get("value") in (None, "0", "") else None,
            }
        )
        if told.is_stage and stage is not None:
            found.keys = (f"{pipeline}/{stage}", stage) if pipeline else (stage,)
        return found

    async def _contact(self, found: Details, told: Told, contacts: list[Members]) -> None:
        main = next((one for one in contacts if one.get("is_main")), next(iter(contacts), None))
        number = None if main is None else text(main.get("id"))
        if number is None:
            return
        found.subject = f"{told.subject.rsplit(':', 2)[0]}:contact:{number}"
        contact = members(await self._http.remembered("/api/v4/contacts/{}", number))
        for one in items(contact.get("custom_fields_values")):
            value = next((text(each.get("value")) for each in items(one.get("values"))), None)
            if one.get("field_code") == "EMAIL":
                found.email = found.email or value
            elif one.get("field_code") == "PHONE":
                found.phone = found.phone or value

    async def _manager(self, told: Told, lead: Members) -> str | None:
        number = text(told.properties.get("manager"), lead.get("responsible_user_id"))
        if number is None:
            return None
        return text(members(await self._http.remembered("/api/v4/users/{}", number)).get("name"))

    async def _product(self, element: Members) -> str | None:
        catalog = text(members(element.get("metadata")).get("catalog_id"))
        found = await self._http.remembered("/api/v4/catalogs/{}/elements/{}", catalog, text(element.get("id")))
        return text(members(found).get("name"))

    async def _place(self, told: Told) -> tuple[str | None, str | None]:
        """Names of the pipeline and the stage."""
        number, status = told.properties.get("pipeline"), told.properties.get("stage")
        if not number or not status:
            return None, None
        pipeline = members(await self._http.remembered("/api/v4/leads/pipelines/{}", number))
        statuses = items(members(pipeline.get("_embedded")).get("statuses"))
        return text(pipeline.get("name")), next(
            (text(one.get("name")) for one in statuses if text(one.get("id")) == status), None
        )

    async def close(self) -> None:
        """See `Crm`."""
        await self._http.close()

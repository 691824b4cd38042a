"""Bitrix24's REST through an inbound webhook: everything, because its hooks say only which deal or lead changed."""

from __future__ import annotations

from typing import Any

from producers.formats.attribution import attribute, origin_of_members
from producers.webhooks.crm import CrmHttp, Details
from producers.webhooks.told import Members, Told, items, members, moment, present, text


class Bitrix24:
    """An event of a deal is its stage and when it was reached: a change of something else is the same event again."""

    def __init__(self, http: CrmHttp) -> None:
        self._http = http

    async def details(self, told: Told) -> Details | None:
        """See `Crm`."""
        kind = "lead" if told.type.startswith("lead") else "deal"
        thing = members(_result(await self._http.get(f"/crm.{kind}.get", params={"ID": told.deal or ""})))
        if not thing:
            return None
        stage = text(thing.get("STAGE_ID"), thing.get("STATUS_ID")) or ""
        semantics = text(thing.get("STAGE_SEMANTIC_ID"), thing.get("STATUS_SEMANTIC_ID")) or ""
        moved = text(thing.get("MOVED_TIME"))
        name = await self._stage_name(kind, stage, text(thing.get("CATEGORY_ID")))
        found = Details(
            keys=_keys(kind, stage, name, semantics),
            id=f"{told.subject}:{stage}:{moved or ''}",
            type=f"{kind}_stage",
            occurred_ms=moment(moved),
        )
        await self._person(found, told, thing)
        found.properties = await self._properties(kind, thing, stage, name, is_lost=semantics == "F")
        return found

    async def _properties(self, kind: str, thing: Members, stage: str, name: str | None, *, is_lost: bool) -> Members:
        value = text(thing.get("OPPORTUNITY"))
        products = await self._products(kind, text(thing.get("ID")))
        found = present(
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
        attribute(found, origin_of_members({key.lower(): thing.get(key) for key in ("UTM_SOURCE", "UTM_CAMPAIGN")}))
        return found

    async def _person(self, found: Details, told: Told, thing: Members) -> None:
        """The contact of a deal; a lead has its own e-mail and phone."""
        number = text(thing.get("CONTACT_ID"))
        if number and number != "0":
            found.subject = f"{told.subject.rsplit(':', 2)[0]}:contact:{number}"
            thing = members(_result(await self._http.remembered("/crm.contact.get", params={"ID": number})))
        found.email, found.phone = _first(thing.get("EMAIL")), _first(thing.get("PHONE"))

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

    async def _stage_name(self, kind: str, stage: str, category: str | None) -> str | None:
        entity = "STATUS" if kind == "lead" else "DEAL_STAGE" + (f"_{category}" if category not in (None, "0") else "")
        found = items(_result(await self._http.remembered("/crm.status.list", params={"filter[ENTITY_ID]": entity})))
        return next((text(one.get("NAME")) for one in found if text(one.get("STATUS_ID")) == stage), None)

    async def close(self) -> None:
        """See `Crm`."""
        await self._http.close()


def _result(answer: Any) -> Any:
    return answer.get("result") if isinstance(answer, dict) else None


def _first(values: object) -> str | None:
    return next((text(one.get("VALUE")) for one in items(values)), None)


def _keys(kind: str, stage: str, name: str | None, semantics: str) -> tuple[str, ...]:
    """Its id, the id without the pipeline in front (`C1:WON`), its name, what kind of stage it is."""
    keys = [stage, stage.rpartition(":")[2], name or "", semantics if semantics in ("S", "F") else ""]
    return tuple(f"lead/{one}" if kind == "lead" else one for one in dict.fromkeys(keys) if one)

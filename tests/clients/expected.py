"""What the log must hold when a client has done what it was told, said in the product's own terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Person:
    """Somebody who looks, says who they are, and buys."""

    number: int

    @property
    def plan(self) -> dict[str, Any]:
        """As the clients read it."""
        return {
            "anonymous": f"v-{self.number}",
            "user": f"u-{self.number}",
            "email": f"person{self.number}@example.com",
            "order": f"o-{self.number}",
            "value": 10.25 + self.number,
        }


Event = dict[str, Any]
"""Members that a record must have; a person's ids that are not named must be absent."""


def segment(person: Person) -> list[Event]:
    """Segment's and RudderStack's server clients."""
    plan = person.plan
    anonymous, user = {"anonymous_id": plan["anonymous"]}, {"user_id": plan["user"]}
    return [
        {"name": "page", **anonymous, "properties": {"path": "/", "name": "Home"}},
        {"name": "product_viewed", **anonymous, "properties": {"name": "Tea", "price": 3.5, "product": "Tea"}},
        {"name": "identify", **anonymous, **user, "email": True, "properties": {"plan": "team"}},
        {"name": "alias", **anonymous, **user, "properties": {}},
        {"name": "group", **user, "properties": {"size": 3, "group_id": "g1"}},
        {"name": "order_completed", **user, "properties": order(plan, revenue=plan["value"])},
    ]


def segment_browser(person: Person) -> list[Event]:
    """The same in a page: every message carries both ids once they are known, and where the visitor came from."""
    plan = person.plan
    anonymous = {"anonymous_id": plan["anonymous"]}
    both = anonymous | {"user_id": plan["user"]}
    origin = {"source": "news", "campaign": "may", "click_id": "1", "click_id_type": "gclid", "channel": "unassigned"}
    return [
        {"name": "page", **anonymous, "properties": origin | {"name": "Home", "path": "/tea"}},
        {"name": "product_viewed", **anonymous, "properties": origin | {"name": "Tea", "product": "Tea"}},
        {"name": "identify", **both, "email": True, "properties": origin | {"plan": "team"}},
        {"name": "alias", **both, "properties": origin},
        {"name": "group", **both, "properties": origin | {"group_id": "g1", "size": 3}},
        {"name": "order_completed", **both, "properties": origin | order(plan, revenue=plan["value"])},
    ]


def rudder_browser(person: Person) -> list[Event]:
    """RudderStack's client in a page repeats the traits, and with them the e-mail, in everything that follows."""
    first, second, *known = segment_browser(person)
    return [first, second, *(one | {"email": True} for one in known)]


def posthog(person: Person) -> list[Event]:
    """PostHog knows one id; only identify and alias say two."""
    plan = person.plan
    anonymous, user = {"anonymous_id": plan["anonymous"]}, {"user_id": plan["user"]}
    return [
        {"name": "page_view", **user_or(plan["anonymous"]), "properties": {"source": "news", "channel": "unassigned"}},
        {"name": "product_viewed", **user_or(plan["anonymous"]), "properties": {"name": "Tea", "price": 3.5}},
        {"name": "identify", **anonymous, **user, "email": True, "properties": {}},
        {"name": "alias", **anonymous, **user, "properties": {}},
        {"name": "group", **user, "properties": {}},
        {"name": "order_completed", **user, "properties": order(plan)},
    ]


def user_or(distinct_id: str) -> Event:
    """A `distinct_id` of a server is a user's, as far as anybody can tell."""
    return {"user_id": distinct_id}


def snowplow(person: Person) -> list[Event]:
    """Snowplow's tracker for Node.js, which was told both ids."""
    plan = person.plan
    anonymous = {"anonymous_id": plan["anonymous"]}
    both = anonymous | {"user_id": plan["user"]}
    return [
        {"name": "page_view", **anonymous, "properties": {"source": "google", "channel": "paid search"}},
        {"name": "product_viewed", **anonymous, "properties": {"name": "Tea", "price": 3.5}},
        {"name": "signed_up", **both, "properties": {}},
        {"name": "order_completed", **both, "properties": order(plan)},
        {"name": "order_completed", **both, "properties": {"order_id": f"{plan['order']}-t"}},
    ]


def cloudevents(person: Person) -> list[Event]:
    """The CloudEvents SDK: binary and structured."""
    plan = person.plan
    anonymous, user = {"anonymous_id": plan["anonymous"]}, {"user_id": plan["user"]}
    return [
        {"name": "page", **anonymous, "properties": {"path": "/"}},
        {"name": "identify", **anonymous, **user, "email": True, "properties": {}},
        {"name": "order_completed", **user, "properties": {"order_id": plan["order"], "value": plan["value"]}},
    ]


def order(plan: Event, **more: Any) -> Event:
    """What an order says of itself."""
    return {"order_id": plan["order"], "value": plan["value"], "currency": "EUR"} | more


CLIENTS: dict[str, Callable[[Person], list[Event]]] = {
    "segment_node": segment,
    "rudder_node": segment,
    "segment_browser": segment_browser,
    "rudder_browser": rudder_browser,
    "posthog_node": posthog,
    "snowplow_node": snowplow,
    "cloudevents_node": cloudevents,
}


def mismatch(record: Event, wanted: Event) -> str | None:
    """Why a record is not what was wanted."""
    for member in ("name", "anonymous_id", "user_id"):
        if record.get(member) != wanted.get(member):
            return f"{member} is {record.get(member)!r}, not {wanted.get(member)!r}"
    if ("contact_id" in record) != wanted.get("email", False):
        return f"contact_id is {record.get('contact_id')!r}"
    for member, value in wanted["properties"].items():
        if record["properties"].get(member) != value:
            return f"property {member} is {record['properties'].get(member)!r}, not {value!r}"
    return None

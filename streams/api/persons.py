"""The shape of what is shown of one person. Nothing else: the process that starts the server looks people up."""

from __future__ import annotations

from typing import TypedDict


class PersonEntry(TypedDict):
    """One stage entry of a journey, and why its outcome was booked."""

    stage: str
    at: str
    at_ms: int
    outcome: str
    reason: str | None
    why: str


class PersonJourney(TypedDict):
    """A journey of one of the person's ids."""

    deal: str | None
    funnel: str
    id: str
    state: str
    began_at: str
    began_at_ms: int
    ends_at: str
    ends_at_ms: int
    entries: list[PersonEntry]


class PersonDocument(TypedDict):
    """One person; null and nothing where nobody is known by the id."""

    person: str | None
    ids: list[str]
    deals: list[str]
    journeys: list[PersonJourney]

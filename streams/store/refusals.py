"""The sentences of `StoreRefusedError`: what contradicts what, and what an operator can do."""

from __future__ import annotations

from collections.abc import Sequence

from streams.store.port import StoreRefusedError


def other_topic(topic: str, *, bound: str, actual: str) -> StoreRefusedError:
    """The topic was recreated, or the stores were mixed up."""
    return StoreRefusedError(
        f"the counts of this space belong to topic {topic} with identity {bound}, but the broker has {actual}: the "
        "topic was recreated or this is another cluster. Name the right broker, or count into a new space."
    )


def other_definition(funnel_ids: Sequence[str]) -> StoreRefusedError:
    """A funnel changed without a new version."""
    names = ", ".join(funnel_ids)
    return StoreRefusedError(
        f"the definition of {names} differs from the one already counted under this version: "
        "raise `version` in the funnel file (the new version starts its own counts)."
    )


def funnel_missed_events(funnel_id: str, partition: int, *, left_out_at: int, offset: int) -> StoreRefusedError:
    """A funnel was switched off and on again."""
    return StoreRefusedError(
        f"funnel {funnel_id} was not counted on partition {partition} from offset {left_out_at} to {offset}: its "
        "numbers would miss these events. Raise `version` in the funnel file, or count from nothing in a new space."
    )


def newer_layout(place: str, *, stored: int, known: int) -> StoreRefusedError:
    """An older version meets the state of a newer one, which it would read as other numbers."""
    return StoreRefusedError(
        f"the state of {place} is in layout {stored}, written by a newer version; this one knows layouts up to "
        f"{known}: start the newer version, or count from nothing in a new space."
    )


def gap_without_state(partition: int) -> StoreRefusedError:
    """A gap can only be accepted where counting began."""
    return StoreRefusedError(f"partition {partition} has no state in this space: there is no gap to accept.")


def gap_behind_cursor(partition: int, *, cursor: int, offset: int) -> StoreRefusedError:
    """Moving back would count twice."""
    return StoreRefusedError(
        f"partition {partition} stands at offset {cursor}: moving it back to {offset} would count events twice. "
        "Count from nothing in a new space instead."
    )

"""Which event of a journey gives a dimension its value, and the number of touches as such a value. Pure."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

Attribution: TypeAlias = Literal["first", "stage", "last"]
"""The journey's first event; the one that enters the stage; the latest one that states a value."""
TOUCHES_PROPERTY: Final = "journey.touches"
"""Property of a dimension whose value no event says: how many events the journey had that are no orders."""
MOST_TOUCHES: Final = 20
TOUCHES: Final = (*map(str, range(MOST_TOUCHES + 1)), "more")
"""Values of such a dimension, by number."""

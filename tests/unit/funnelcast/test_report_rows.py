"""What a report says beside its table."""

from __future__ import annotations

from funnelcast.commands.report_rows import uncounted_values
from tests.support.days import days_reader, question


async def test_a_value_that_nothing_is_counted_under_is_named_with_the_one_meant() -> None:
    reader = await days_reader({46: {"google": (10, 2, 0), "mail": (5, 0, 0)}})
    asked = [question(dim=dim) for dim in ("channel=gogle", "channel=Mail", "channel=unknown", "channel", "")]
    assert await uncounted_values(reader, [*asked, question()]) == [
        "'gogle' is no value of channel that was counted (did you mean 'google'?)"
    ]

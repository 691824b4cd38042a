"""CSV of a document: every number with its address, and no text that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from typing import cast

from streams.report.document.shapes import CountersDocument
from streams.report.questions.long_form import COUNTER_COLUMNS, RATE_COLUMNS, counters_csv, rates_csv
from streams.report.services.report import report
from tests.support.days import days_reader, question


def test_a_line_for_each_amount() -> None:
    document = cast(
        CountersDocument,
        {
            "funnel": "shop",
            "version": 1,
            "counters": {
                "day": {
                    "2025-01-06": {"channel=a,b": {"click": {"entries": 2, "lost.cohort": {"=1+1": 1, "price": 3}}}}
                }
            },
        },
    )
    assert counters_csv([document]).decode() == (
        ",".join(COUNTER_COLUMNS) + "\r\n"
        'shop,1,day,2025-01-06,"channel=a,b",click,entries,,2\r\n'
        'shop,1,day,2025-01-06,"channel=a,b",click,lost.cohort,\'=1+1,1\r\n'
        'shop,1,day,2025-01-06,"channel=a,b",click,lost.cohort,price,3\r\n'
    )


async def test_a_line_for_each_rate_that_is_there() -> None:
    document = await report(await days_reader({0: (10, 4, 1)}), question(grain="week", dim=""))
    rows = list(csv.DictReader(io.StringIO(rates_csv([document]).decode())))
    assert tuple(rows[0]) == RATE_COLUMNS
    by_name = {(row["rate"], row["of"]): row for row in rows}
    assert by_name["period_conversion", "click -> payment"]["value"] == "0.4"
    cohort = by_name["cohort_conversion", "click"]
    assert (cohort["bucket"], cohort["numerator"], cohort["denominator"], cohort["maturity"]) == (
        "2025-W02",
        "4",
        "10",
        "0.9",
    )
    assert by_name["money.revenue", ""]["value"] == "4000"
    assert ("money.spend", "") not in by_name

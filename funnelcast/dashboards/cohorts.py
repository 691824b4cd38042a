"""People who came at one time, at one age: what young cohorts will come to, and customers by age. Data only."""

from __future__ import annotations

from funnelcast.dashboards.panels import Bars, Dashboard, Lines, Place, Query, Row, Stat, Table, Variable
from funnelcast.dashboards.queries import (
    FUNNEL,
    FUNNEL_VARIABLES,
    INNER,
    WEEK,
    WINDOW,
    WINDOW_VARIABLE,
    named_in_order,
    newest,
    share,
    total,
)
from schemas.counters import AGE_EDGES_DAYS

_CUSTOMER_AGES = (
    ("0", "first order"),
    *((str(days), f"up to {days} days later") for days in AGE_EDGES_DAYS[1:]),
    ("inf", "later still"),
)

_AGE = f'{FUNNEL}, age="$age"'


def _at_age(part: str, offset: str = "") -> str:
    return share(
        newest(f"funnel_cohort_{part}{{{_AGE}}}{offset}", "stage"),
        newest(f"funnel_cohort_entries{{{_AGE}}}{offset}", "stage"),
    )


_ENTRIES = newest(f"funnel_window_entries{{{WINDOW}}}", "stage")
_AGES = Row(
    "At one age",
    (
        Lines("Went on within the age", "Of the newest entries that are at least so old, the share that went on within "
              "that time; dashed: a week ago. Comparable however young they are: alerts watch such shares.",
              Place(0, 0, 12, 9),
              (Query(_at_age("went_on"), "{{stage}}"), Query(_at_age("went_on", WEEK), "{{stage}} a week ago")),
              dashed="a week ago", unit="percentunit"),
        Lines("Left at the age", "The same cohorts: abandoned, and lost.", Place(12, 0, 12, 9),
              (Query(_at_age("abandoned"), "{{stage}}, abandoned"), Query(_at_age("lost"), "{{stage}}, lost")),
              unit="percentunit"),
        Table("Every age", "Entries of the newest cohorts of every age, and those that went on within it.",
              Place(0, 9, 24, 9),
              (Query(newest(f"funnel_cohort_entries{{{FUNNEL}}}", "stage", "age"), "entries"),
               Query(newest(f"funnel_cohort_went_on{{{FUNNEL}}}", "stage", "age"), "went on"),
               Query(share(newest(f"funnel_cohort_went_on{{{FUNNEL}}}", "stage", "age"),
                           newest(f"funnel_cohort_entries{{{FUNNEL}}}", "stage", "age")), "share"))),
    ),
)  # fmt: skip

_MATURITY = Row(
    "How much is known",
    (
        Lines("Maturity", "Of the entries of the window, the share that has an outcome: below 1 everything reads "
              "'so far'.", Place(0, 0, 12, 9),
              (Query(share(newest(f"funnel_window_cohort_resolved{{{WINDOW}}}", "stage"), _ENTRIES), "{{stage}}"),),
              unit="percentunit"),
        Lines("Bought so far", "Of the entries of the window, the share whose journey reached an order stage.",
              Place(12, 0, 12, 9),
              (Query(f"{share(newest(f'funnel_window_cohort_won{{{WINDOW}}}', 'stage'), _ENTRIES)} and {INNER}",
                     "{{stage}}"),),
              unit="percentunit"),
    ),
)  # fmt: skip

_CUSTOMERS = Row(
    "Customers",
    (
        Stat("New customers", "Persons whose first order of all was in the window.", Place(0, 0, 6, 9),
             (Query(total(f"funnel_window_customers{{{WINDOW}}}"), "customers"),)),
        Bars("Revenue by age of the customer", "By the time since the first order; of all time, in major units.",
             Place(6, 0, 18, 9),
             (named_in_order(total(f"funnel_customer_revenue{{{FUNNEL}}}", "age_days", "currency"), "age_days",
                             names=_CUSTOMER_AGES, keep="currency"),), unit="locale"),
    ),
)  # fmt: skip

DASHBOARD = Dashboard(
    title="Cohorts",
    name="cohorts",
    description="Entries of one age, how much of the newest is known, and customers by age.",
    variables=(*FUNNEL_VARIABLES, WINDOW_VARIABLE, Variable("age", "Age", listed="5m,1h,1d,7d", default="1h")),
    rows=(_AGES, _MATURITY, _CUSTOMERS),
)

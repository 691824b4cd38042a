"""What channels bring and cost. Data only."""

from __future__ import annotations

from funnelcast.dashboards.panels import Bars, Dashboard, Lines, Place, Query, Row, Stat, Table, Variable
from funnelcast.dashboards.queries import (
    DAYS_VARIABLE,
    FUNNEL,
    FUNNEL_VARIABLES,
    VALUE,
    WEEK,
    WINDOW,
    WINDOW_VARIABLE,
    by_value,
    first_stage,
    newest,
    share,
    total,
)

_REVENUE = newest(f"funnel_window_revenue{{{WINDOW}}}", "currency")
_ORDERS = newest(f"funnel_window_orders{{{WINDOW}}}", "currency")
_REFUNDS = newest(f"funnel_window_refunds{{{WINDOW}}}", "currency")
_COST = newest(f"funnel_window_cost{{{WINDOW}}}", "currency")
_EVER_SPENT = newest(f"funnel_dimension_spend{{{VALUE}}}", "value", "currency")
_EVER_TAKEN = total(f"funnel_dimension_revenue{{{VALUE}}}", "value", "currency")
_EVER_ORDERED = total(f"funnel_dimension_orders{{{VALUE}}}", "value", "currency")

_MONEY = Row(
    "Money of the window",
    (
        Stat("Revenue", "By currency, in major units; amounts of different currencies are never added.",
             Place(0, 0, 6, 5), (Query(_REVENUE, "{{currency}}"),), unit="locale", is_named=True),
        Stat("Orders", "By currency.", Place(6, 0, 6, 5), (Query(_ORDERS, "{{currency}}"),)),
        Stat("Average order", "Revenue over orders, by currency.", Place(12, 0, 6, 5),
             (Query(share(_REVENUE, _ORDERS), "{{currency}}"),), unit="locale", is_named=True),
        Stat("Left after refunds and cost", "Revenue less refunds and what was ordered cost, by currency.",
             Place(18, 0, 6, 5), (Query(f"{_REVENUE} - {_REFUNDS} - {_COST}", "{{currency}}"),), unit="locale",
             is_named=True),
        Lines("Revenue as time goes on", "Of the window; dashed: a week ago.", Place(0, 5, 12, 9),
              (Query(_REVENUE, "{{currency}}"),
               Query(newest(f"funnel_window_revenue{{{WINDOW}}}{WEEK}", "currency"), "{{currency}} a week ago")),
              dashed="a week ago", unit="locale"),
        Lines("Orders as time goes on", "Of the window; dashed: a week ago.", Place(12, 5, 12, 9),
              (Query(_ORDERS, "{{currency}}"),
               Query(newest(f"funnel_window_orders{{{WINDOW}}}{WEEK}", "currency"), "{{currency}} a week ago")),
              dashed="a week ago"),
    ),
)  # fmt: skip

_VALUES = Row(
    "By value of the dimension",
    (
        Table("Who brings buyers", "Entries of the first stage, those of them that bought so far, and orders of the "
              "window.", Place(0, 0, 14, 10),
              (Query(first_stage("entries"), "entries"), Query(first_stage("won"), "bought"),
               Query(share(first_stage("won"), first_stage("entries")), "share"),
               Query(total(f'funnel_dimension_window_orders{{{VALUE}, window="$days"}}', "value",
                           over=("stage", "currency")), "orders"))),
        Bars("Revenue by value", "Of the window, in major units.", Place(14, 0, 10, 10),
             (Query(by_value("revenue", "currency"), "{{value}} {{currency}}"),), unit="locale"),
        Lines("Share that bought, by value", "Of the entries of the first stage, those that bought so far.",
              Place(0, 10, 12, 9), (Query(share(first_stage("won"), first_stage("entries")), "{{value}}"),),
              unit="percentunit"),
        Lines("Revenue by value as time goes on", "Of the window, in major units.", Place(12, 10, 12, 9),
              (Query(by_value("revenue", "currency"), "{{value}} {{currency}}"),), is_stacked=True, unit="locale"),
        Table("Spend and return, of all time", "Advertising spend, revenue, and what an order cost; absent where "
              "nothing was spent.", Place(0, 19, 14, 9),
              (Query(f"{_EVER_SPENT} > 0", "spend"), Query(_EVER_TAKEN, "revenue"),
               Query(share(_EVER_TAKEN, _EVER_SPENT), "revenue per unit spent"),
               Query(share(f"({_EVER_SPENT} > 0)", _EVER_ORDERED), "spend per order"))),
        Bars("Open value by stage", "Value of the open entries in major units.", Place(14, 19, 10, 9),
             (Query(newest(f"funnel_stage_open_value{{{FUNNEL}}}", "stage", "currency"), "{{stage}} {{currency}}"),),
             unit="locale"),
    ),
)  # fmt: skip

DASHBOARD = Dashboard(
    title="Channels and money",
    name="money",
    description="Revenue, orders, what channels bring and what they cost.",
    variables=(
        *FUNNEL_VARIABLES,
        WINDOW_VARIABLE,
        DAYS_VARIABLE,
        Variable("dimension", "Dimension", 'funnel_dimension_entries{funnel="$funnel"}', default="channel"),
    ),
    rows=(_MONEY, _VALUES),
)

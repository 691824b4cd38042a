"""Who answers how soon, and what comes of it. Data only."""

from __future__ import annotations

from funnelcast.dashboards.panels import Bars, Dashboard, Lines, Place, Query, Row, Stat, Table, Variable
from funnelcast.dashboards.queries import (
    DAYS_VARIABLE,
    FUNNEL,
    FUNNEL_VARIABLES,
    INNER,
    VALUE,
    WINDOW,
    WINDOW_VARIABLE,
    by_step,
    by_value,
    in_order,
    newest,
    quantile,
    share,
    total,
)

_DURATION = "funnel_window_duration_seconds"
_ALL = newest(f'{_DURATION}_bucket{{{WINDOW}, le="+Inf"}}', "stage", "to")


def _within(edge: str) -> str:
    return share(newest(f'{_DURATION}_bucket{{{WINDOW}, le="{edge}"}}', "stage", "to"), _ALL)


def _agreed(part: str) -> str:
    return newest(f"funnel_sla_{part}{{{FUNNEL}}}", "stage")


_KEPT, _BREACHED = _agreed("kept"), _agreed("breached")


def _of_resolved(part: str) -> str:
    return f"{share(by_value(part, 'stage'), by_value('resolved', 'stage'))} and {INNER}"


_SPEED = Row(
    "Speed",
    (
        Stat("Within five minutes", "Of the entries of the window that went on, the share that did within five "
             "minutes.", Place(0, 0, 8, 6), (Query(_within("300.0"), "{{stage}} to {{to}}"),), unit="percentunit"),
        Stat("Within an hour", "The same within an hour.", Place(8, 0, 8, 6),
             (Query(_within("3600.0"), "{{stage}} to {{to}}"),), unit="percentunit"),
        Stat("Within a day", "The same within a day.", Place(16, 0, 8, 6),
             (Query(_within("86400.0"), "{{stage}} to {{to}}"),), unit="percentunit"),
        Lines("Half are answered within", "Median time to a later stage, as time goes on.", Place(0, 6, 12, 9),
              (Query(quantile(0.5, f"{_DURATION}_bucket{{{WINDOW}}}", "stage", "to"), "{{stage}} to {{to}}"),),
              unit="s", is_logarithmic=True),
        Bars("Stalled now", "Open entries that have not moved for as long as the funnel allows.", Place(12, 6, 12, 9),
             (in_order(newest(f"funnel_stage_stalled{{{FUNNEL}}}", "stage")),)),
        Table("Agreed times", "Of the newest day that can tell, per stage with `stalled_after`: who went on in "
              "that time, and who did so later or has not.", Place(0, 15, 24, 7),
              (Query(by_step(_agreed("seconds")), "agreed, seconds"), Query(by_step(_KEPT), "kept"),
               Query(by_step(_BREACHED), "breached"),
               Query(by_step(share(_KEPT, f"({_KEPT} + {_BREACHED})")), "share"))),
    ),
)  # fmt: skip

_PEOPLE = Row(
    "By value of the dimension",
    (
        Table("What became of their entries", "By value and stage: entries of the window, and of those with an outcome "
              "the share that went on. Whoever is named at one stage alone has no entries at the others.",
              Place(0, 0, 24, 10),
              (Query(by_step(f"{by_value('entries', 'stage')} > 0", "value"), "entries"),
               *(Query(by_step(f"{by_value(part, 'stage')} and {by_value('entries', 'stage')} > 0", "value"), name)
                 for part, name in (("advanced", "went on"), ("lost", "lost"), ("abandoned", "abandoned"))),
               Query(by_step(_of_resolved("advanced"), "value"), "share"))),
        Lines("Went on, by value", "Of the entries of the window that have an outcome, the share that went on.",
              Place(0, 10, 12, 9), (Query(_of_resolved("advanced"), "{{value}}, {{stage}}"),),
              unit="percentunit"),
        Lines("Lost, by value", "Of the entries of the window that have an outcome, the share that was lost.",
              Place(12, 10, 12, 9), (Query(_of_resolved("lost"), "{{value}}, {{stage}}"),),
              unit="percentunit"),
        Bars("Open now, by value", "Entries without an outcome yet.", Place(0, 19, 12, 9),
             (Query(total(f"funnel_dimension_open{{{VALUE}}}", "value"), "{{value}}"),)),
        Bars("Value of what is open, by value", "In major units.", Place(12, 19, 12, 9),
             (Query(total(f"funnel_dimension_open_value{{{VALUE}}}", "value", "currency"), "{{value}} {{currency}}"),),
             unit="locale"),
    ),
)  # fmt: skip

DASHBOARD = Dashboard(
    title="Managers and SLA",
    name="managers",
    description="How soon people are answered, and what becomes of whose entries.",
    variables=(
        *FUNNEL_VARIABLES,
        WINDOW_VARIABLE,
        DAYS_VARIABLE,
        Variable("dimension", "Dimension", 'funnel_dimension_entries{funnel="$funnel"}', default="manager"),
    ),
    rows=(_SPEED, _PEOPLE),
)

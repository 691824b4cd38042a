"""What fires, since when, and the evidence behind it. Data only."""

from __future__ import annotations

from funnelcast.dashboards.panels import Dashboard, Lines, Place, Query, Row, Stat, Table, Timeline
from funnelcast.dashboards.queries import FUNNEL, FUNNEL_VARIABLES, newest

_FIRING = 'ALERTS{alertname=~"Funnel.+", alertname!="FunnelWatchdog", alertstate="firing"}'
_DOWN = f'{FUNNEL}, direction="down"'
_WHOLE = f'{_DOWN}, dimension=""'
_ROSE = f'{FUNNEL}, direction="up", dimension=""'
_PLACE = ("kind", "stage", "dimension", "value")

_NOW = Row(
    "Firing",
    (
        Stat("Firing now", "Alerts that fire, the watchdog aside; some are muted by Alertmanager where another one "
             "explains them.", Place(0, 0, 5, 8), (Query(f"count({_FIRING}) or vector(0)", "alerts"),),
             steps=(("green", None), ("red", 1.0))),
        Table("Which", "docs/runbook.md has a heading for each.", Place(5, 0, 19, 8),
              (Query(f"max by (alertname, severity, funnel, stage, dimension, value, cause, partition) ({_FIRING}) "
                     'or max by (alertname) (ALERTS{alertname="FunnelWatchdog"})', "firing"),)),
        Timeline("When", "Every alert that fired in the time shown.", Place(0, 8, 24, 9),
                 (Query(f"max by (alertname, funnel, stage, value) ({_FIRING}) "
                        'or max by (alertname) (ALERTS{alertname="FunnelWatchdog"})',
                        "{{alertname}} {{funnel}} {{stage}} {{value}}"),)),
    ),
)  # fmt: skip

_EVIDENCE = Row(
    "Evidence",
    (
        Lines("Evidence that something fell", "In nats (docs/alerts.md); rules raise an alert at 6.",
              Place(0, 0, 12, 10),
              (Query(f"{newest(f'funnel_evidence_nats{{{_DOWN}}}', *_PLACE)} > 0 or "
                     f"{newest(f'funnel_evidence_nats{{{_WHOLE}}}', 'kind', 'stage')}",
                     "{{kind}} {{stage}} {{value}}"),)),
        Table("Numbers behind it", "The window that speaks most: how many went on or came, of how many, and what is "
              "normal.", Place(12, 0, 12, 10),
              tuple(Query(newest(f"funnel_evidence_{part}{{{_WHOLE}}}", "kind", "stage"), name)
                    for part, name in (("nats", "nats"), ("numerator", "numerator"), ("denominator", "of"),
                                       ("expected", "normal"), ("window_seconds", "window, s")))),
        Table("Causes", "What explains best that something fell.", Place(0, 10, 12, 8),
              (Query(newest(f"funnel_evidence_cause{{{FUNNEL}}}", *_PLACE, "cause"), "is so"),)),
        Lines("Evidence that something rose", "In nats: nobody is called for it.", Place(12, 10, 12, 8),
              (Query(newest(f"funnel_evidence_nats{{{_ROSE}}}", "kind", "stage"),
                     "{{kind}} {{stage}}"),)),
        Stat("Age of the evidence", "How long ago it was made; once a minute is normal.", Place(0, 18, 24, 4),
             (Query(newest(f"funnel_evidence_age_seconds{{{FUNNEL}}}", "funnel"), "age"),), unit="s",
             steps=(("green", None), ("yellow", 180.0), ("red", 600.0))),
    ),
)  # fmt: skip

DASHBOARD = Dashboard(
    title="Alerts",
    name="alerts",
    description="What fires, since when, and the evidence behind it.",
    variables=FUNNEL_VARIABLES,
    rows=(_NOW, _EVIDENCE),
)

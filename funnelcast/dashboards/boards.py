"""Every dashboard that is shipped. Data only."""

from __future__ import annotations

from typing import Final

from funnelcast.dashboards import alerts, cohorts, funnel, managers, money, pipeline

DASHBOARDS: Final = tuple(module.DASHBOARD for module in (funnel, money, managers, cohorts, alerts, pipeline))
"""In the order in which they are listed."""

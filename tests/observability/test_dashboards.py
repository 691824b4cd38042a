"""Every query of every panel, asked of the Prometheus that saw the story: none is empty, none is no number."""

from __future__ import annotations

import math
import warnings

import pytest

from tests.observability.history import DROPPED
from tests.observability.story import Story

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the SDK recommends a format that no file provider reads
    from funnelcast.dashboards.boards import DASHBOARDS
    from funnelcast.dashboards.panels import Dashboard
    from funnelcast.dashboards.picture import draw
    from funnelcast.dashboards.results import Results

pytestmark = pytest.mark.observability


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: str(board.name))
def test_every_query_returns_data(story: Story, board: Dashboard) -> None:
    results = Results(story.prometheus.url, funnel=DROPPED, seconds=600)
    series_of = {
        f"{panel.title}: {query.legend}": (results.newest if panel.is_table else results.over_time)(board, query)
        for row in board.rows
        for panel in row.panels
        for query in panel.queries
    }
    assert [name for name, series in series_of.items() if not series] == []
    values = [(name, value) for name, series in series_of.items() for each in series for _, value in each.points]
    assert [name for name, value in values if math.isnan(value)] == []


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: str(board.name))
def test_it_can_be_drawn(story: Story, board: Dashboard) -> None:
    picture = draw(board, Results(story.prometheus.url, funnel=DROPPED))
    for row in board.rows:
        for panel in row.panels:
            assert panel.title.replace("'", "&#x27;") in picture

"""Grafana dashboards as data. Development only: needs grafana-foundation-sdk; the product never imports this package.

`python -m funnelcast.dashboards` writes deploy/grafana/dashboards/; a test keeps the committed files equal to it.
"""

"""HTTP off the hot path: metrics, health and readiness of every process of ours, and pages made of reports.

The collector's HTTP is its own (docs/decisions/http-connection.md). Only this package imports Starlette and uvicorn.
"""

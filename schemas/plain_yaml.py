"""YAML as people mean it in the files they write for us. Reads texts, nothing else."""

from __future__ import annotations

import re
from typing import Any

import yaml

try:  # the same grammar, ten times as fast, where libyaml is there
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]


class PlainYaml(SafeLoader):
    """YAML in which only true and false are booleans (in YAML 1.1 the key `on` and the value `no` would be) and a date
    is a text."""


PlainYaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":timestamp"))]
    for first, resolvers in SafeLoader.yaml_implicit_resolvers.items()
}
PlainYaml.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def read_yaml(text: str) -> Any:
    """What a text in YAML or JSON says. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=PlainYaml)  # noqa: S506 - a SafeLoader

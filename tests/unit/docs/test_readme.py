"""README's walk of one event: the files are there, in the order an event takes, and each leads to the next."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise

from tests.support.sources import PACKAGES, ROOT

IMPORT = re.compile(rf"^ *from ((?:{'|'.join(PACKAGES)})[\w.]*) import (?:\(([^)]*)\)|(.*))$", flags=re.M)

JOINED = {
    ("producers/ingest/checks.py", "producers/spool/sink.py"): "funnelcast/commands/collector.py",
    ("producers/spool/sink.py", "producers/sink/kafka.py"): "funnelcast/commands/collector.py",
    ("producers/sink/kafka.py", "streams/transport/consumer.py"): None,
    ("streams/transport/consumer.py", "streams/worker/partition.py"): "streams/worker/app.py",
    ("streams/core/engine.py", "streams/store/redis.py"): "funnelcast/commands/worker.py",
    ("streams/store/redis.py", "streams/exporter/samples.py"): None,
}
"""Neighbours that do not import each other, and who joins them by a port; nobody where Kafka or Redis lies between."""


def walk() -> list[list[str]]:
    """The files of each step."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## Follow one event\n", 1)[1].split("\n## ", 1)[0]
    steps = re.findall(r"^(\d+)\. (.*)$", section, flags=re.M)
    assert [int(number) for number, _ in steps] == list(range(1, len(steps) + 1))
    return [re.findall(r"\[(\S+\.py)\]\((?:\1)\)", step) for _, step in steps]


@cache
def imports(file: str) -> frozenset[str]:
    """Our own files that a file imports."""
    files: set[str] = set()
    for module, several, single in IMPORT.findall((ROOT / file).read_text(encoding="utf-8")):
        folder = module.replace(".", "/")
        files |= {f"{folder}.py", *(f"{folder}/{name}.py" for name in re.findall(r"\w+", several or single))}
    return frozenset(name for name in files if (ROOT / name).is_file())


def reaches(start: str, end: str) -> bool:
    """Whether a file imports another, by however many others."""
    seen, todo = {start}, [start]
    while todo:
        following = imports(todo.pop()) - seen
        seen |= following
        todo += following
    return end in seen


def test_the_files_are_there() -> None:
    files = [file for step in walk() for file in step]
    assert len(files) >= 9
    assert all(walk()), "a step without a file"
    assert [file for file in files if not (ROOT / file).is_file()] == []
    assert len(set(files)) == len(files)


def test_each_leads_to_the_next() -> None:
    files = [file for step in walk() for file in step]
    pairs = list(pairwise(files))
    apart = {pair for pair in pairs if not (reaches(*pair) or reaches(*reversed(pair)))}
    assert apart == JOINED.keys()
    for pair, by in JOINED.items():
        assert by is None or all(reaches(by, file) for file in pair), (pair, by)

"""Writes docs/llms.txt: the pages of the site with one line each, in the form of llmstxt.org, for programs that read.

Run `python docs/write_llms.py` after a page was added to mkdocs.yml. A test compares the committed file with what this
script writes. It reads mkdocs.yml and the pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).resolve().parent
FILE = DOCS / "llms.txt"
ELSEWHERE = ("changelog.md", "contributing.md")
"""Pages that are made of files beside docs/."""
_MOST = 200
"""Letters of a summary."""


class _Lines(yaml.SafeLoader):
    """mkdocs.yml names objects of Python, which nothing here needs."""


_Lines.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)


def text() -> str:
    """The file as it should be."""
    configuration = yaml.load((DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8"), Loader=_Lines)  # noqa: S506
    parts = [f"# {configuration['site_name']}\n\n> {configuration['site_description']}.\n"]
    for section in configuration["nav"]:
        for title, entries in section.items():
            lines = [_line(page) for page in pages_of(entries) if page not in ELSEWHERE]
            parts.append(f"\n## {title}\n\n{''.join(lines)}")
    return "".join(parts)


def pages_of(entry: Any) -> Iterator[str]:
    """The pages of a part of the navigation, in its order."""
    if isinstance(entry, str):
        yield entry
        return
    for inner in entry.values() if isinstance(entry, dict) else entry:
        yield from pages_of(inner)


def _line(page: str) -> str:
    content = (DOCS / page).read_text(encoding="utf-8")
    title = re.search(r"^# (.+)$", content, flags=re.M)
    after = content[title.end() :] if title else content
    paragraphs = [each.strip() for each in re.split(r"\n\s*\n", after)]
    prose = next((each for each in paragraphs if re.match(r"[\w`\[*]", each)), "")
    plain = re.sub(r"\s+", " ", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", prose))
    summary = re.match(rf"(.{{1,{_MOST}}}?[.:])(?: |$)", plain)
    said = f": {summary[1].rstrip(':.')}." if summary else ""
    return f"- [{title[1] if title else page}]({page}){said}\n"


def main() -> None:
    """Write the file."""
    FILE.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()

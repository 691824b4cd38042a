"""A hook of MkDocs for what the site is not made of: links into the sources become plain text, CONTRIBUTING, CHANGELOG
and README become pages or the start page. Changes nothing on disk."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
_LINK = re.compile(r"(?<!!)\[([^\]\n]*)\]\(((?:\.\./)*)([^)\s:#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """CONTRIBUTING and CHANGELOG are pages beside the others, reached by links alone."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        text = re.sub(r"\]\(docs/", "](", text)
        files.append(File.generated(config, page, content=f"---\nhidden: true\n---\n{text}"))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that leave docs/ are told apart by where they lead."""
    here = PurePosixPath(page.file.src_uri).parent
    depth = len(here.parts)
    is_from_outside = page.file.src_uri in PAGES.values()

    def rewritten(match: re.Match[str]) -> str:
        text, up, path, _anchor = match.groups()
        leaves = not (ROOT / "docs" / path).is_file() if is_from_outside else len(up) // 3 > depth
        if not leaves:
            return match[0]
        back = "../" * depth
        if path == "README.md":
            return f"[{text}]({back}index.md)"
        return f"[{text}]({back}{PAGES[path]})" if path in PAGES else text

    return _LINK.sub(rewritten, markdown)

"""What the documents point at exists, and what they promise in commands can be run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.support.rows import rows

ROOT = Path(__file__).parents[3]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@rows("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    targets = [target for target in LINK.findall(document.read_text(encoding="utf-8")) if "://" not in target]
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert missing == []


def test_the_two_commands_stand_first_in_the_readme() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.S)
    assert [block.strip() for block in blocks[:2]] == ["make demo", "make test"]


def test_every_verb_that_documents_name_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {verb for one in DOCUMENTS for verb in re.findall(r"`make ([a-z-]+)", one.read_text(encoding="utf-8"))}
    assert {verb for verb in named if not re.search(rf"^{verb}:", makefile, flags=re.M)} == set()


def test_nothing_committed_names_a_machine_or_a_registry() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    forbidden = re.compile(r"/home/\w+|/root/|/work/|pypi\.org|repo\.maven|registry\.npmjs|files\.pythonhosted")
    named = []
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path == Path(__file__).resolve() or not path.is_file() or path.suffix in (".gz", ".png"):
            continue
        if forbidden.search(path.read_text(encoding="utf-8", errors="replace")):
            named.append(name)
    assert named == []

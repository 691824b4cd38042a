"""Golden numbers: the counters documents of every preset over simulated events, byte for byte.

The laws say what the numbers must be; this says that they are what they were. To see the new hashes, run

    .venv/bin/python -m tests.property.test_golden
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import pytest

from schemas.funnel.presets import preset_names
from streams.report.document.counters import canonical_json
from tests.support.command import run_command

SEEDS = (1, 2)

EVENTS = {
    1: "f4e89e215bf1ef39e1f7b97b260ab1891375ea4a9016024bc5a1206dfeaf1996",
    2: "2b96a976a71d6a497eadbe6a9a7039f9349d41f70ae6f48df5bc593fb013b886",
}
"""sha256 of `funnelcast simulate --seed SEED --events 3000 --messy`."""

DOCUMENTS = {
    1: {
        "aida": "3f22138860ba3b2b1afac6d5a8c9b8e1caef692bf64690518b2bbf667175f768",
        "autofunnel": "563e2144b269ec2b4e7f8ccccc4186172a0ac7a1f02aaa0e50c31457ca17b586",
        "b2b8": "0cb483a5fdfd03797906adddec1de9d4edd5d6e22fde0fdec23959438321a467",
        "deal8": "3b2e376e8b2ec6bc4db1638c384628e08bfb7d539de05de7b848ba928d5ed450",
        "retail8": "8df6b4c6f7f26e66892720f5cf963b89b804e27c1ffdcaf769bde73ca6887886",
        "retention": "76dd9e016571ff3b7de5d47d4fbdb303d8deaf2e458888469c6aabded9fc248a",
        "sales": "fe0f41d0b5a7de77e7e9ec9fadbeb0750a336ae298537493fbf3f7a2078e10bd",
        "web": "1b458ae5dbb271ce361a1e7925f0f9de8a340e6b725a7b282af224eb3009bfa6",
    },
    2: {
        "aida": "a78061bcbf53756caf5cc6cad0260388a3522f8ac712b0d767c0450ecc8c8304",
        "autofunnel": "98a2f6f85b4a31bbcf61826617f2904729e753792d385b3a4704d0d4806ad08f",
        "b2b8": "5663f5c3244a5691a4accb3e6eaa4570dd9fea9858f2ef73942306a6cd18e4eb",
        "deal8": "96fa07fa7980417280fb2f50cb18a5c34c28386983f20b453e80c351276f95d2",
        "retail8": "744c7a383abcee7ca3ea9a5a94fe78e4a0862f278a7d7f9e2bbc289bdf9b0a40",
        "retention": "263c8c7374641189a7965ffc5e92d2d9c3b5c6041b9b775e77507d79677ca667",
        "sales": "43f2f2323c085c6bb38594c97513b3d1ca79909f97962987bfcca3a6f65f86fd",
        "web": "5f31d8fc0d1f8e21fbe73452de55f369a5714c7eeb7c82ba1daea3e0f640eee8",
    },
}
"""sha256 of `funnelcast replay --funnel NAME --events FILE --json` over those events."""

WHAT_NOW = """
A number, or the form of the document, is not what it was. That is a change of what users were promised, and needs a
decision: say in CHANGELOG.md which number changed and why, and in docs/semantics.md what it means now. Only then write
the hashes that `.venv/bin/python -m tests.property.test_golden` prints into tests/property/test_golden.py."""


def _output(directory: Path, *arguments: str) -> bytes:
    code, out, errors = run_command(*arguments, state_dir=directory)
    assert code == 0, errors
    return out


def _simulated(directory: Path, seed: int) -> bytes:
    return _output(directory, "simulate", "--seed", str(seed), "--events", "3000", "--messy")


def _counted(directory: Path, events: bytes) -> dict[str, str]:
    """Hash of each preset's document, all counted in one run: funnels do not touch each other."""
    file = directory / "events.jsonl"
    file.write_bytes(events)
    funnels = [argument for name in preset_names() for argument in ("--funnel", name)]
    documents = json.loads(_output(directory, "replay", *funnels, "--events", str(file), "--json"))
    return {
        name: hashlib.sha256(canonical_json(document) + b"\n").hexdigest()
        for name, document in zip(preset_names(), documents, strict=True)
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_the_simulated_events_and_the_numbers_of_every_preset_are_what_they_were(seed: int, tmp_path: Path) -> None:
    events = _simulated(tmp_path, seed)
    assert hashlib.sha256(events).hexdigest() == EVENTS[seed], f"other events of the simulator.{WHAT_NOW}"
    hashes = _counted(tmp_path, events)
    changed = sorted(name for name in preset_names() if hashes[name] != DOCUMENTS[seed].get(name))
    assert changed == [], f"seed {seed}: {', '.join(changed)}.{WHAT_NOW}"


def main() -> None:
    """Print the hashes of the code as it is."""
    with tempfile.TemporaryDirectory() as directory:
        for seed in SEEDS:
            events = _simulated(Path(directory), seed)
            print(f"{seed}: events {hashlib.sha256(events).hexdigest()}")
            for name, digest in _counted(Path(directory), events).items():
                print(f"{seed}: {name} {digest}")


if __name__ == "__main__":
    main()

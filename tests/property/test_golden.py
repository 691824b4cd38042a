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
from streams.report.document import canonical_json
from tests.support.command import run_command

SEEDS = (1, 2)

EVENTS = {
    1: "677ecf024ae9a0ac823b11a46e9c255871659bec0cce03f71b0e28962382da44",
    2: "8523d077268bf1f062d9d850daa41a7e785606d45aab6bd7588c0856c802eaa4",
}
"""sha256 of `funnelcast simulate --seed SEED --events 3000 --messy`."""

DOCUMENTS = {
    1: {
        "aida": "30e43730a73ecf92c763f368173b5d768481c0e6275db1a5edb8740d72dde44d",
        "autofunnel": "7d47856a3c00c733ce6e05089dd079f43906b560ba23454c751b3f16b90e6e15",
        "b2b8": "6b1163866b35860533f9f014a109837696e8a24b6507961556815881edde576a",
        "deal8": "da3d14acfb80de377aa24aab2e476216c5a0c837e5461b27b97d336a71ef90a8",
        "retail8": "3e9b332892360bbb336657f0ac9f504b0f5dcad5c75383b7bec5f1c67b181341",
        "retention": "8c66a251764e584bc4d1b61dea0d26fafb260f783a413b4621f4624ef498f951",
        "sales": "540f58f95597e9d5c037313b91060b8fe47690ec464d446ee0a6fa47e6cab644",
    },
    2: {
        "aida": "ee2ab5dfb414cf8f9b1b7673f36c431f3b53b3d74f2d06424862b5a256441c80",
        "autofunnel": "bc017e8a50cd5557f9bb0008db0564e801ba22770880f5f7ba01cf3bfe78fa46",
        "b2b8": "60e78f1a3ea768e799626185ccbe97b2f1da37cbb04e3480db81edf32e3df39f",
        "deal8": "bc53f71dfb16cd910d841c4839400d8f7dfbd2ac574b1935885adce792796497",
        "retail8": "ddee4efd02f11d53a9157b55999aa9265ee5edfdc63e5f884456ae7176fb283d",
        "retention": "29025f7570da8b8b91c4e14c9c9cd1bfbf2728ce90539288068660c2f6787eed",
        "sales": "167f6497841f1925ae682ad70059410b0e3ce80153e04e2e54e8d2e0dab9b542",
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

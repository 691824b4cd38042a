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
        "aida": "950735ad0eba20baaa0683a9ca0ce0534810320fb3850df66c636eb4f38942f8",
        "autofunnel": "12448b0490e785e214fffc1deada1c00837cff85750e2b164488792c7aa709b6",
        "b2b8": "542aa4a2d229ae89576537ac0bb74b8dab7b23261fb6891519c0c0d9b09e2693",
        "deal8": "4eed573fed39dbbb2cf6b83507513648e86571376230b0bc1f03f83c3af76563",
        "retail8": "7990a6dbe9a0983acbd8729a43869bc90a733060e539ef62bd528ed034fa96bf",
        "retention": "8acda1ceadd65f494ab7a37f7ba6f4c05ddc51d742face6ba1ac75a0dafd4d4e",
        "sales": "9c08ad2cabee44a76048a82ffc544110ce978fd26f3645ded6f0a50372521dea",
    },
    2: {
        "aida": "bb53ca228e3f2112f9d6bf7d5caebfa22c4d7065d7e258089f3642af35f5deae",
        "autofunnel": "2a31e663abaf9a48ccf6537d77614495138e6144c7e699847e19f3cd7096d037",
        "b2b8": "7bf69bfd26650ad408f4e6515240c211265cad137fad0376fc2cdce5af2d6d57",
        "deal8": "ad6d704b91394c37957473cd7be4fbdb3b35e942a421a402a3a6e956296d49d4",
        "retail8": "d17413720e7a98e86c32a72898d2835be425f26e7f5edcd4d81afc82f849f8b3",
        "retention": "2847388d93763c22516236a1c13e4fdcba062b41674b5115955e4be180fded6e",
        "sales": "f53c242f1f13e3a4b077d952c79d3a8f14b560257ce3529ab8293229a7bdc100",
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

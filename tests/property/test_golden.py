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
    1: "13315b1443063706906f85107cf751f4fd80192202ca2e3f1934f67c8f105782",
    2: "777e3e47d41143614c4f2125f38cdb62dfe517d45dfa0d2d7c62b0159e40f9d2",
}
"""sha256 of `funnelcast simulate --seed SEED --events 3000 --messy`."""

DOCUMENTS = {
    1: {
        "aida": "239bc42ee933895984af37b6e9105f3ed3fa51dba761ea8ff0b69978d5d72cdb",
        "autofunnel": "276d223457e382b599d4a80d381e305af5a0a8916b0b2300eaab95f6f4965558",
        "b2b8": "dc208195eb0ceac89d4774582bd100e1dff1ceafc16152fc5bfa4e76caf570c6",
        "deal8": "da3d14acfb80de377aa24aab2e476216c5a0c837e5461b27b97d336a71ef90a8",
        "retail8": "d27293b01163e187c2b33ade031fc54c57509091556919f18d2cd64d171d42d2",
        "retention": "660d23fa086aad2b5ebbe3d77f991064e35be49a487172bdaea6ed1c76b6dc31",
        "sales": "18783a48d4876ef40b91ebfa28560ae9ff12eec493d1317871f024165f1eb924",
    },
    2: {
        "aida": "e524e5e79a748dc3cb919c6e828b5ced2097c97dce57147e7ce5cc555a68492a",
        "autofunnel": "bdef4424d98c27880eb25a08f2f219ea51bd19617da822722653225407ec8955",
        "b2b8": "a821e2b3ac7853b102d4bf2bdc639107eade1f6cfb5dfee9cf1cfac1a1089505",
        "deal8": "bc53f71dfb16cd910d841c4839400d8f7dfbd2ac574b1935885adce792796497",
        "retail8": "9b07cd7fe58447c05513f5fb07940e5fe483a84b75164ac4759760ea73aeec68",
        "retention": "9f59ac3aeb76e555466af2b340dc948b1facef8e134b9551786e63fe8ca41a1b",
        "sales": "3b0bee48ba6a11b68de3529d5a77ad419a2aed7bde37d1d328e4e2e60c2e904d",
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

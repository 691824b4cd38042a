"""What a stack that was started here says is found, weaker than everything else; a killed one says nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from funnelcast.commands.replay import ReplaySettings
from funnelcast.settings import SettingsError
from funnelcast.settings.load import load_settings
from funnelcast.settings.processes import WorkerSettings
from funnelcast.settings.running import NAME, place, running
from funnelcast.stack.run_directory import RunDirectory

SAID = {"kafka": "127.0.0.1:1", "redis": "redis://127.0.0.1:2", "funnels": ["shop.yaml", 'a "b" ü.yaml']}


def worker(directory: Path, **variables: str) -> WorkerSettings:
    here = {"FUNNELCAST_STATE_DIR": str(directory)}
    return load_settings(
        WorkerSettings, environment=here | {f"FUNNELCAST_{name}": text for name, text in variables.items()}
    )


def test_commands_find_what_runs_here_and_anything_else_comes_first(tmp_path: Path) -> None:
    with place(tmp_path) as told:
        told.tell(SAID)
        started = worker(tmp_path)
        assert (started.kafka, started.redis, started.funnels) == (*list(SAID.values())[:2], tuple(SAID["funnels"]))
        assert started.sources["kafka"] == f"{tmp_path / NAME}: kafka"
        assert worker(tmp_path, KAFKA="other:9").kafka == "other:9"
        own = load_settings(WorkerSettings, {"kafka": "flag:9"}, file=told.path)
        assert (own.kafka, own.redis) == ("flag:9", SAID["redis"])
        here = {"FUNNELCAST_STATE_DIR": str(tmp_path)}
        assert load_settings(ReplaySettings, environment=here).kafka is None  # counts on a stack of its own
        assert told.path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(SettingsError, match="another stack or demo runs here"), place(tmp_path):
            pass
        assert running(tmp_path) is not None
    assert worker(tmp_path).kafka is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_a_killed_stack_left_says_nothing(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        with place(tmp_path) as told:
            told.tell(SAID)
            os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / NAME).exists()
    assert worker(tmp_path).kafka is None
    with place(tmp_path):
        assert worker(tmp_path).kafka is None


def test_a_state_directory_that_is_made_is_its_owners_alone(tmp_path: Path) -> None:
    """Whoever makes it: it holds persons and keys."""
    with place(tmp_path / "a"), RunDirectory.new(tmp_path / "b", "replay"):
        modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "b")}
    assert modes == {0o700}

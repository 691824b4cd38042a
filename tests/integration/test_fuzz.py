"""A short run of the fuzzer against a collector process; `--requests 100000` makes a long one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

from tests.support.command import run_command
from tests.support.thorough import cases


def test_thousands_of_shots_break_nothing(tmp_path: Path) -> None:
    shots = cases(3_000, few=1_000)
    arguments = ("collector", "--requests", str(shots), "--seed", "11", "--json")
    code, out, err = run_command("fuzz", *arguments, state_dir=tmp_path)
    assert out, err
    verdict = json.loads(out)
    assert verdict["faults"] == []
    assert (code, verdict["ok"]) == (0, True)
    assert sum(verdict["statuses"].values()) == verdict["requests"] == shots
    assert verdict["statuses"]["200"] > shots // 3
    assert len(verdict["by_format"]) >= 10
    assert verdict["rss_growth_bytes"] <= 50 * 1024 * 1024
    assert verdict["records"]["events"] > shots // 6


async def test_a_fault_is_kept_for_a_look(tmp_path: Path) -> None:
    """Whoever answers 500 to everything fails every request; the same number of the seed sends the same bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(b"HTTP/1.1 500 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        with contextlib.suppress(OSError):
            while await reader.read(65_536):  # closing on what was not read would take the answer back
                pass
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        arguments = ("fuzz", "collector", "--url", url, "--key", "MINE", "--seed", "3", "--json")
        code, out, err = await asyncio.to_thread(run_command, *arguments, "--requests", "20", state_dir=tmp_path)
        assert code == 1, err
        verdict = json.loads(out)
        fault = next(one for one in verdict["faults"] if "status 500" in one and "webhook" not in one)  # not signed
        number = fault.split()[1]
        saved = next(one for one in verdict["saved"] if one.endswith(f"-{number}.http"))
        sent = _taken(saved)
        await asyncio.to_thread(run_command, *arguments, "--only", number, state_dir=tmp_path)
    assert _taken(saved) == sent


def _taken(file: str) -> bytes:
    """What a file holds; it is gone then."""
    request = Path(file).read_bytes()
    Path(file).unlink()
    return request


def test_nobody_there_is_said(tmp_path: Path) -> None:
    for url, code, words in (("http://127.0.0.1:9", 75, "nothing answers"), ("https://127.0.0.1", 2, "no TLS")):
        exit_code, out, err = run_command("fuzz", "collector", "--url", url, state_dir=tmp_path)
        assert (exit_code, out) == (code, b"")
        assert words in err

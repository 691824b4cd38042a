"""`funnelcast ARGUMENTS` in a process of its own, forked from one that has imported everything.

The command has its own arguments, environment, directory and streams, and ends as the interpreter ends it. What is left
out is the import: more than half of the CPU of a short command, and most commands of the tests are short.
`start_command` (tests/support/command.py) starts a new interpreter, where that is what is tested or the process lives.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

NO_TEMPLATE = ("PYTHON", "LC_", "COLUMNS", "NO_COLOR", "TERM")
"""Variables that are read when an interpreter starts or a module is imported."""
_STREAMS = 3


class Template:
    """The process to fork from. Ends with this one, however that ends: it reads from a pipe that nobody writes to."""

    def __init__(self) -> None:
        self._path = Path(tempfile.mkdtemp(prefix="template-")) / "socket"
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self._path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        atexit.register(self._end)

    def _end(self) -> None:
        with self._process:  # closes the pipe, then waits
            pass

    def start(self, arguments: list[str], env: Mapping[str, str], directory: Path, streams: list[int]) -> socket.socket:
        """Fork a command. It writes its number, and its exit code when it has ended, to what is returned."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self._path))
        job = json.dumps({"arguments": arguments, "env": dict(env), "directory": str(directory)}).encode()
        socket.send_fds(connection, [b"%8d" % len(job)], streams)
        connection.sendall(job)
        return connection


_lock = threading.Lock()


@cache
def _template() -> Template:
    return Template()


def run(arguments: list[str], env: Mapping[str, str], directory: Path, limit: float) -> tuple[int, bytes, bytes]:
    """(exit code, stdout, stderr). Kills it and fails at the limit."""
    with _lock:  # threads may come at once
        template = _template()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, Path(os.devnull).open("rb") as nothing:
        with template.start(arguments, env, directory, [nothing.fileno(), out.fileno(), err.fileno()]) as answers:
            pid = int(answers.recv(8))
            answers.settimeout(limit)
            try:
                code = int(answers.recv(8))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise AssertionError(f"{arguments} did not end within {limit:g} s") from None
        out.seek(0)
        err.seek(0)
        return code, out.read(), err.read()


# -- in the template --------------------------------------------------------------------------------------------------


def _import_everything() -> None:
    for package in ("schemas", "producers", "streams", "funnelcast"):
        for module in walk_packages(import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__") and ".transport" not in module.name:
                import_module(module.name)


def _serve(path: str) -> None:
    """Fork for every connection. Returns in the command's own process alone."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(64)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([server, sys.stdin], [], [])
            if sys.stdin in ready:
                shutil.rmtree(Path(path).parent)
                os._exit(0)
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                _command(connection)
                return
            connection.close()


def _command(connection: socket.socket) -> None:
    """Become the command; the process in between waits for its end and says so."""
    length, streams, _, _ = socket.recv_fds(connection, 8, _STREAMS)
    job = json.loads(connection.recv(int(length), socket.MSG_WAITALL))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid:
        connection.sendall(b"%8d" % pid)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        connection.sendall(b"%8d" % code)
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["directory"])
    sys.modules["__main__"].__package__ = "funnelcast"  # what the command calls itself
    sys.argv = [str(Path(import_module("funnelcast").__path__[0]) / "__main__.py"), *job["arguments"]]


if __name__ == "__main__":
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"  # as the command does
    from funnelcast.__main__ import run as command

    _import_everything()
    gc.collect()
    gc.freeze()  # a page that is not written to is shared
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how those in between ended
    _serve(sys.argv[1])
    command()

"""What the peers are built from: jars, classes and a virtual environment in `.cache/peers`, made once for each change.

Raises ContenderError where a tool is missing or fails; the text says what to install. Starts no contender.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from bench.peers.contender import ContenderError

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "peers"
BUILD_SECONDS = 900.0
JVM = ("-Xms1g", "-Xmx3g", "-XX:+UseParallelGC", "--add-opens=java.base/java.util=ALL-UNNAMED")
"""Kryo, which Flink brings, looks into java.util."""


def java(main: str, *, options: Sequence[str] = JVM) -> list[str]:
    """The command of a compiled job."""
    jars = _made("jars", [HERE / "pom.xml"], make=_fetch)
    sources = sorted(HERE.glob("*.java"))
    classes = _made("classes", [HERE / "pom.xml", *sources], make=lambda to: _compile(jars, sources, target=to))
    return [_program("java", "openjdk-17-jre-headless"), *options, "-cp", f"{classes}{os.pathsep}{jars}/*", main]


def python(script: str) -> list[str]:
    """The command of a peer written in Python, in an environment without us."""
    environment = _made("venv", [HERE / "requirements.txt"], make=_install)
    return [str(environment / "bin" / "python"), "-P", str(HERE / script)]


def _made(what: str, inputs: Sequence[Path], *, make: Callable[[Path], None]) -> Path:
    """The directory that `make` fills from the inputs: another one when they change."""
    digest = sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()[:12]
    target = CACHE / f"{what}-{digest}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / ".made").exists():
            shutil.rmtree(target, ignore_errors=True)
            make(target)
            (target / ".made").touch()
    return target


def _fetch(target: Path) -> None:
    maven = _program("mvn", "maven")
    _run(maven, "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={target}")


def _compile(jars: Path, sources: Sequence[Path], *, target: Path) -> None:
    compiler = _program("javac", "openjdk-17-jdk-headless")
    _run(compiler, "-nowarn", "-cp", f"{jars}/*", "-d", str(target), *map(str, sources))


def _install(target: Path) -> None:
    _run(sys.executable, "-m", "venv", str(target))
    pip = (str(target / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check")
    _run(*pip, "-r", str(HERE / "requirements.txt"))


def _program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ContenderError(f"{name} is not there: install the Debian package {package}")
    return path


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ContenderError(f"{command[0]} did not end within {BUILD_SECONDS:.0f} s") from None
    if done.returncode != 0:
        raise ContenderError(f"{' '.join(command[:3])} failed:\n{(done.stdout + done.stderr)[-2000:]}")

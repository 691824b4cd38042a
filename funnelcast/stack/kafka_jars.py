"""The files of an Apache Kafka broker: fetched once through Maven, kept in a cache directory. Starts no broker.

Only what a plain broker loads is fetched (38 MB instead of 129): no command line tools, Connect, Streams, tiered
storage, secured listeners. The class archive (AppCDS) halves the time a JVM needs to start one.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

KAFKA = "4.1.0"
_JACKSON, _LOG4J = "2.19.0", "2.24.3"
_KAFKA_PARTS = (
    "kafka_2.13",
    "kafka-clients",
    "kafka-coordinator-common",
    "kafka-group-coordinator",
    "kafka-group-coordinator-api",
    "kafka-metadata",
    "kafka-raft",
    "kafka-server",
    "kafka-server-common",
    "kafka-share-coordinator",
    "kafka-storage",
    "kafka-storage-api",
    "kafka-transaction-coordinator",
)
ARTIFACTS: tuple[str, ...] = (
    *(f"org.apache.kafka:{name}:{KAFKA}" for name in _KAFKA_PARTS),
    "org.scala-lang:scala-library:2.13.16",
    "com.typesafe.scala-logging:scala-logging_2.13:3.9.5",
    f"com.fasterxml.jackson.core:jackson-core:{_JACKSON}",
    f"com.fasterxml.jackson.core:jackson-databind:{_JACKSON}",
    f"com.fasterxml.jackson.core:jackson-annotations:{_JACKSON}",
    f"com.fasterxml.jackson.dataformat:jackson-dataformat-yaml:{_JACKSON}",
    "net.sourceforge.argparse4j:argparse4j:0.7.0",
    "net.sf.jopt-simple:jopt-simple:5.0.4",
    "com.yammer.metrics:metrics-core:2.2.0",
    "org.hdrhistogram:HdrHistogram:2.2.2",
    "org.pcollections:pcollections:4.0.2",
    "com.google.re2j:re2j:1.8",
    "commons-validator:commons-validator:1.9.0",
    "org.lz4:lz4-java:1.8.0",
    "org.xerial.snappy:snappy-java:1.1.10.7",
    "com.github.luben:zstd-jni:1.5.6-10",
    "org.slf4j:slf4j-api:1.7.36",
    f"org.apache.logging.log4j:log4j-api:{_LOG4J}",
    f"org.apache.logging.log4j:log4j-core:{_LOG4J}",
    f"org.apache.logging.log4j:log4j-slf4j-impl:{_LOG4J}",  # without a binding the broker logs nothing
    "jakarta.servlet:jakarta.servlet-api:6.0.0",
)
FETCH_SECONDS = 600.0


class KafkaFilesError(Exception):
    """Java, Maven or the files are missing; the text says what to install."""


@dataclass(frozen=True, slots=True)
class KafkaFiles:
    """What a broker is started from."""

    java: str
    jars: Path
    log4j2: Path
    archive: Path
    """AppCDS archive; may not exist yet."""

    def command(self, *main: str, options: tuple[str, ...] = ()) -> list[str]:
        """A JVM on these files. The class path is the same every time: the archive depends on it."""
        shared = (f"-XX:SharedArchiveFile={self.archive}", "-Xshare:auto") if self.archive.exists() else ()
        return [
            self.java,
            *options,
            *shared,
            f"-Dlog4j2.configurationFile={self.log4j2}",
            "-cp",
            self._classpath(),
            *main,
        ]

    def _classpath(self) -> str:
        return os.pathsep.join(str(path) for path in sorted(self.jars.glob("*.jar")))


def cache_directory() -> Path:
    """`.cache/kafka` of a checkout; of an installed package, the user's cache directory."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").exists():
        return checkout / ".cache" / "kafka"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "funnelcast" / "kafka"


def kafka_files(cache: Path | None = None) -> KafkaFiles:
    """The files, fetched when they are not there. Safe to call from several processes. Raises KafkaFilesError."""
    java = shutil.which("java")
    if java is None:
        raise KafkaFilesError(
            "a real Kafka broker needs Java 17 or newer: install the Debian package openjdk-17-jre-headless"
        )
    root = (cache or cache_directory()).resolve()
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / "lock"):
        files = f"{KAFKA}-{_digest()}"
        jars = root / f"jars-{files}"
        if not jars.exists():
            _fetch(jars)
        return KafkaFiles(
            java=java,
            jars=jars,
            log4j2=Path(__file__).with_name("kafka_log4j2.xml"),
            archive=root / f"classes-{files}-java{_java_version(java)}.jsa",
        )


def _digest() -> str:
    """Of the list, so that another list gets other files."""
    return sha256("\n".join(ARTIFACTS).encode()).hexdigest()[:8]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _java_version(java: str) -> str:
    text = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "([^"]+)"', text)
    version = match.group(1) if match else "0"
    major = int(re.split(r"\D", version)[0] or 0)
    if major < 17:
        raise KafkaFilesError(
            f"Apache Kafka {KAFKA} needs Java 17 or newer, {java} is {version}: install openjdk-17-jre-headless"
        )
    return version


def _fetch(target: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaFilesError("the jars of Apache Kafka come through Maven: install the Debian package maven")
    with tempfile.TemporaryDirectory(dir=target.parent) as directory:
        pom, jars = Path(directory, "pom.xml"), Path(directory, "jars")
        pom.write_text(_pom())
        command = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise KafkaFilesError(
                f"Maven did not fetch the jars of Apache Kafka within {FETCH_SECONDS:.0f} s"
            ) from None
        if done.returncode != 0 or len(list(jars.glob("*.jar"))) != len(ARTIFACTS):
            raise KafkaFilesError(
                f"Maven could not fetch the jars of Apache Kafka:\n{(done.stdout + done.stderr)[-2000:]}"
            )
        jars.rename(target)


def _pom() -> str:
    nothing_else = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
        f"{nothing_else}</dependency>\n"
        for group, artifact, version in (one.split(":") for one in ARTIFACTS)
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>funnelcast</groupId><artifactId>kafka-broker</artifactId><version>1</version>\n"
        f"<dependencies>\n{dependencies}</dependencies></project>\n"
    )

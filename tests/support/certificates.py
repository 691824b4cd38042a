"""Certificates of a test's own: an authority, a server's for loopback, a client's, and an authority nobody knows."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """Files in PEM below `directory`."""

    directory: Path

    @property
    def ca(self) -> Path:
        """Signed server and client."""
        return self.directory / "ca.crt"

    @property
    def other_ca(self) -> Path:
        """Signed nothing."""
        return self.directory / "other.crt"

    @property
    def server(self) -> Path:
        """Key and certificate for 127.0.0.1 and localhost."""
        return self.directory / "server.pem"

    @property
    def client(self) -> Path:
        """Key and certificate of CN=client."""
        return self.directory / "client.pem"


def make_certificates(directory: Path) -> Certificates:
    """With the openssl command."""
    for name in ("ca", "other"):
        _openssl(
            directory, "req", "-x509", *_new_key(name), "-subj", f"/CN={name}", "-days", "2", "-out", f"{name}.crt"
        )
    _sign(directory, "server", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    _sign(directory, "client", "extendedKeyUsage=clientAuth")
    return Certificates(directory)


def _new_key(name: str) -> list[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"]


def _sign(directory: Path, name: str, extension: str) -> None:
    (directory / f"{name}.ext").write_text(extension + "\n")
    _openssl(directory, "req", *_new_key(name), "-subj", f"/CN={name}", "-out", f"{name}.csr")
    authority = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext"]
    _openssl(directory, "x509", "-req", "-in", f"{name}.csr", *authority, "-out", f"{name}.crt")
    key, certificate = (directory / f"{name}.{kind}" for kind in ("key", "crt"))
    (directory / f"{name}.pem").write_text(key.read_text() + certificate.read_text())


def _openssl(directory: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

"""A Redis server with TLS and users, each with the rights that docs/operations.md names."""

from __future__ import annotations

import re
from pathlib import Path

from funnelcast.processes.ports import free_port
from tests.support.certificates import Certificates, make_certificates
from tests.support.valkey import ValkeyServer, debian_redis

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
PASSWORD = "s3cret/@:?"
IN_URL = "s3cret%2F%40%3A%3F"


class SecuredRedis:
    """Debian's redis-server: the one of the wheel has no TLS. Without a login nothing is allowed."""

    def __init__(self, directory: Path, *, wants_certificate: bool = False) -> None:
        self.certificates: Certificates = make_certificates(directory)
        self.port = free_port()
        (acl := directory / "users.acl").write_text(_users())
        files = self.certificates
        tls = {
            "tls-port": str(self.port),
            "tls-cert-file": str(files.directory / "server.crt"),
            "tls-key-file": str(files.directory / "server.key"),
            "tls-ca-cert-file": str(files.ca),
            "tls-auth-clients": "yes" if wants_certificate else "no",
            "aclfile": str(acl),
        }
        options = [word for name, value in tls.items() for word in (f"--{name}", value)]
        self.server = ValkeyServer(directory, binary=debian_redis(), options=options, ready=b"NOAUTH")

    def url(self, user: str = "funnelcast-worker", password: str | None = IN_URL, *, ca: Path | None = None) -> str:
        """For `streams.store.connection.connect`."""
        login = f"{user}:{password}@" if password is not None else ""
        return f"rediss://{login}127.0.0.1:{self.port}?ssl_ca_certs={ca or self.certificates.ca}"


def documented_users() -> list[str]:
    """Lines of an ACL file: worker and reader, with a password."""
    users = re.findall(r"^user funnelcast-\S+ on >\.\.\. .*$", OPERATIONS.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(users) == 2
    return [line.replace(">...", f">{PASSWORD}") for line in users]


def _users() -> str:
    """Those of the documentation, and one without rights."""
    lines = documented_users()
    return "\n".join(["user default off", *lines, f"user weak on >{PASSWORD} -@all +@connection", ""])

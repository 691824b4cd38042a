"""From the settings of Redis to the address that the store connects to."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from funnelcast.settings.errors import SettingsError
from funnelcast.settings.secrets import read_secret

if TYPE_CHECKING:
    from funnelcast.settings.sections import RedisSettings


def url_of(settings: RedisSettings) -> str:
    """The address with the password that stands elsewhere. Raises SettingsError."""
    if not settings.redis:
        raise SettingsError(
            "no Redis address: give --redis redis://host:port, set FUNNELCAST_REDIS, or run `funnelcast stack up`"
        )
    if settings.redis_password and settings.redis_password_file:
        raise SettingsError("redis_password and redis_password_file: set one of them")
    password = settings.redis_password
    if settings.redis_password_file is not None:
        password = read_secret(settings.redis_password_file, "redis_password_file")
    return settings.redis if password is None else _with_password(settings.redis, password)


def _with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    if ":" in login:
        raise SettingsError("redis: the address has a password, and so has redis_password or redis_password_file")
    return urlunsplit(parts._replace(netloc=f"{login}:{quote(password, safe='')}@{hosts}"))

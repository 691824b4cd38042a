"""Connection to Redis (>= 7) or Valkey: the client, scripts, errors translated once, what is wrong with the server.

The only place that knows redis-py's exceptions. It knows nothing of what is stored.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha1
from importlib import resources
from typing import Any, cast

from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

from streams.store.address import Client, StoreAddress
from streams.store.keys import SpaceKeys
from streams.store.port import StoreRefusedError, StoreUnavailableError

Argument = str | bytes | int

RETRIES = 3
"""At least 2: redis-py 8.1 may hand out a connection the server has closed (redis-py#4252)."""
_TLS_BROKEN_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""TLS that ended before it was up: a server that is just going away."""
_LASTING = ("protected mode", "NOAUTH", "WRONGPASS")
"""Also within the text of an error that names several servers."""
_RIGHT_IN_SCRIPT = "can't run this command"
_WAIT_PREFIXES = (
    "BUSY ",
    "LOADING",
    "OOM",
    "READONLY",
    "MISCONF",
    "MASTERDOWN",
    "NOREPLICAS",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "UNKILLABLE",
    "ERR max number of clients",
)


def connect(url: str, *, timeout_seconds: float = 5.0) -> Client:
    """Client for any form of address that `streams.store.address` knows.

    Connects at the first command. Retries are few and short: a process that waits for a server does so visibly. Raises
    StoreAddressError.
    """
    return StoreAddress.parse(url).client(
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), RETRIES),
        protocol=2,
    )


_BREAKS_OFF = "reset by peer"
"""What a server with TLS does to a client without, and what says nothing of the reason."""


@contextmanager
def translated() -> Iterator[None]:
    """Redis errors as what the caller must do: wait (`StoreUnavailableError`) or ask a human (`StoreRefusedError`)."""
    try:
        yield
    except exceptions.NoPermissionError as error:
        raise _lacks_right(error) from error
    except (exceptions.AuthenticationError, exceptions.AuthorizationError) as error:
        raise StoreRefusedError(
            f"the Redis server refuses this login: {str(error).rstrip('.')}. Check user and password of the address."
        ) from error
    except (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.RedisClusterException, OSError) as error:
        if (reason := _lasting_reason(error)) is not None:
            raise StoreRefusedError(f"Redis cannot be used: {reason}") from error
        said = str(error) or type(error).__name__
        doubt = "; where it speaks TLS, its address begins with rediss://" if _BREAKS_OFF in said else ""
        raise StoreUnavailableError(f"Redis does not answer: {said}{doubt}") from error
    except exceptions.ResponseError as error:
        text = str(error)
        if _is_passing(error, text):
            raise StoreUnavailableError(f"Redis refuses writes for now: {text}") from error
        if _RIGHT_IN_SCRIPT in text:
            raise _lacks_right(error) from error
        raise StoreRefusedError(
            f"Redis refuses a command: {text}. It must be Redis >= 7 or Valkey, and hold nothing foreign under fc:*."
        ) from error
    except exceptions.RedisError as error:
        raise StoreUnavailableError(f"Redis answered unexpectedly: {error}") from error


def _lacks_right(error: exceptions.ResponseError) -> StoreRefusedError:
    return StoreRefusedError(
        f"the user of this process lacks a right: {error}; docs/operations.md, Valkey or Redis, names all that it needs"
    )


def _lasting_reason(error: BaseException) -> str | None:
    """Why a connection failed where every other try would fail alike: login, certificate, TLS, protected mode."""
    text = str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        return (
            f"its certificate does not verify: {reason}. Check ssl_ca_certs, and that the host name of the "
            "address is in the certificate"
        )
    if isinstance(error, ssl.SSLError) and not isinstance(error, _TLS_BROKEN_OFF):
        return (
            f"TLS fails: {error.strerror or text}. Check rediss://, and ssl_certfile where clients need a certificate"
        )
    if isinstance(error, exceptions.AuthenticationError) or any(word in text for word in _LASTING):
        return text
    cause = error.__cause__ or error.__context__
    return None if cause is None else _lasting_reason(cause)


def _is_passing(error: exceptions.ResponseError, text: str) -> bool:
    kinds = (
        exceptions.OutOfMemoryError,
        exceptions.ReadOnlyError,
        exceptions.ClusterError,
        exceptions.TryAgainError,
        exceptions.ExecAbortError,
        exceptions.AskError,
    )
    # Within a pipeline redis-py puts the command before the server's words.
    words = text.rpartition("caused error: ")[2].lstrip("('\"")
    return isinstance(error, kinds) or words.startswith(_WAIT_PREFIXES)


class Script:
    """One Lua script of `streams/store/lua`, run by its digest and loaded where the server does not know it."""

    def __init__(self, name: str) -> None:
        self.text = resources.files("streams.store").joinpath("lua", f"{name}.lua").read_text()
        self._digest = sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: Client, keys: Sequence[str], *, arguments: Sequence[Argument]) -> Any:
        """The script's answer. EVAL loads it: no round trip more than needed, and right on every cluster node."""
        call = cast(Callable[..., Awaitable[Any]], client.execute_command)
        with translated():
            try:
                return await call("EVALSHA", self._digest, len(keys), *keys, *arguments)
            except exceptions.NoScriptError:
                return await call("EVAL", self.text, len(keys), *keys, *arguments)


async def ping(client: Client) -> None:
    """Raises StoreUnavailableError (or StoreRefusedError) when the server cannot be used now."""
    with translated():
        await client.ping()


async def close(client: Client) -> None:
    """Close the client's connections."""
    await client.aclose()


async def server_warnings(client: Client) -> list[str]:
    """Sentences about settings under which counts could be lost; empty when all is well or the server does not tell."""
    with translated():
        try:
            config = await cast(
                Awaitable[dict[Any, Any]], client.config_get("maxmemory-policy", "appendonly", "appendfsync")
            )
        except exceptions.ResponseError:
            return []
    settings = {_text(name): _text(value) for name, value in config.items()}
    warnings = []
    if (policy := settings.get("maxmemory-policy", "noeviction")) != "noeviction":
        warnings.append(f"maxmemory-policy is {policy}: counts would be evicted without a trace; set noeviction")
    if settings.get("appendonly", "yes") == "no":
        warnings.append("appendonly is no: a restart of the server loses the counts; set appendonly yes")
    elif settings.get("appendfsync", "everysec") == "no":
        warnings.append("appendfsync is no: a power failure may lose more than the last second; set everysec")
    return warnings


async def server_time_ms(client: Client) -> int:
    """The clock of the server, epoch milliseconds."""
    with translated():
        seconds, microseconds = await client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


async def delete_space(client: Client, space: str) -> int:
    """Delete every key of a space; returns how many. For replays and tests: it does not ask who still writes there."""
    deleted = 0
    with translated():
        for pattern in SpaceKeys(space).patterns():
            keys = [key async for key in cast(AsyncIterator[bytes], client.scan_iter(match=pattern, count=1000))]
            for key in keys:
                deleted += await client.unlink(key)
    return deleted


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value

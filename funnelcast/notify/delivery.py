"""Sends a message to a destination: tried again with growing pauses, then kept as a dead letter and said.

A mail has the chart as a picture; a Slack-compatible webhook takes no files, so its text has the chart in characters.
"""

from __future__ import annotations

import asyncio
import json
import smtplib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import httpx
import structlog

from funnelcast.notify.destinations import Destination, secret_of

log = structlog.get_logger("funnelcast.notify")
PAUSES_SECONDS: Final = (1.0, 5.0, 25.0)
"""Before each further attempt."""
_ANSWER_SECONDS: Final = 20.0
_SMTPS: Final = 465


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody is told."""

    subject: str
    text: str
    picture: bytes | None = None
    """PNG."""
    sparks: str = ""
    """The chart in characters, for where no picture can go."""


class _NotNowError(Exception):
    """The receiver may take it later."""


class _NeverError(Exception):
    """The receiver refuses it, and would again."""


@dataclass(slots=True)
class Deliverer:
    """Delivers; remembers nothing but dead letters."""

    dead_letters: Path
    """A file with one JSON object a line."""
    environment: Mapping[str, str]
    clock_ms: Callable[[], int]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    failed: list[str] = field(default_factory=list)
    """Names of the destinations that something could not be sent to."""

    async def deliver(self, destination: Destination, message: Message) -> bool:
        """Whether it was taken."""
        problem = ""
        for pause in (0.0, *PAUSES_SECONDS):
            await self.sleep(pause)
            try:
                await self._send(destination, message)
            except _NotNowError as error:
                problem = str(error)
                log.warning("not_sent_yet", destination=destination.name, error=problem)
            except _NeverError as error:
                problem = str(error)
                break
            else:
                log.info("sent", destination=destination.name, subject=message.subject)
                return True
        self._keep(destination, message, problem=problem)
        return False

    async def _send(self, destination: Destination, message: Message) -> None:
        if destination.webhook is not None:
            await _post(secret_of(destination.webhook, self.environment), message)
            return
        password = None if destination.password is None else secret_of(destination.password, self.environment)
        await asyncio.to_thread(_mail, destination, message, password=password)

    def _keep(self, destination: Destination, message: Message, *, problem: str) -> None:
        """Nothing is lost in silence."""
        self.failed.append(destination.name)
        self.dead_letters.parent.mkdir(parents=True, exist_ok=True)
        dead_letter = {
            "at_ms": self.clock_ms(),
            "destination": destination.name,
            "problem": problem,
            "subject": message.subject,
            "text": message.text,
        }
        with self.dead_letters.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dead_letter, ensure_ascii=False) + "\n")
        log.error("given_up", destination=destination.name, error=problem, kept_in=str(self.dead_letters))


async def _post(url: str, message: Message) -> None:
    chart = f"\n```{message.sparks}```" if message.sparks else ""
    body = {"text": f"*{message.subject}*\n```{message.text}```{chart}"}
    try:
        async with httpx.AsyncClient(timeout=_ANSWER_SECONDS) as client:
            answer = await client.post(url, json=body)
    except httpx.TransportError as error:
        raise _NotNowError(f"no connection: {error or type(error).__name__}") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise _NeverError("the webhook is no address") from None  # the address is a secret: it is not shown
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
        raise _NotNowError(f"status {answer.status_code}")
    if not answer.is_success:
        raise _NeverError(f"status {answer.status_code} {answer.text[:200]}")


def mail_of(destination: Destination, message: Message) -> EmailMessage:
    """The mail: the text, and the picture beside it."""
    mail = EmailMessage()
    user = unquote(urlsplit(destination.smtp or "").username or "")
    mail["Subject"] = " ".join(message.subject.split())
    mail["From"] = destination.sender or (user if "@" in user else f"funnelcast <{destination.email}>")
    mail["To"] = destination.email
    mail["Date"], mail["Message-ID"] = formatdate(localtime=False), make_msgid(domain="funnelcast.invalid")
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    if message.picture is not None:
        mail.add_attachment(
            message.picture, maintype="image", subtype="png", filename="chart.png", disposition="inline"
        )
    return mail


def _mail(destination: Destination, message: Message, *, password: str | None) -> None:
    place = urlsplit(destination.smtp or "")
    is_tls, context = place.scheme == "smtps", ssl.create_default_context()
    try:
        server: smtplib.SMTP
        if is_tls:
            server = smtplib.SMTP_SSL(
                place.hostname or "", place.port or _SMTPS, timeout=_ANSWER_SECONDS, context=context
            )
        else:
            server = smtplib.SMTP(place.hostname or "", place.port or 587, timeout=_ANSWER_SECONDS)
        with server:
            if not is_tls and _wants_tls(server, password):
                server.starttls(context=context)
            if password is not None:
                server.login(unquote(place.username or ""), password)
            server.send_message(mail_of(destination, message))
    except smtplib.SMTPAuthenticationError as error:
        raise _NeverError(f"the mail server refuses the login ({error.smtp_code})") from None
    except smtplib.SMTPNotSupportedError as error:
        raise _NeverError(f"the mail server cannot do what is asked: {error}") from None
    except smtplib.SMTPRecipientsRefused:
        raise _NeverError(f"the mail server refuses {destination.email}") from None
    except smtplib.SMTPResponseException as error:
        kind = _NotNowError if error.smtp_code < 500 else _NeverError
        raise kind(f"the mail server says {error.smtp_code} {error.smtp_error!r}") from None
    except (smtplib.SMTPException, OSError) as error:
        raise _NotNowError(f"mail server {place.hostname}:{place.port or ''}: {error}") from None


def _wants_tls(server: smtplib.SMTP, password: str | None) -> bool:
    """A password is never sent in the clear."""
    server.ehlo_or_helo_if_needed()
    return server.has_extn("starttls") or password is not None

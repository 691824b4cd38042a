"""Reports and alerts to a real mail server and a real receiver of webhooks, over counters in a real Valkey."""

from __future__ import annotations

import io
import json
import signal
import threading
import time
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from PIL import Image

from funnelcast.notify.content import alert_of
from funnelcast.notify.delivery import PAUSES_SECONDS, Deliverer, Message
from funnelcast.notify.destinations import Destination
from funnelcast.processes.ports import free_port
from schemas.funnel.definition import definition_text
from schemas.funnel.load import parse_funnel
from streams.store.connection import close, connect
from streams.store.keys import SpaceKeys
from streams.store.memory import MemoryCounterReader, MemorySpace
from streams.store.port import StoreError
from streams.store.redis import RedisPartitionStore
from tests.support.command import run_command, start_command
from tests.support.shop import SHOP, SHOP_FILE, fill
from tests.support.stack import StackAddresses
from tests.support.waiting import LIMIT


class Mailbox:
    """A mail server's handler: turns the first mails away for now, and refuses one address for good."""

    def __init__(self, not_now: int = 0) -> None:
        self.not_now = not_now
        self.mails: list[EmailMessage] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address.startswith("nobody"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.not_now:
            self.not_now -= 1
            return "451 try later"
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    box = Mailbox()
    port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box, f"smtp://127.0.0.1:{port}"
    finally:
        controller.stop()


@pytest.fixture
def channel() -> Iterator[tuple[list[dict[str, Any]], list[int], str]]:
    """What was posted, the statuses still to be answered before 200, and the address."""
    posted: list[dict[str, Any]] = []
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = statuses.pop(0) if statuses else 200
            if status == 200:
                posted.append(body)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield posted, statuses, f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_the_report_of_a_day_arrives_with_its_chart(
    mailbox: tuple[Mailbox, str],
    channel: tuple[list[dict[str, Any]], list[int], str],
    embedded_stack: StackAddresses,
    fresh_space: str,
    tmp_path: Path,
) -> None:
    (box, smtp), (posted, _, hook) = mailbox, channel
    client = connect(embedded_stack.redis)
    try:
        now_ms = time.time_ns() // 1_000_000
        await fill(RedisPartitionStore(client, fresh_space), SHOP, now_ms=now_ms)
        walk_in = definition_text(parse_funnel(SHOP_FILE.replace("name: shop", "name: walk-in", 1)))
        await client.hset(SpaceKeys(fresh_space).switched, "walk-in", walk_in)
    finally:
        await close(client)
    funnel, notify = tmp_path / "shop.yaml", tmp_path / "notify.yaml"
    funnel.write_text(SHOP_FILE)
    (tmp_path / "hook").write_text(f"{hook}\n")
    notify.write_text(
        "page: https://funnels.example/\ndestinations:\n"
        f"  - {{name: owner, email: owner@shop.example, smtp: '{smtp}'}}\n"
        f"  - {{name: team, webhook: 'file:{tmp_path / 'hook'}', digest: [daily]}}\n"
    )
    arguments = ("--notify", str(notify), "--redis", embedded_stack.redis, "--space", fresh_space)
    code, out, err = run_command("digest", "daily", *arguments, "--funnel", str(funnel), "--json", state_dir=tmp_path)
    assert (code, json.loads(out)["sent"]) == (0, 2), err
    (mail,) = box.mails
    assert mail["Subject"].startswith("shop: daily report, ")
    text = mail.get_body(("plain",))
    assert text is not None
    for part in ("owner", "bottleneck", "No alert speaks now.", "https://funnels.example/?funnel=shop"):
        assert part in text.get_content()
    (picture,) = mail.iter_attachments()
    assert Image.open(io.BytesIO(picture.get_content())).size == (720, 260)
    assert posted[0]["text"].startswith("*shop: daily report, ")
    assert "impression" in posted[0]["text"]
    environ = {"FUNNELCAST_FUNNELS": str(funnel)}
    for name in ("shop", str(funnel)):  # as an alert says it, and the file
        asked = (*arguments[2:], "--funnel", name)
        code, out, err = run_command("alerts", "explain", *asked, state_dir=tmp_path, env=environ)
        assert (code, out, "nothing speaks" in err) == (0, b"", True)
    # a file, and one that no process was given: a recount alone has switched to it
    for name, told in ((str(funnel), "shop"), ("walk-in", "walk-in")):
        watching = start_command("alerts", "watch", *arguments, "--funnel", name, state_dir=tmp_path)
        try:
            assert watching.stderr is not None
            assert json.loads(watching.stderr.readline())["funnels"] == [told]
            watching.send_signal(signal.SIGTERM)
            assert watching.wait(LIMIT) == 0
        finally:
            watching.kill()
            watching.communicate()
    assert len(posted) == 1, "nobody is notified of nothing"


class _Away(MemoryCounterReader):
    async def partitions(self) -> list[int]:
        raise StoreError("away")


async def test_an_alert_is_told_without_its_chart_where_the_store_is_away() -> None:
    story: Any = {"name": "FunnelEntriesDrop", "funnel": "shop", "stage": "impression", "dim": "", "text": "a drop"}
    message = await alert_of(_Away(MemorySpace()), SHOP, story=story, page="", now_ms=5)
    assert (message.text, message.picture, message.sparks) == ("a drop", None, "")


async def test_what_is_not_taken_is_tried_again_and_then_kept(
    mailbox: tuple[Mailbox, str], channel: tuple[list[dict[str, Any]], list[int], str], tmp_path: Path
) -> None:
    (box, smtp), (posted, statuses, hook) = mailbox, channel
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    deliverer = Deliverer(tmp_path / "dead.jsonl", {"HOOK": hook}, lambda: 5, sleep=sleep)
    owner = Destination(name="owner", email="owner@shop.example", smtp=smtp)
    team = Destination(name="team", webhook="env:HOOK")
    message = Message("a drop", "from 10 % to 5 %")
    box.not_now, statuses[:] = 2, [503, 429]
    assert await deliverer.deliver(owner, message)
    assert await deliverer.deliver(team, message)
    assert (len(box.mails), len(posted)) == (1, 1)
    pauses.clear()
    statuses[:] = [500] * 9
    assert not await deliverer.deliver(team, message)
    assert tuple(pauses) == (0.0, *PAUSES_SECONDS)
    statuses[:] = [404]
    assert not await deliverer.deliver(team, message)
    assert not await deliverer.deliver(owner.model_copy(update={"email": "nobody@shop.example"}), message)
    assert not await deliverer.deliver(owner.model_copy(update={"password": "env:HOOK"}), message)  # no TLS there
    letters = [json.loads(line) for line in (tmp_path / "dead.jsonl").read_text().splitlines()]
    assert [letter["destination"] for letter in letters] == ["team", "team", "owner", "owner"]
    assert all(letter["text"] == "from 10 % to 5 %" for letter in letters)
    assert hook not in (tmp_path / "dead.jsonl").read_text()

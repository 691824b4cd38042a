"""The broker we start for tests is a real one that survives kill -9 on the same port with the same data."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from funnelcast.stack.kafka_jars import KafkaFilesError, kafka_files
from funnelcast.stack.real_kafka import RealKafka
from tests.support.kafka import own_kafka, real_kafka
from tests.support.waiting import LIMIT, wait_until

__all__ = ["own_kafka", "real_kafka"]
pytestmark = pytest.mark.kafka


async def create(kafka: RealKafka, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def values(kafka: RealKafka, topic: str) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap)
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        return [(await consumer.getone()).value or b"" for _ in range(end)]
    finally:
        await consumer.stop()


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
async def test_every_codec_is_stored_and_read(real_kafka: RealKafka, codec: str | None) -> None:
    topic = f"codec-{codec}"
    await create(real_kafka, topic)
    async with AIOKafkaProducer(
        bootstrap_servers=real_kafka.bootstrap, compression_type=codec, enable_idempotence=True
    ) as producer:
        await producer.send_and_wait(topic, b"hello" * 100)
    assert await values(real_kafka, topic) == [b"hello" * 100]


async def test_acknowledged_records_survive_kill_and_restart(own_kafka: RealKafka) -> None:
    await create(own_kafka, "kept")
    async with AIOKafkaProducer(bootstrap_servers=own_kafka.bootstrap, enable_idempotence=True) as producer:
        await producer.send_and_wait("kept", b"before")
        await asyncio.wait_for(own_kafka.restart(signal.SIGKILL), LIMIT)
        await producer.send_and_wait("kept", b"after")
    assert await values(own_kafka, "kept") == [b"before", b"after"]


def test_a_broker_dies_with_the_process_that_started_it() -> None:
    script = (
        "import asyncio, os, signal\n"
        "from funnelcast.stack.real_kafka import RealKafka\n"
        "async def main():\n"
        "    kafka = RealKafka()\n"
        "    await kafka.start()\n"
        "    print(kafka.pid, kafka.directory, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid, directory = process.stdout.readline().split()

    def is_gone() -> bool:
        return not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE

    wait_until(is_gone, what="the broker ended with its parent")
    shutil.rmtree(directory)


def test_a_machine_without_java_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(KafkaFilesError, match="openjdk-17-jre-headless"):
        kafka_files()


async def test_a_port_that_was_taken_meanwhile_is_another_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        broker = RealKafka(tmp_path / "kafka")
        broker.take_port(other.getsockname()[1])
        async with broker:
            assert broker.port != other.getsockname()[1]
            assert f":{broker.port}" in str(broker.properties["advertised.listeners"])

"""InitProducerId v3 for aiokafka, which knows v0 only.

Apache Kafka serves v0; the embedded broker answers it with UNKNOWN_SERVER_ERROR because it needs two members that exist
from v3 on. Installed only after a broker has refused v0. Touches that one request of aiokafka, nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.protocol.types import CompactString, Int16, Int32, Int64, Schema, TaggedFields


class _Response(Response):
    API_KEY = 22
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )


class _Request(RequestStruct):
    API_KEY = 22
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        ("transactional_id", CompactString("utf-8")),
        ("transaction_timeout_ms", Int32),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )


@contextmanager
def unlogged_refusal() -> Iterator[None]:
    """Keeps aiokafka from logging a refused v0 as an error of ours."""
    logger = logging.getLogger("aiokafka.producer.sender")
    logger.addFilter(_is_other)
    try:
        yield
    finally:
        logger.removeFilter(_is_other)


def _is_other(record: logging.LogRecord) -> bool:
    return "InitProducerIdRequest" not in str(record.msg)


def install() -> bool:
    """Teach aiokafka v3; False when it was installed already."""
    request: Any = InitProducerIdRequest
    if _Request in request._CLASSES:
        return False
    build = request.build

    def build_any(self: Any, request_class: type[RequestStruct]) -> RequestStruct:
        if request_class is _Request:
            return _Request(self._transactional_id, self._transaction_timeout_ms, -1, -1, {})
        built: RequestStruct = build(self, request_class)
        return built

    request._CLASSES = (*request._CLASSES, _Request)
    request.build = build_any
    return True

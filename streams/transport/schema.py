"""How the batches of a poll pass through Faust's channels and streams: untouched, in one message."""

from __future__ import annotations

from typing import Any, cast

import faust
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from streams.transport.port import Batch


class BatchSchema(faust.Schema[Any, Any]):
    """Decodes nothing: the value of the message is a list of `Batch` already."""

    def compile(
        self,
        app: Any,
        *,
        on_key_decode_error: Any = None,
        on_value_decode_error: Any = None,
        default_propagate: bool = False,
    ) -> Any:
        """The decoder Faust calls for every message."""
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001 - Faust asks so
            return create_event(None, message.value, message.headers, message)

        return decode


def as_message(tp: TP, batches: list[Batch], generation_id: int) -> ConsumerMessage:
    """One Faust message for a poll; partition and offset are those of its first batch and decide nothing."""
    last, value = batches[0].records[-1], cast(Any, batches)
    return ConsumerMessage(
        tp.topic, tp.partition, last.offset, last.timestamp / 1000.0, 0, [], None, value, None, 0, 0, tp,
        generation_id=generation_id,
    )  # fmt: skip

"""Annotations in Redis and in memory: what people have changed, and when. Apart from everything that is counted.

They lie in one hash of the space, by id. An id is made of what is said, so the same said twice is one annotation.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import cast

import msgspec

from streams.state import Annotation, annotations_in_order
from streams.store.address import Client
from streams.store.connection import translated
from streams.store.keys import SpaceKeys
from streams.store.memory_space import MemorySpace

_encode = msgspec.json.Encoder().encode


async def read_annotations(client: Client, space: SpaceKeys) -> list[Annotation]:
    """All of a space, oldest first."""
    with translated():
        return annotations_in_order(await cast(Awaitable[list[bytes]], client.hvals(space.annotations)))


class RedisAnnotations:
    """`port.AnnotationStore` for one space."""

    def __init__(self, client: Client, space: str) -> None:
        self._client = client
        self._space = SpaceKeys(space)

    async def annotate(self, annotation: Annotation) -> None:
        with translated():
            await self._client.hset(self._space.annotations, annotation.id, _encode(annotation))

    async def remove_annotation(self, annotation_id: str) -> bool:
        with translated():
            return await self._client.hdel(self._space.annotations, annotation_id) == 1


class MemoryAnnotations:
    """`port.AnnotationStore` over a `MemorySpace`."""

    def __init__(self, space: MemorySpace) -> None:
        self._space = space

    async def annotate(self, annotation: Annotation) -> None:
        self._space.annotations[annotation.id] = _encode(annotation)

    async def remove_annotation(self, annotation_id: str) -> bool:
        return self._space.annotations.pop(annotation_id, None) is not None

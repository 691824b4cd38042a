"""Names of the keys in Redis, and the hash tags that spread partitions over a cluster. Pure arithmetic.

Everything of one (space, partition) lies in one cluster slot, named `fc:{<space>/<partition>/<salt>}:...`; what
belongs to the space as a whole is `fc:{<space>}:...`. A *shadow* is a second state of the same partitions, in the same
slots, in which a recount counts one funnel_id; its keys have `shadow:<funnel_id>:` before their own names.
"""

from __future__ import annotations

from binascii import crc_hqx
from functools import lru_cache

from schemas.topics import Topics
from streams.state import FIRST_LAYOUT

CLUSTER_SLOTS = 16_384
_SLOT_BITS = 14
_WINDOW = 64
"""A salt is searched until the slot falls this near behind its target: about 256 tries, 0.1 ms once."""


def cluster_slot(tag: str) -> int:
    """Redis Cluster's slot of a hash tag (CRC16/XMODEM)."""
    return crc_hqx(tag.encode(), 0) % CLUSTER_SLOTS


@lru_cache(maxsize=4096)
def partition_tag(space: str, partition: int) -> str:
    """Hash tag of a partition.

    The targets are the partition number's bits in reverse: every number of partitions is spread evenly over every
    number of servers without anybody knowing either. Chosen, not left to the hash, which put 12 partitions 7/3/2.
    """
    base = Topics(space).space
    reverse = int(f"{partition % CLUSTER_SLOTS:0{_SLOT_BITS}b}"[::-1], 2)
    target = (reverse + cluster_slot(base)) % CLUSTER_SLOTS
    salt = 0
    while (cluster_slot(f"{base}/{partition}/{salt}") - target) % CLUSTER_SLOTS >= _WINDOW:
        salt += 1
    return f"{base}/{partition}/{salt}"


def _shadow(funnel_id: str) -> str:
    return f"shadow:{funnel_id}:" if funnel_id else ""


class SpaceKeys:
    """Keys of what all partitions share; of the shadow of a funnel_id where one is named."""

    def __init__(self, space: str, shadow: str = "") -> None:
        self.space = Topics(space).space
        prefix = f"fc:{{{self.space}}}:{_shadow(shadow)}"
        self.partitions = prefix + "partitions"
        """Set of partition numbers that have state."""
        self.funnels = prefix + "funnels"
        """Hash funnel_id -> fingerprint."""
        self.topics = prefix + "topics"
        """Hash topic -> identity."""
        self.layout = prefix + "layout"
        """String: newest layout of a version that has claimed a partition."""
        self.annotations = prefix + "notes"
        """Hash id -> annotation (JSON)."""
        self.definitions = prefix + "definitions"
        """Hash funnel_id -> definition (JSON) of what has been counted."""
        self.switched = prefix + "switched"
        """Hash funnel name -> definition (JSON) that a recount has switched to."""
        self.recounts = prefix + "recounts"
        """Hash of recounts that are not over: id -> `open`, or what was decided (JSON)."""
        self._lease = prefix + "recount:"
        self.copied = prefix + "copied"
        """Written to learn whether a replica has what was written before."""
        self._registers = prefix + "r:"

    def registers(self, funnel_id: str) -> str:
        """Hash of a funnel_id's names: `<register>:<name>` -> code, `<register>` -> names held, and
        `<register>=<code>` -> the name as it was first written, where that is not the name itself."""
        return self._registers + funnel_id

    def lease(self, recount: str) -> str:
        """String that exists while a recount is alive."""
        return self._lease + recount

    def patterns(self) -> tuple[str, str]:
        """Globs of every key of the space (a space name has no special characters)."""
        return f"fc:{{{self.space}}}:*", f"fc:{{{self.space}/*"


class PartitionKeys:
    """Keys of one partition; of its shadow for a funnel_id where one is named."""

    def __init__(self, space: str, partition: int, *, shadow: str = "") -> None:
        self.prefix = f"fc:{{{partition_tag(space, partition)}}}:{_shadow(shadow)}"
        self.cursor = self.prefix + "cur"
        """Hash off, seq, epoch, token, meta, layout, active, held (the recount that holds it); by funnel_id `s:` start,
        `o:` core state, `y:` layouts, `l:` left out at."""
        self.gaps = self.prefix + "gaps"
        """Stream of gaps accepted by an operator."""
        self.versions = self.prefix + "v"
        """Hash of the apply that wrote a group of a day last (`packing.version_field`); see `lua/apply.lua`."""

    def persons(self, funnel_id: str, *, bucket: int, layout: int = FIRST_LAYOUT) -> str:
        """Hash of a person bucket in this layout: its parts; in the first layout person field -> state."""
        return f"{self.prefix}j{'' if layout == FIRST_LAYOUT else layout}:{funnel_id}:{bucket}"

    def person_log(self, funnel_id: str, *, bucket: int, layout: int) -> str:
        """List of what was written of a person bucket since its parts were; the first layout has none."""
        return f"{self.prefix}e{layout}:{funnel_id}:{bucket}"

    def facts(self, kind: int, bucket: int) -> str:
        """Hash of a bucket of facts of one kind: key of the fact -> value."""
        return f"{self.prefix}f:{kind}:{bucket}"

    def earliest_deadlines(self, funnel_id: str) -> str:
        """String of one u32 per bucket: its earliest deadline."""
        return f"{self.prefix}t:{funnel_id}"

    def cells(self, funnel_id: str) -> str:
        """Prefix of the funnel_id's cell groups; see `group`."""
        return f"{self.prefix}c:{funnel_id}:"

    def index(self, funnel_id: str, grain: int) -> str:
        """Sorted set of the groups of a grain that exist: `<bucket>:<dimension set>`, scored by bucket."""
        return f"{self.prefix}x:{funnel_id}:{grain}"

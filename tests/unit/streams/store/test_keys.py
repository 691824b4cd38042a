"""Keys: one cluster funnel_id per partition, spread evenly over any number of servers."""

from __future__ import annotations

import pytest
from redis.crc import key_slot

from streams.store.keys import CLUSTER_SLOTS, PartitionKeys, SpaceKeys, cluster_slot, partition_tag
from tests.support.rows import rows


@rows("servers", [2, 3, 4, 5, 6])
@rows("partitions", [8, 12, 24, 48, 64, 256])
def test_partitions_are_spread_evenly_over_a_cluster(partitions: int, servers: int) -> None:
    held = [0] * servers
    for partition in range(partitions):
        held[cluster_slot(partition_tag("main", partition)) * servers // CLUSTER_SLOTS] += 1
    assert max(held) - min(held) <= 3
    assert max(held) <= partitions / servers + 2


def test_everything_of_a_partition_lies_in_one_cluster_slot() -> None:
    keys = PartitionKeys("main", 17)
    names = [keys.cursor, keys.gaps, keys.persons("a@1", bucket=5), keys.earliest_deadlines("a@1")]
    names += [keys.cells("a@1") + "1:2:3", keys.index("a@1", 2)]
    assert {key_slot(name.encode()) for name in names} == {cluster_slot(partition_tag("main", 17))}
    assert len(set(names)) == len(names)


def test_a_tag_never_changes() -> None:
    """Stored state hangs on it."""
    assert [partition_tag("main", partition) for partition in (0, 1, 7, 300)] == TAGS


TAGS = ["main/0/13", "main/1/3", "main/7/97", "main/300/66"]


def test_a_space_with_braces_or_globs_is_refused() -> None:
    for name in ("a{b}", "a*", "", "A"):
        with pytest.raises(ValueError, match="space"):
            SpaceKeys(name)
        with pytest.raises(ValueError, match="space"):
            PartitionKeys(name, 0)

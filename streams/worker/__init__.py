"""Counts partitions: claims, applies chunks, hands over at a rebalance."""

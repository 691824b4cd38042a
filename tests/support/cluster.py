"""A Valkey cluster of three primaries with a replica each, to be killed and cut off at will."""

from __future__ import annotations

from pathlib import Path
from random import Random

from funnelcast.processes.ports import free_port
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

PRIMARIES = 3
NODES = 2 * PRIMARIES
SLOTS = 16_384
NODE_TIMEOUT_MS = 2000


class Cluster:
    """`start`, then `kill_a_primary` and `cut_off_a_primary`; `stop` leaves nothing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._servers: dict[int, ValkeyServer] = {}

    @property
    def url(self) -> str:
        """Of several nodes, of which one is not there."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in (free_port(), *list(self._servers)[:3]))

    def start(self) -> None:
        """Start all, share out the slots, wait until every node sees a healthy cluster."""
        buses = {}
        for number in range(NODES):
            (directory := self._directory / f"node-{number}").mkdir(parents=True)
            bus = free_port()
            options: tuple[str, ...] = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS))
            options += ("--cluster-port", str(bus), "--repl-diskless-sync-delay", "0")
            server = ValkeyServer(directory, options=options)
            server.start()
            self._servers[server.port], buses[server.port] = server, bus
        first, *others = self._servers
        for port in others:
            self._servers[first].command(f"CLUSTER MEET 127.0.0.1 {port} {buses[port]}")
        wait_until(lambda: all(self._knows_all(port) for port in self._servers), what="nodes meet")
        primaries, replicas = list(self._servers)[:PRIMARIES], list(self._servers)[PRIMARIES:]
        for number, port in enumerate(primaries):
            begin, end = number * SLOTS // PRIMARIES, (number + 1) * SLOTS // PRIMARIES - 1
            self._servers[port].command(f"CLUSTER ADDSLOTSRANGE {begin} {end}")
        for primary, replica in zip(primaries, replicas, strict=True):
            self._servers[replica].command(f"CLUSTER REPLICATE {self._id_of(primary)}")
        self._wait_until_whole()

    def kill_a_primary(self, rng: Random) -> None:
        """Kill -9 one, wait until its replica has taken over, start it again as the replica."""
        port = rng.choice(self._primaries())
        self._servers[port].kill()
        self._wait_for_another(than=port)
        self._servers[port].start()
        self._wait_until_whole()

    def cut_off_a_primary(self, rng: Random) -> None:
        """One answers nobody, its connections stay open; it comes back when its replica has taken over."""
        port = rng.choice(self._primaries())
        self._servers[port].freeze()
        try:
            self._wait_for_another(than=port)
        finally:
            self._servers[port].thaw()
        self._wait_until_whole()

    def pair_of(self, slot: int) -> tuple[int, int]:
        """Ports of the primary of a slot and of its replica."""
        primary, own = next(
            (port, words)
            for port in self._servers
            for words in self._nodes(port)
            if _is_own_primary(words) and any(_holds(text, slot) for text in words[8:])
        )
        replica = next(
            port for port in self._servers for words in self._nodes(port) if "myself" in words[2] and words[3] == own[0]
        )
        return primary, replica

    def part(self, primary: int, replica: int) -> None:
        """From now on nothing of the primary reaches its replica."""
        self._servers[replica].freeze()
        self._servers[primary].command("CLIENT KILL TYPE replica")  # what was under way would reach it when it thaws

    def lose(self, primary: int, replica: int) -> None:
        """The primary dies, its replica, which misses what was written last, takes its place, and has it as replica."""
        self._servers[primary].kill()
        self._servers[replica].thaw()
        self._wait_for_another(than=primary)
        self._servers[primary].start()
        self._wait_until_whole()

    def stop(self) -> None:
        """Kill what runs."""
        for server in self._servers.values():
            server.kill()

    def _nodes(self, port: int) -> list[list[str]]:
        """What a node knows of all: id, address, flags, primary, ..., state of the link, slots."""
        lines = self._servers[port].command("CLUSTER NODES").decode().split("\r\n", 1)[-1].splitlines()
        return [words for line in lines if len(words := line.split()) >= 8]

    def _id_of(self, port: int) -> str:
        return next(words[0] for words in self._nodes(port) if "myself" in words[2])

    def _knows_all(self, port: int) -> bool:
        nodes = self._nodes(port)
        return len(nodes) == NODES and not any("handshake" in words[2] for words in nodes)

    def _primaries(self) -> list[int]:
        """Ports of those that hold slots, as the nodes themselves say."""
        return [port for port in self._servers if any(_is_own_primary(words) for words in self._nodes(port))]

    def _wait_for_another(self, *, than: int) -> None:
        """Until every other node says that all slots are served."""
        others = [port for port in self._servers if port != than]
        ports = {str(than)}

        def is_taken_over() -> bool:
            told = [words for port in others for words in self._nodes(port) if _port_of(words) in ports]
            return all("fail" in words[2] and len(words) == 8 for words in told) and self._is_healthy(others)

        wait_until(is_taken_over, what="another primary")

    def _wait_until_whole(self) -> None:
        def is_whole() -> bool:
            replicas = [port for port in self._servers if port not in self._primaries()]
            linked = [b"master_link_status:up" in self._servers[port].command("INFO replication") for port in replicas]
            return len(replicas) == NODES - PRIMARIES and all(linked) and self._is_healthy(list(self._servers))

        wait_until(is_whole, what="a whole cluster")

    def _is_healthy(self, ports: list[int]) -> bool:
        return all(b"cluster_state:ok" in self._servers[port].command("CLUSTER INFO") for port in ports)


def _port_of(words: list[str]) -> str:
    return words[1].partition("@")[0].rpartition(":")[2]


def _is_own_primary(words: list[str]) -> bool:
    return "myself" in words[2] and "master" in words[2] and len(words) > 8


def _holds(slots: str, slot: int) -> bool:
    first, _, last = slots.partition("-")
    return first.isdigit() and int(first) <= slot <= int(last or first)

"""Members of the group that died on this machine: told by a lock that ended with them, and taken out of the group.

A broker gives a dead member's partitions away when its session is over: ten seconds. The kernel of its machine knows at
once: each worker keeps a lock on a file that names its member id. The kernel ends the lock with the process, whatever
ends that. Whoever is started on the same state directory, or still lives there, finds the file without a lock and sends
the LeaveGroup that the dead one could not send. A process that merely stands still keeps its lock. A worker on another
machine is left to its session: nobody here can know.

Used from the consumer's loop only. Knows no Faust.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import platform
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError, UnknownMemberIdError
from aiokafka.protocol.group import LeaveGroupRequest

log = structlog.get_logger("funnelcast.transport")

LOOK_SECONDS: Final = 0.25
_DONE: Final = {0, UnknownMemberIdError.errno}
"""Answers after which the broker does not wait for the member any more."""
_LONGEST: Final = 1_000
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class DeadMember:
    """A member whose process has ended without a LeaveGroup, or with one that this file outlived."""

    file: Path
    member_id: str


class MemberFiles:
    """The member ids of one group's workers on this machine, a locked file each."""

    def __init__(self, directory: Path, *, machine: str | None = None) -> None:
        """`machine`: names the kernel whose locks these are; without it, the running one."""
        self._directory = directory
        self._machine = machine or _running_machine()
        self._own: Path | None = None
        self._lock: int | None = None
        self._noted = ""

    def note(self, member_id: str) -> None:
        """Say which member this process is. Raises OSError."""
        if member_id == self._noted:
            return
        if self._lock is None:
            self._own, self._lock = self._locked_file()
        text = f"{self._machine} {member_id}".encode()
        os.pwrite(self._lock, text, 0)
        os.ftruncate(self._lock, len(text))
        self._noted = member_id

    def dead(self) -> list[DeadMember]:
        """Members whose processes have ended. A file of another machine is removed: its locks are not seen here."""
        found = []
        for file in self._directory.glob("*.member"):
            if file == self._own or (said := _left_behind(file)) is None:
                continue
            machine, _, member_id = said.partition(" ")
            if machine == self._machine and member_id:
                found.append(DeadMember(file, member_id))
            else:
                file.unlink(missing_ok=True)
        return found

    def close(self) -> None:
        """This process has left the group."""
        if self._own is not None:
            self._own.unlink(missing_ok=True)
        self.drop()

    def drop(self) -> None:
        """Give the lock up and leave the file behind, as a kill does."""
        if self._lock is not None:
            os.close(self._lock)
        self._own, self._lock, self._noted = None, None, ""

    def _locked_file(self) -> tuple[Path, int]:
        """A new file under a name that nobody looks at until it is locked."""
        self._directory.mkdir(parents=True, exist_ok=True)
        place = self._directory / f"{secrets.token_hex(8)}.new"
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return place.rename(place.with_suffix(".member")), descriptor


async def watch_members(consumer: Any, files: MemberFiles) -> None:
    """Note who this member is and take dead ones out of its group, until cancelled. `consumer`: of aiokafka.

    What goes wrong is said once, and the next look tries again: without it the session decides, as elsewhere.
    """
    is_member, said = False, ""
    while True:
        member_id = consumer._coordinator.member_id
        try:
            if member_id:
                files.note(member_id)
            # A look later than it became a member: its JoinGroup is on its way, so the group is never empty. Into an
            # empty group a broker lets nobody for `group.initial.rebalance.delay.ms`.
            for member in files.dead() if member_id and is_member else ():
                await _take_out(consumer, member)
        except Exception as error:  # noqa: BLE001 - a worker counts whatever becomes of this
            if (problem := repr(error)) != said:
                log.warning("members_not_watched", error=problem)
            said = problem
        is_member = bool(member_id)
        await asyncio.sleep(LOOK_SECONDS)


async def _take_out(consumer: Any, member: DeadMember) -> None:
    coordinator = consumer._coordinator
    if coordinator.coordinator_id is None:
        return
    request = LeaveGroupRequest(coordinator.group_id, member.member_id)
    # Not on the coordinator's connection: there it would wait behind our own JoinGroup, which waits for the dead one.
    with contextlib.suppress(KafkaError):  # the next look asks again
        answer = await consumer._client.send(coordinator.coordinator_id, request)
        if answer.error_code in _DONE:
            member.file.unlink(missing_ok=True)
            log.info("dead_member_taken_out", member=member.member_id)


def _left_behind(file: Path) -> str | None:
    """What a file says that nobody has locked. One that cannot be looked at counts as locked."""
    try:
        descriptor = os.open(file, os.O_RDWR)  # on NFS an exclusive lock wants a descriptor for writing
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.read(descriptor, _LONGEST).decode(errors="replace")
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _running_machine() -> str:
    """A name that another kernel does not have; after a restart of the machine it is another one."""
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return platform.node() or "unknown"

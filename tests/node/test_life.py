"""Disk, drain and the service manager's socket, each by itself."""

import asyncio
import errno
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from node import diskspace
from node.diskspace import RESERVE_NAME, DiskSpace, room_to_start
from node.draining import Drain, Phase
from node.errors import EXIT_DO_NOT_RESTART, ChartsealError, Exit, from_exception
from node.lane import Lane
from node.life import Life, Parts
from node.notify import Notifier
from node.replica import Replica
from storage.errors import failure_of

MIB = 1 << 20


class Disk:
    """A file system of ``free`` bytes, as the system's own call tells of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
        self.free = 1000 * MIB
        self.now_s = 0.0
        usage = shutil.disk_usage(path)
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=self.free))
        monkeypatch.setattr(diskspace.time, "monotonic", lambda: self.now_s)

    def later(self, free: int) -> None:
        self.free, self.now_s = free, self.now_s + 2


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Disk:
    return Disk(monkeypatch, tmp_path)


def test_low_disk_ends_by_itself_and_does_not_flutter(disk: Disk, tmp_path: Path) -> None:
    space = DiskSpace(tmp_path, min_free_bytes=100 * MIB)
    assert not space.low()
    disk.later(99 * MIB)
    assert space.low()
    disk.later(105 * MIB)
    assert space.low(), "within a tenth of the limit it stays low"
    disk.later(111 * MIB)
    assert not space.low()
    disk.later(105 * MIB)
    assert not space.low()


def test_the_reserve_is_real_blocks_and_never_makes_the_disk_low(
    disk: Disk, tmp_path: Path
) -> None:
    space = DiskSpace(tmp_path, min_free_bytes=100 * MIB, reserve_bytes=MIB)
    disk.later(110 * MIB)
    assert not space.keep_reserve()
    disk.later(112 * MIB)
    assert space.keep_reserve()
    assert not space.keep_reserve(), "it is there"
    found = (tmp_path / RESERVE_NAME).stat()
    assert (found.st_size, found.st_blocks * 512 >= MIB) == (MIB, True)


def test_a_start_on_a_full_disk_takes_the_reserve_and_without_one_is_refused(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = tmp_path / RESERVE_NAME
    reserve.write_bytes(bytes(100))
    freed = Path.unlink

    def unlink(path: Path, *, missing_ok: bool = False) -> None:
        freed(path, missing_ok=missing_ok)
        disk.free = 64 * MIB

    monkeypatch.setattr(Path, "unlink", unlink)
    disk.free = MIB
    room_to_start(tmp_path)
    assert not reserve.exists()
    disk.free = MIB
    with pytest.raises(ChartsealError, match="disk-exhausted") as refused:
        room_to_start(tmp_path)
    assert refused.value.exit_code is Exit.DISK_FULL
    room_to_start(tmp_path / "not there yet")


# --- drain ---------------------------------------------------------------------------------


class Pool:
    def __init__(self) -> None:
        self.waiting: set[bytes] = {b"1", b"2"}
        self.handed = 0
        self.drain = Drain(
            waiting=lambda: set(self.waiting),
            pending=lambda txid: txid in self.waiting,
            hand_over=self.hand_over,
            patience_s=30,
        )

    async def hand_over(self) -> None:
        self.handed += 1


async def test_a_drain_waits_for_what_was_accepted_and_for_nothing_that_comes_later() -> None:
    pool = Pool()
    ended = asyncio.create_task(pool.drain.drained())
    await asyncio.sleep(0)
    assert (pool.drain.phase, pool.drain.refuses) == (Phase.DRAINING, True)
    pool.waiting = {b"2", b"of a peer"}
    await asyncio.sleep(0.12)
    assert not ended.done()
    assert pool.drain.left == 1
    pool.waiting = {b"of a peer"}
    await asyncio.wait_for(ended, 5)
    assert (pool.drain.phase, pool.drain.left, pool.handed) == (Phase.DRAINED, 0, 1)
    await pool.drain.drained()
    assert pool.handed == 1, "twice is harmless"
    pool.drain.undo()
    assert not pool.drain.refuses


async def test_the_patience_of_a_drain_ends() -> None:
    pool = Pool()
    pool.drain._patience_s = 0.1
    await asyncio.wait_for(pool.drain.drained(), 5)
    assert (pool.drain.phase, pool.drain.left, pool.handed) == (Phase.DRAINED, 2, 1)


async def test_a_drain_can_be_taken_back_half_way() -> None:
    pool = Pool()
    pool.drain.begin()
    await asyncio.sleep(0)
    pool.drain.undo()
    await asyncio.sleep(0.1)
    assert (pool.drain.phase, pool.handed) == (Phase.SERVING, 0)


# --- the service manager ---------------------------------------------------------------------


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(10)

    def heard(self) -> str:
        return self.socket.recv(4096).decode()


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@{tmp_path.name}-notify"


def test_the_service_manager_hears_each_thing_once(address: str) -> None:
    manager = Manager(address)
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"})
    assert notifier.watchdog_s == 30
    for _ in range(2):
        notifier.ready()
        notifier.status("height 1")
    notifier.alive()
    notifier.extend()
    notifier.stopping()
    heard = [manager.heard() for _ in range(5)]
    assert heard == [
        "READY=1",
        "STATUS=height 1",
        "WATCHDOG=1",
        "EXTEND_TIMEOUT_USEC=30000000",
        "STOPPING=1",
    ]
    manager.socket.close()
    assert not notifier.send("READY=1"), "nobody listens, and nothing fails"


def test_a_long_start_asks_for_more_time_while_the_loop_is_blocked(address: str) -> None:
    manager = Manager(address)
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.begin()
    assert manager.heard() == "EXTEND_TIMEOUT_USEC=30000000"
    notifier.begun()
    manager.socket.close()


def test_without_a_service_manager_nothing_is_sent() -> None:
    notifier = Notifier({})
    assert (notifier.active, notifier.watchdog_s, notifier.send("READY=1")) == (
        False,
        None,
        False,
    )
    assert Notifier({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}).watchdog_s is None


class Moving:
    """A replica whose engine and disk take their turn when they are let."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.disk_thread = self.thread = Lane("disk")
        self.committer = self

    async def ask(self, question: Callable[[], None]) -> None:
        await self.free.wait()
        question()


async def test_alive_is_said_only_after_engine_and_disk_had_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    notifier = Notifier({"NOTIFY_SOCKET": "nowhere", "WATCHDOG_USEC": "3000000"})
    monkeypatch.setattr(notifier, "send", lambda *lines: said.extend(lines) or True)
    replica = Moving()
    nothing: Any = None
    parts = Parts(nothing, nothing, nothing, nothing, notifier, tuple)
    life = Life(parts, service=nothing, replica=cast(Replica, replica))
    for _ in range(3):
        life._watch()
        await asyncio.sleep(0)
    assert (said, life.pulses) == ([], 0), "the engine does not come round: silence"
    replica.free.set()
    async with asyncio.timeout(10):
        while not said:
            await asyncio.sleep(0.01)
            life._watch()
    assert (said, life.pulses) == (["WATCHDOG=1"], 1)


def test_a_write_without_room_is_told_from_other_failures() -> None:
    for number in (errno.ENOSPC, errno.EDQUOT):
        full = from_exception(failure_of(OSError(number, "full"), "text"))
        assert (full.code, full.exit_code) == ("storage-full", Exit.DISK_FULL)
    broken = from_exception(failure_of(OSError(errno.EIO, "broken"), "text"))
    assert (broken.code, broken.exit_code) == ("storage-failure", Exit.UNEXPECTED)
    assert Exit.DISK_FULL not in EXIT_DO_NOT_RESTART, "it helps as soon as there is space"

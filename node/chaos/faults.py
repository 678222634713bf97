"""What can befall one node, and how it is undone.

Every fault is a context manager: it strikes on entry and is over on exit, when the node is up
again and has answered.  Owns: the acts.  Refuses: choosing (``plan``).
"""

import os
import random
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from node.chaos.world import World

EXIT_S: Final = 30.0
HOURS_MS: Final = 3_600_000
RESTORED_BLOCKS: Final = 5  # that the copy lacks
_KEPT: Final = frozenset({"LOCK", "LOG", "LOG.old"})  # say nothing that anybody relies on

Fault = Callable[[World, int, random.Random], AbstractContextManager[str]]


@contextmanager
def kill(world: World, at: int, _rng: random.Random) -> Iterator[str]:
    world.cluster.kill(at)
    yield "down"
    world.start(at)


@contextmanager
def pause(world: World, at: int, _rng: random.Random) -> Iterator[str]:
    pid = world.cluster.pid(at)
    assert pid is not None, "a node that is up is paused"
    os.kill(pid, signal.SIGSTOP)
    try:
        yield "paused"
    finally:
        os.kill(pid, signal.SIGCONT)
    world.cluster.wait_ready(at)


@contextmanager
def isolate(world: World, at: int, _rng: random.Random) -> Iterator[str]:
    world.wires.isolate(at)
    try:
        yield "cut off"
    finally:
        world.wires.mend()


@contextmanager
def deaf(world: World, at: int, _rng: random.Random) -> Iterator[str]:
    world.wires.deafen(at)
    try:
        yield "deaf"
    finally:
        world.wires.mend()


@contextmanager
def slow(world: World, at: int, rng: random.Random) -> Iterator[str]:
    delay_s = rng.choice((0.02, 0.1, 0.3))
    world.wires.slow(at, delay_s)
    try:
        yield f"{delay_s * 1000:.0f} ms late"
    finally:
        world.wires.mend()


@contextmanager
def disk_full(world: World, at: int, _rng: random.Random) -> Iterator[str]:
    """The kernel answers the next write with an error, as a full disk does (EFBIG)."""
    pid = world.cluster.pid(at)
    assert pid is not None, "a node that is up runs out of room"
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
    yield "no more room"
    # It stops by itself when it has something to write, or does when it is asked to.
    if world.cluster.alive(at):
        world.cluster.stop(at, timeout=EXIT_S)
    world.start(at)


@contextmanager
def clock(world: World, at: int, rng: random.Random) -> Iterator[str]:
    hours = rng.choice((-30 * 24, -5, 5, 400 * 24))
    world.set_clock(at, hours * HOURS_MS)
    if rng.random() < 0.5:
        world.cluster.kill(at)
        world.cluster.start(at)
    try:
        yield f"its clock is {hours} hours off"
    finally:
        world.set_clock(at, 0)
    world.cluster.wait_ready(at)


@contextmanager
def corrupt(world: World, at: int, rng: random.Random) -> Iterator[str]:
    world.cluster.kill(at)
    where = _flip(world.cluster.node_dir(at) / "data", rng)
    yield f"a byte of {where}"
    world.start(at)


def _flip(data: Path, rng: random.Random) -> str:
    """Flip one bit of one file of a stopped node; return which."""
    files = sorted(
        path
        for path in data.rglob("*")
        if path.is_file() and path.name not in _KEPT and path.stat().st_size
    )
    path = rng.choice(files)
    place = rng.randrange(path.stat().st_size)
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes((byte ^ 1 << rng.randrange(8),)))
    return f"{path.relative_to(data)} at {place}"


@contextmanager
def wipe(world: World, at: int, _rng: random.Random) -> Iterator[str]:
    world.cluster.kill(at)
    shutil.rmtree(world.cluster.node_dir(at) / "data")
    yield "its ledger is gone"
    world.start(at)


@contextmanager
def restore(world: World, at: int, _rng: random.Random) -> Iterator[str]:
    """Copy its ledger while it is down, let it go on, put the copy back."""
    data, copy = world.cluster.node_dir(at) / "data", world.copies / world.name(at)
    world.cluster.kill(at)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(data, copy)
    world.start(at)
    height = world.height(at)
    world.until(
        lambda: world.height(at) > height + RESTORED_BLOCKS,
        f"{world.name(at)} does not get beyond height {height}",
        patience_s=EXIT_S,
    )
    world.cluster.kill(at)
    shutil.rmtree(data)
    copy.rename(data)
    yield f"back to height {height}"
    world.start(at)


FAULTS: Final[dict[str, Fault]] = {
    "kill": kill,
    "pause": pause,
    "isolate": isolate,
    "deaf": deaf,
    "slow": slow,
    "disk-full": disk_full,
    "clock": clock,
    "corrupt": corrupt,
    "wipe": wipe,
    "restore": restore,
}

"""What machine this is, and what its disk promises at this moment.

The latency of fdatasync stands beside every result: a block cannot be faster than its syncs,
and a disk with a write-back cache below it is not a disk without one.
"""

import math
import os
import platform
import signal
import statistics
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import psutil
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair

from node.ledger import accel

PACKAGES: Final = (
    "chartseal", "aiohttp", "msgpack", "plyvel", "PyNaCl", "py-ed25519-zebra-bindings",
    "uvloop",
)  # fmt: skip
_SAMPLES: Final = 200


def facts(directory: Path) -> dict[str, Any]:
    """Return the machine in words; ``directory`` is where the clusters' disks will be."""
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "memory GB": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "file system": _file_system(directory),
        "load before the run": round(os.getloadavg()[0], 2),
        "verification backend": accel.backend(),
        "versions": {"python": platform.python_version()} | _versions(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # optional
    return found


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = [
        line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line
    ]
    return names[0] if names else platform.machine()


def _file_system(directory: Path) -> str:
    at = directory.resolve()
    best = max(
        (item for item in psutil.disk_partitions(all=True) if _holds(item.mountpoint, at)),
        key=lambda item: len(item.mountpoint),
        default=None,
    )
    return "unknown" if best is None else f"{best.fstype} on {best.device}"


def _holds(mount: str, path: Path) -> bool:
    return path == Path(mount) or Path(mount) in path.parents


def fdatasync_us(directory: Path) -> float:
    """Return the median fdatasync of a 4 KiB append, in microseconds."""
    samples = []
    path = directory / "fdatasync.probe"
    with path.open("wb", buffering=0) as file:
        for _ in range(_SAMPLES):
            file.write(b"x" * 4096)
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            samples.append((time.perf_counter() - start) * 1e6)
    path.unlink()
    return statistics.median(samples)


def verify_us(before: float = math.inf) -> float:
    """Return CPU microseconds of one libsodium verification: how fast this core is just now.

    Cells are minutes apart and the processor drifts; ratios between them are corrected by this.
    With ``before``, what it took before a cell, the faster of the two: right after one LevelDB
    may still compact on the other half of the core, and that has made it 113 us instead of 55.
    """
    public, secret = crypto_sign_seed_keypair(bytes(32))
    signed = crypto_sign(bytes(186), secret)
    rounds = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(200):
            crypto_sign_open(signed, public)
        rounds.append((time.process_time() - start) / 200 * 1e6)
    return min(before, statistics.median(rounds))


class _Counter:
    """Something to call."""

    def __init__(self) -> None:
        self.count = 0

    def more(self, by: int) -> int:
        self.count += by
        return self.count


def call_ns() -> float:
    """Return CPU nanoseconds of one call of a small method: how fast this interpreter is.

    Two builds of one version differ by a third: what distributions build is optimised with a
    profile, what is built by hand often is not.
    """
    counter, rounds = _Counter(), []
    for _ in range(5):
        start = time.process_time()
        for _ in range(200_000):
            counter.more(1)
        rounds.append((time.process_time() - start) / 200_000 * 1e9)
    return min(rounds)


def end_on_sigterm() -> None:
    """Let SIGTERM unwind like Ctrl-C does, so that no node outlives the benchmark."""

    def end(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)


def cpu_s(process: psutil.Process) -> float:
    """Return user and system time of a process, in seconds; 0 for one that has ended.

    From the scheduler's own nanoseconds where the system tells them (threads that have ended
    are not in it; a node's threads live as long as it does), else in ticks of 10 ms.
    """
    tasks = Path(f"/proc/{process.pid}/task")
    try:
        spent = [int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()]
    except (OSError, ValueError, IndexError):
        spent = []
    if spent:
        return sum(spent) / 1e9
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def memory_mb(process: psutil.Process) -> tuple[float, float]:
    """Return resident megabytes (10^6 bytes), and how many are the process's own; 0 when it has
    ended.  The rest is files, above all LevelDB's tables, which it maps: the kernel takes that
    back when it needs the room."""
    try:
        info = process.memory_info()
    except psutil.NoSuchProcess:
        return 0.0, 0.0
    return info.rss / 1e6, (info.rss - info.shared) / 1e6

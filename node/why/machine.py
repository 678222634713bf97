"""What the system tells of this process: descriptors, memory, certificates' ends.

Owns: reading /proc, the memory group and certificate files.  Where a fact is not to be had
(another system, another layout) the answer says that there is plenty: no cause is invented.
"""

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography import x509

from node.config import Config
from node.why.observation import Certificate

PLENTY: Final = 1 << 40
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_GROUPS: Final = Path("/sys/fs/cgroup")
_PEM_BYTES_MAX: Final = 1 << 20


def descriptors() -> tuple[int, int]:
    """Return how many file descriptors are open, and how many may be."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = PLENTY if limit == resource.RLIM_INFINITY else limit
    try:
        with os.scandir("/proc/self/fd") as entries:
            return sum(1 for _ in entries), limit
    except OSError as error:
        # None left to look with: that is the answer.
        return (limit, limit) if error.errno in (24, 23) else (0, limit)


def memory() -> tuple[int, int]:
    """Return resident bytes, and how many are left before system, group or limit says no."""
    resident = virtual = 0
    parts = text(Path("/proc/self/statm")).split()
    if len(parts) > 1:
        virtual, resident = int(parts[0]) * _PAGE, int(parts[1]) * _PAGE
    left = [PLENTY, _available()]
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        left.append(limit - virtual)
    group_max, used = text(_GROUPS / "memory.max"), text(_GROUPS / "memory.current")
    if group_max.isdigit() and used.isdigit():
        left.append(int(group_max) - int(used))
    return resident, max(0, min(left))


def _available() -> int:
    for line in text(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return PLENTY


def text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


class Certificates:
    """What clients see, and what vouches for clients; read again every few seconds."""

    EVERY_S: Final = 5.0

    def __init__(self, config: Config) -> None:
        named = (
            ("api.tls_cert_file", config.api.tls_cert_file),
            ("api.client_ca_file", config.api.client_ca_file),
        )
        self._files = [(name, path) for name, path in named if path is not None]
        self._read_s = float("-inf")
        self._ends: list[tuple[str, int]] = []

    def left(self, now_ms: int) -> tuple[Certificate, ...]:
        """Return how long each certificate is still good; unreadable ones are passed over."""
        if time.monotonic() - self._read_s >= self.EVERY_S:
            self._read_s = time.monotonic()
            self._ends = [pair for name, path in self._files for pair in ends(name, path)]
        return tuple(Certificate(name=name, left_ms=end - now_ms) for name, end in self._ends)


def ends(name: str, path: Path) -> Iterator[tuple[str, int]]:
    """Yield (name, end in Unix milliseconds) of the certificate of ``path`` that ends first."""
    try:
        with path.open("rb") as file:
            found = x509.load_pem_x509_certificates(file.read(_PEM_BYTES_MAX))
    except (OSError, ValueError):
        return
    if found:
        first = min(item.not_valid_after_utc for item in found)
        yield name, int(first.timestamp() * 1000)

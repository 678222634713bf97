"""What the doctor asks of the system, one question a method, so that tests can answer instead.

Where a question has no answer on this system the answer is None, and the check says so.
"""

import ctypes
import os
import resource
import shutil
import socket
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from node.why import machine

_TIMEX_BYTES = 512  # larger than struct timex anywhere
_TIME_ERROR = 5


class Machine:
    def descriptors_max(self) -> int:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    def memory_left(self) -> int:
        return machine.memory()[1]

    def group_memory_max(self) -> int | None:
        """Return the memory limit of the group that this process is in."""
        text = machine.text(Path("/sys/fs/cgroup/memory.max"))
        return int(text) if text.isdigit() else None

    def huge_pages(self) -> str | None:
        """Return ``always``, ``madvise`` or ``never``."""
        text = machine.text(Path("/sys/kernel/mm/transparent_hugepage/enabled"))
        return text.partition("[")[2].partition("]")[0] or None

    def entropy(self) -> int | None:
        text = machine.text(Path("/proc/sys/kernel/random/entropy_avail"))
        return int(text) if text.isdigit() else None

    def swap_used(self) -> int:
        """Return bytes that lie in swap."""
        sizes = {}
        for line in machine.text(Path("/proc/meminfo")).splitlines():
            name, _, rest = line.partition(":")
            if name in ("SwapTotal", "SwapFree"):
                sizes[name] = int(rest.split()[0]) << 10
        return sizes.get("SwapTotal", 0) - sizes.get("SwapFree", 0)

    def kernel(self) -> str:
        return os.uname().release

    def python(self) -> tuple[int, int]:
        return sys.version_info[:2]

    def synchronised(self) -> bool | None:
        """Return whether the kernel says that the clock is disciplined; None: it cannot say."""
        buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
        try:
            state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
        except (OSError, AttributeError):
            return None
        return None if state < 0 else state != _TIME_ERROR

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def free(self, path: Path) -> tuple[int, int]:
        """Return free and total bytes of the file system under ``path``."""
        usage = shutil.disk_usage(path)
        return usage.free, usage.total

    def inodes(self, path: Path) -> tuple[int, int]:
        """Return free and total inodes; (0, 0) where the file system does not count them."""
        found = os.statvfs(path)
        return found.f_favail, found.f_files

    def file_system(self, path: Path) -> str | None:
        """Return the kind of the file system under ``path``."""
        best, kind = "", None
        resolved = str(path.resolve())
        for line in machine.text(Path("/proc/self/mounts")).splitlines():
            words = line.split()
            at = words[1] if len(words) > 2 else ""
            inside = resolved == at or resolved.startswith(at.rstrip("/") + "/")
            if inside and len(at) >= len(best):
                best, kind = at, words[2]
        return kind

    def sync_ms(self, path: Path, count: int = 200) -> list[float]:
        """Return how long each of ``count`` synced writes of 4 KiB beside ``path`` took."""
        probe, took = path / f".doctor-{os.getpid()}", list[float]()
        try:
            with probe.open("wb", buffering=0) as file:
                for _ in range(count):
                    began = time.perf_counter()
                    file.write(bytes(4096))
                    os.fdatasync(file.fileno())
                    took.append((time.perf_counter() - began) * 1000)
        finally:
            probe.unlink(missing_ok=True)
        return took

    def connects(self, host: str, port: int, timeout_s: float = 2.0) -> str | None:
        """Return why TCP to ``host`` cannot be had; None: it can."""
        try:
            with socket.create_connection((host, port), timeout=timeout_s):
                return None
        except socket.gaierror:
            return "unknown host name"
        except OSError as error:
            return error.strerror or "no answer in time"

    def resolves(self, host: str) -> bool:
        try:
            return bool(socket.getaddrinfo(host, None))
        except OSError:
            return False

    def bindable(self, host: str, port: int) -> bool:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
        return True

    def library(self, name: str) -> tuple[int, ...] | None:
        """Return the first two numbers of a library's version; None when it is not there."""
        try:
            numbers = version(name).split(".")[:2]
        except PackageNotFoundError:
            return None
        return tuple(int(item) for item in numbers if item.isdigit())

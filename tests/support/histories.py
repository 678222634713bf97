"""What befalls the members of a real network in a test; clients and wires are the product's."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from node.chaos.wires import Wires
from node.cli.cluster import Cluster
from node.errors import ChartsealError


@dataclass(frozen=True, slots=True)
class Faults:
    """What can happen to one member at a time, and be undone."""

    cluster: Cluster
    wires: Wires

    @contextmanager
    def killed(self, member: int) -> Iterator[None]:
        """Down as by a power cut."""
        assert self.cluster.kill(member)
        try:
            yield
        finally:
            self.cluster.start(member)
        self.cluster.wait_ready(member)

    @contextmanager
    def paused(self, member: int) -> Iterator[None]:
        """Stopped in the middle of whatever it does; it does not notice."""
        pid = self.cluster.pid(member)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextmanager
    def isolated(self, member: int) -> Iterator[None]:
        """Alive, reachable for clients, and without the other members."""
        self.wires.isolate(member)
        try:
            yield
        finally:
            self.wires.mend()

    @contextmanager
    def half_isolated(self, member: int) -> Iterator[None]:
        """What it dials is lost; what the others dial is not."""
        self.wires.deafen(member)
        try:
            yield
        finally:
            self.wires.mend()

    def kinds(self) -> list[Callable[[int], Any]]:
        return [self.paused, self.isolated, self.killed, self.half_isolated]

    def leader(self) -> int:
        """Return the member that most members follow now; 0 when nobody says."""
        named: list[str] = []
        for at in range(len(self.cluster.members)):
            try:
                status = self.cluster.client(at, timeout_s=2).get("/v1/status")
            except ChartsealError:
                continue
            if status["engine"]["leader"] is not None:
                named.append(status["engine"]["leader"])
        ids = [item.id for item in self.cluster.members]
        return ids.index(max(set(named), key=named.count)) if named else 0

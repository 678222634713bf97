"""The network of a rehearsal: nodes, wires, clocks, and who of them votes.

Owns: starting and stopping, finding the leader, waiting until everybody is level.
Refuses: to judge; to touch a process that is not its own.
"""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import node as package
from node.chaos.wires import Wires
from node.cli.cluster import Cluster
from node.errors import ChartsealError

READY_S: Final = 90.0
LEVEL_S: Final = 120.0  # without any progress
_MOVING_S: Final = 900.0
_POLL_S: Final = 0.1

# Python imports it when a node starts; the file of the clock may change at any moment.
_CLOCK: Final = """\
import os
import time

_path = os.environ["REHEARSAL_CLOCK"]
_real_ns = time.time_ns


def _ahead_ms():
    with open(_path) as file:
        return int(file.read() or "0")


def _time_ns():
    return _real_ns() + _ahead_ms() * 1_000_000


time.time_ns = _time_ns
time.time = lambda: _time_ns() / 1e9
"""


class World:
    """``voters`` are the numbers of the nodes that vote now; the others watch."""

    def __init__(self, cluster: Cluster, wires: Wires, *, voters: int) -> None:
        self.cluster: Final = cluster
        self.wires: Final = wires
        self.voters: list[int] = list(range(voters))
        self.copies: Final = cluster.directory / "copies"
        self.copies.mkdir(exist_ok=True)
        clocks = cluster.directory / "clocks"
        clocks.mkdir(exist_ok=True)
        (clocks / "sitecustomize.py").write_text(_CLOCK)
        source = str(Path(package.__file__ or "").parent.parent)
        known = os.environ.get("PYTHONPATH")
        path = os.pathsep.join(filter(None, (str(clocks), source, known)))
        for at in range(len(cluster.members)):
            self.set_clock(at, 0)
            cluster.environment[at] = {
                "PYTHONPATH": path,
                "REHEARSAL_CLOCK": str(clocks / f"{at}"),
            }

    @property
    def nodes(self) -> range:
        return range(len(self.cluster.members))

    @property
    def spares(self) -> list[int]:
        """Nodes that do not vote."""
        return [at for at in self.nodes if at not in self.voters]

    def name(self, at: int) -> str:
        return self.cluster.members[at].id

    def set_clock(self, at: int, ahead_ms: int) -> None:
        """Move the wall clock of one node, running or not."""
        path = self.cluster.directory / "clocks" / f"{at}"
        fresh = path.with_suffix(".new")
        fresh.write_text(f"{ahead_ms}")
        fresh.replace(path)

    # --- life -----------------------------------------------------------------------------

    def start(self, at: int) -> None:
        """Start a node and return when it serves clients."""
        self.cluster.start(at)
        self.cluster.wait_ready(at, READY_S)

    def status(self, at: int) -> dict[str, Any] | None:
        """Return what a node says of itself; None when it says nothing."""
        try:
            found = self.cluster.client(at, timeout_s=3).get("/v1/status")
        except ChartsealError:
            return None
        return found if isinstance(found, dict) else None

    def leader(self) -> int:
        """Return the voter that most voters follow now; the first when nobody says."""
        named: list[str] = []
        for at in self.voters:
            status = self.status(at)
            if status is not None and status["engine"]["leader"] is not None:
                named.append(status["engine"]["leader"])
        ids = [item.id for item in self.cluster.members]
        if not named:
            return self.voters[0]
        return ids.index(max(sorted(set(named)), key=named.count))

    def height(self, at: int) -> int:
        status = self.status(at)
        return 0 if status is None else int(status["height"])

    def until(
        self,
        holds: Callable[[], bool],
        what: str,
        *,
        patience_s: float,
        behind: Callable[[], Iterable[int]] = tuple,
    ) -> None:
        """Return when ``holds``; raises ``TimeoutError`` naming ``what``.

        Patience begins anew, up to ``_MOVING_S`` in all, whenever one of the nodes ``behind``
        has come further: who executes a whole ledger again takes as long as that is.
        """
        began = moved = time.monotonic()
        reached: dict[int, int] = {}
        while not holds():
            now = time.monotonic()
            further = {at: self.height(at) for at in behind()}
            if any(height > reached.get(at, 0) for at, height in further.items()):
                moved, reached = now, reached | further
            if now > moved + patience_s or now > began + max(patience_s, _MOVING_S):
                raise TimeoutError(f"{what} after {now - began:.0f} s")
            time.sleep(_POLL_S)

    def whole(self) -> None:
        """Wait until every voter votes again: the next fault is the only one then.

        A member that lost its ledger only follows until the others took its new keys.
        """

        def silent() -> list[int]:
            return [at for at in self.voters if not self._votes(at)]

        self.until(
            lambda: not silent(),
            f"not every voter votes again: {[self.name(at) for at in silent()]}",
            patience_s=LEVEL_S,
            behind=silent,
        )

    def _votes(self, at: int) -> bool:
        status = self.status(at)
        return status is not None and status["engine"]["role"] != "observer"

    def level(self) -> dict[int, dict[str, Any]]:
        """Wait until every node stands where the highest did when asked; return one block.

        The block is the highest that every node has, as each of them shows it.
        """
        goal = max(self.height(at) for at in self.nodes)

        def lower() -> list[int]:
            return [at for at in self.nodes if self.height(at) < goal]

        self.until(
            lambda: not lower(),
            f"not every node reached height {goal}: {[self.name(at) for at in lower()]}",
            patience_s=LEVEL_S,
            behind=lower,
        )
        return {at: self._block(at, goal) for at in self.nodes}

    def _block(self, at: int, height: int) -> dict[str, Any]:
        found = self.cluster.client(at, timeout_s=10).get(f"/v1/blocks/{height}")
        assert isinstance(found, dict)
        return found

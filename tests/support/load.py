"""A load of signed transactions from outside, and a memory of what was acknowledged.

Every acknowledged commit is a promise that tests hold the cluster to.  Outcomes that stay
unknown (a killed node, a timeout) promise nothing and forbid nothing but doubling.
"""

import json
import secrets
import threading
import time
from collections.abc import Iterator

from node.cli.cluster import Cluster
from node.errors import ChartsealError


class Load:
    """Writers that anchor random commitments through random live nodes until stopped."""

    def __init__(self, cluster: Cluster, *, writers: int = 6, records_per_op: int = 3) -> None:
        self._cluster = cluster
        self._records = records_per_op
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._moved = threading.Condition(self._lock)
        self.acknowledged: dict[str, list[str]] = {}  # tx id -> commitments
        self.attempted: set[str] = set()
        self.unknown = 0
        self.failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._write, args=(at,), name=f"writer-{at}", daemon=True)
            for at in range(writers)
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a writer hangs"

    def wait_for(self, count: int, *, timeout: float = 60.0) -> None:
        """Return once ``count`` transactions in all were acknowledged."""
        deadline = time.monotonic() + timeout
        with self._moved:
            while len(self.acknowledged) < count:
                assert self.failure is None, self.failure
                left = deadline - time.monotonic()
                assert left > 0, f"{len(self.acknowledged)} of {count} acknowledged"
                self._moved.wait(min(left, 1.0))

    def _operations(self) -> Iterator[list[str]]:
        while not self._stop.is_set():
            yield [secrets.token_hex(32) for _ in range(self._records)]

    def _write(self, at: int) -> None:
        nodes = len(self._cluster.members)
        for number, commitments in enumerate(self._operations()):
            node = (at + number) % nodes
            ops = [
                {
                    "kind": "record.anchor",
                    "body": {"commitment": name, "tag": secrets.token_hex(16), "canon": 2},
                }
                for name in commitments
            ]
            with self._lock:
                self.attempted.update(commitments)
            try:
                client = self._cluster.client(node, timeout_s=12)
                answer = client.request(
                    "POST",
                    "/v1/operations",
                    body=json.dumps({"ops": ops}).encode(),
                    headers={"Content-Type": "application/json", "Prefer": "wait=8"},
                ).json()
            except ChartsealError as error:
                self.unknown += 1
                if error.code in ("internal", "divergence"):
                    self.failure = error
                self._stop.wait(0.05)
                continue
            if answer["state"] == "committed":
                with self._moved:
                    self.acknowledged[answer["tx_id"]] = commitments
                    self._moved.notify_all()
            else:
                self.unknown += 1


def settle(cluster: Cluster, *, timeout: float = 60.0) -> int:
    """Return the height at which every node has stood still together."""
    deadline = time.monotonic() + timeout
    everyone = range(len(cluster.members))
    last: list[int] = []
    while True:
        heights = [int(cluster.client(at).get("/v1/status")["height"]) for at in everyone]
        if len(set(heights)) == 1 and heights == last:
            return heights[0]
        last = heights
        assert time.monotonic() < deadline, f"heights {heights} do not meet"
        time.sleep(0.3)

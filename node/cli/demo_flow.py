"""Anchor many records through many nodes while one of them dies: the demonstration's load.

Owns: worker threads, a queue of records, which nodes are up, latencies.  A request whose
outcome is unknown is never guessed: the ledger is asked, then the record goes through another
node.  Refuses: to end with a record that was not committed.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import nacl.utils

from node.cli.cluster import Cluster
from node.cli.demo_records import Record
from node.errors import ChartsealError
from node.ledger.commitment import Opening, commitment, open_record

WORKERS: Final = 12
ATTEMPTS_MAX: Final = 60
RETRY_S: Final = 0.25
_RETRY_CODES: Final = frozenset(
    {
        "node-unreachable",
        "timeout-outcome-unknown",
        "overloaded",
        "mempool-full",
        "rate-limited",
        "not-ready",
    }
)


@dataclass(slots=True)
class Anchored:
    """A record on the ledger: its opening, and the transaction that holds its commitment."""

    record: Record
    opening: Opening
    tx_id: str = ""
    height: int = 0
    node: int = 0


@dataclass(slots=True)
class Progress:
    total: int
    done: int = 0
    height: int = 0
    started: float = field(default_factory=time.monotonic)
    latencies_ms: list[float] = field(default_factory=list)
    retried: int = 0

    @property
    def rate(self) -> float:
        return self.done / max(time.monotonic() - self.started, 0.001)

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


class Flow:
    """Anchors ``records``; ``up`` may change while it runs."""

    def __init__(self, cluster: Cluster, records: Sequence[Record]) -> None:
        self._cluster = cluster
        self._queue: deque[tuple[int, Anchored]] = deque()
        for number, record in enumerate(records):
            r = nacl.utils.random(32)
            opening = open_record(record.raw, media_type="application/fhir+json", r=r)
            self._queue.append((number, Anchored(record, opening)))
        self.up: set[int] = set(range(len(cluster.members)))
        self.progress = Progress(len(records))
        self.anchored: list[Anchored] = []
        self._lock = threading.Lock()
        self._moved = threading.Condition(self._lock)
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._work, name=f"demo-{at}", daemon=True)
            for at in range(WORKERS)
        ]

    def start(self) -> None:
        self.progress.started = time.monotonic()
        for thread in self._threads:
            thread.start()

    def wait_until(self, done: int, report: Callable[[Progress], None]) -> None:
        """Return when ``done`` records are committed; raises what a worker raised."""
        with self._moved:
            while self.progress.done < done and self._error is None:
                self._moved.wait(0.1)
                report(self.progress)
            if self._error is not None:
                raise self._error

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queue or self._error is not None:
                    return
                number, item = self._queue.popleft()
            try:
                self._anchor(number, item)
            except ChartsealError as error:
                with self._moved:
                    self._error = error
                    self._moved.notify_all()
                return
            with self._moved:
                self.anchored.append(item)
                self.progress.done += 1
                self.progress.height = max(self.progress.height, item.height)
                self._moved.notify_all()

    def _anchor(self, number: int, item: Anchored) -> None:
        last: ChartsealError | None = None
        for attempt in range(ATTEMPTS_MAX):
            node = self._pick(number + attempt)
            began = time.monotonic()
            try:
                if attempt and self._found(node, item):
                    return
                self._post(node, item)
            except ChartsealError as error:
                if error.code not in _RETRY_CODES:
                    raise
                last = error
                self.progress.retried += 1
                time.sleep(RETRY_S)
                continue
            self.progress.latencies_ms.append((time.monotonic() - began) * 1000)
            return
        assert last is not None
        raise last

    def _pick(self, number: int) -> int:
        with self._lock:
            up = sorted(self.up)
        return up[number % len(up)]

    def _found(self, node: int, item: Anchored) -> bool:
        """An earlier try may have been committed after all: ask the ledger."""
        name = commitment(item.opening).hex()
        try:
            view = self._cluster.client(node, timeout_s=5).get(f"/v1/records/{name}")
        except ChartsealError as error:
            if error.code in ("not-found", "record-unknown"):
                return False
            raise
        first = view["occurrences"][0]
        item.tx_id, item.height, item.node = first["tx_id"], first["height"], node
        return True

    def _post(self, node: int, item: Anchored) -> None:
        body: dict[str, Any] = {
            "commitment": commitment(item.opening).hex(),
            "tag": nacl.utils.random(16).hex(),
            "canon": item.opening.canon,
        }
        document = {"ops": [{"kind": "record.anchor", "body": body}]}
        try:
            answer = (
                self._cluster.client(node, timeout_s=20)
                .request(
                    "POST",
                    "/v1/operations",
                    body=json.dumps(document).encode(),
                    headers={"Content-Type": "application/json", "Prefer": "wait=15"},
                )
                .json()
            )
        except ChartsealError as error:
            if error.code == "record-exists" and self._found(node, item):
                return  # an earlier try was committed after all
            raise
        if answer["state"] != "committed":
            raise ChartsealError("timeout-outcome-unknown", f"state {answer['state']}")
        item.tx_id, item.height, item.node = answer["tx_id"], answer["height"], node

"""Clients of a rehearsal: registers on the ledger, read and changed through any node.

A register is a record and its later versions: the newest version is its value.  To amend the
version that a client believes to be the newest is a compare-and-set, since a version has at
most one successor.  To read is to follow the successors until one says that it is live.

Owns: the history of what was asked and answered, with the intervals.  Refuses: judging it.
"""

import os
import random
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from consensus import wire
from node import keys as keystore
from node.chaos.linear import READ, Operation, cas, write
from node.cli.cluster import Cluster
from node.cli.layout import KEY_NAME, UNLOCK_NAME
from node.errors import ChartsealError
from node.keys import NodeKeys
from node.ledger import transaction
from node.ledger.families.record import Amend, Anchor
from node.ledger.genesis import Genesis
from node.ledger.transaction import Op, Payload

WAIT_S: Final = 1  # for a commit; who asks a node that is cut off loses no more time
PATIENT_S: Final = 6  # where a leader's every message is late: it takes five in a row
GRACE_S: Final = 1.5
LINEARIZABLE: Final = {"consistency": "linearizable"}
EXPIRES_HEIGHT: Final = 90_000  # within what the ledger allows from its first block on


def keys_of(cluster: Cluster, at: int) -> NodeKeys:
    """Open a node's keys as its own process would."""
    directory = cluster.node_dir(at)
    passphrase = (directory / UNLOCK_NAME).read_bytes().strip()
    return keystore.load(directory / KEY_NAME, passphrase)


def genesis_of(cluster: Cluster) -> Genesis:
    return Genesis.decode(cluster.genesis_path.read_bytes())


class Registers:
    """Records of one institution, changed through any node; collects what was observed.

    The institution's key signs here, so that a client may send to every node alike.
    """

    def __init__(self, cluster: Cluster, *, count: int, author: int = 0) -> None:
        self.cluster = cluster
        self.acknowledged: list[str] = []  # ids of transactions said to be committed
        self.wait_s = WAIT_S
        self._network = genesis_of(cluster).network
        self._keys = keys_of(cluster, author)
        self._moved = threading.Condition()
        self._history: list[Operation] = []
        self._completed = 0
        self.first = [self._found(at) for at in range(count)]
        self.latest = list(self.first)  # what was seen last, as a place to start from

    @property
    def history(self) -> list[Operation]:
        with self._moved:
            return list(self._history)

    def wait_for(self, more: int, *, timeout_s: float = 40.0) -> None:
        """Return once ``more`` operations were completed after this call.

        Raises ``TimeoutError``: the network does not serve its clients.
        """
        with self._moved:
            wanted = self._completed + more
            if not self._moved.wait_for(lambda: self._completed >= wanted, timeout_s):
                short = wanted - self._completed
                raise TimeoutError(f"{short} operations short after {timeout_s:g} s")

    def amend(self, process: int, node: int, key: int, old: bytes) -> bytes | None:
        """Compare-and-set ``old`` to a fresh version; return that when it surely succeeded."""
        new = os.urandom(32)
        raw = self._sign(Op("record.amend", wire.to_value(Amend(old, _anchor(new), "amended"))))
        call = time.monotonic_ns()
        try:
            done: bool | None = self._submit(node, raw, wait_s=self.wait_s)
        except ChartsealError as error:
            if error.code == "node-unreachable":
                return None  # nothing was sent
            done = {"record-superseded": False}.get(error.code)
        asked = cas(_short(old), _short(new))
        self._note(process, key, call, asked, done, is_pending=done is None)
        if not done:
            return None
        self.latest[key] = new
        return new

    def read(
        self, process: int, node: int, key: int, known: bytes, query: dict[str, str]
    ) -> bytes | None:
        """Follow the successors of ``known`` to the newest version; None without an answer.

        Only the last step is noted: that one says what the newest version is.
        """
        client = self.cluster.client(node, timeout_s=self.wait_s + GRACE_S)
        version = known
        while True:
            call = time.monotonic_ns()
            try:
                answer = client.get(f"/v1/records/{version.hex()}", **query)
            except ChartsealError as error:
                if error.code == "record-unknown":  # though somebody was told of it
                    self._note(process, key, call, READ, None)
                return None
            if answer["status"] == "live":
                self._note(process, key, call, READ, _short(version))
                self.latest[key] = version
                return version
            version = bytes.fromhex(answer["successor"])

    def _found(self, key: int) -> bytes:
        first = os.urandom(32)
        raw = self._sign(Op("record.anchor", wire.to_value(_anchor(first))))
        call = time.monotonic_ns()
        for node in range(len(self.cluster.members)):
            try:
                done = self._submit(node, raw, wait_s=10)
            except ChartsealError:
                continue  # the same bytes again elsewhere: they commit once
            if done:
                self._note(-1, key, call, write(_short(first)), None)
                return first
        raise TimeoutError("no node acknowledged the first version of a register")

    def _sign(self, op: Op) -> bytes:
        payload = Payload(self._network, self._keys.node, EXPIRES_HEIGHT, os.urandom(8), (op,))
        return transaction.sign(payload, self._keys.identity)

    def _submit(self, node: int, raw: bytes, *, wait_s: int) -> bool | None:
        answer = self.cluster.client(node, timeout_s=wait_s + GRACE_S).request(
            "POST",
            "/v1/transactions",
            body=raw,
            headers={"Content-Type": "application/octet-stream", "Prefer": f"wait={wait_s}"},
        )
        said = answer.json()
        if said["state"] != "committed":
            return None
        self.acknowledged.append(str(said["tx_id"]))
        return True

    def _note(
        self,
        process: int,
        key: int,
        call: int,
        asked: tuple[Any, ...],
        output: object,
        *,
        is_pending: bool = False,
    ) -> None:
        end = None if is_pending else time.monotonic_ns()
        with self._moved:
            self._history.append(Operation(process, key, call, end, asked, output))
            if not is_pending:
                self._completed += 1
                self._moved.notify_all()


def _short(version: bytes) -> str:
    """Name a version in a history as people can compare it."""
    return version.hex()[:12]


def _anchor(commitment: bytes) -> Anchor:
    return Anchor(commitment, os.urandom(16), 2)


class Clients:
    """Threads that read and amend registers through nodes drawn at random, until stopped."""

    def __init__(
        self, registers: Registers, *, clients: int, seed: int, nodes: Sequence[int] = ()
    ) -> None:
        self._registers = registers
        self._nodes = tuple(nodes) or tuple(range(len(registers.cluster.members)))
        self._stop = threading.Event()
        self.failures: list[BaseException] = []
        self._threads = [
            threading.Thread(
                target=self._work,
                args=(at, random.Random(seed + at)),  # noqa: S311 - repeated from the seed
                name=f"client-{at}",
            )
            for at in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"
        if error is None and self.failures:
            raise self.failures[0]

    def _work(self, process: int, rng: random.Random) -> None:
        try:
            self._ask(process, rng)
        except (ArithmeticError, AssertionError, LookupError, OSError, ValueError) as error:
            self.failures.append(error)

    def _ask(self, process: int, rng: random.Random) -> None:
        registers = self._registers
        known = list(registers.first)
        while not self._stop.is_set():
            key, node = rng.randrange(len(known)), rng.choice(self._nodes)
            if rng.random() < 0.5:
                newest = registers.read(process, node, key, known[key], LINEARIZABLE)
            else:
                newest = registers.amend(process, node, key, known[key])
            if newest is not None:
                known[key] = newest
            else:
                self._stop.wait(0.02)  # a node that is down answers at once

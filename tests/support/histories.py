"""Histories of a real network: registers on the ledger, clients, and what befalls the members.

A register is a record and its later versions: the newest version is its value.  To amend the
version that a client believes to be the newest is a compare-and-set, since a version has at
most one successor.  To read is to follow the successors until one says that it is live.

``Wires`` stand between the members' peer ports, one for each direction, and can be cut: what
is sent then waits, as when a network loses packets, and arrives after it is mended.
"""

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from consensus import wire
from node.cli.cluster import Cluster
from node.cli.layout import CONFIG_NAME
from node.errors import ChartsealError
from node.ledger import transaction
from node.ledger.families.record import Amend, Anchor
from node.ledger.transaction import Op, Payload
from tests.support.hostile import genesis_of, keys_of
from tests.support.linearizability import READ, Operation, cas, write

CLIENT_S = 2.5
WAIT_S = 1
LINEARIZABLE = {"consistency": "linearizable"}
CHUNK_BYTES = 64 << 10


class Wires:
    """Between every two members a wire in each direction; use before the cluster is started.

    A wire runs from the member that dialled to the one that was dialled; cutting ``a`` from
    ``b`` stops what travels on it both ways.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wires")
        self._open: dict[tuple[int, int], asyncio.Event] = {}
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._lay())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._take_up())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self, *lost: tuple[int, int]) -> None:
        """Stop the wires from the first to the second member of each pair."""
        self._run(self._set(lost, is_open=False))

    def isolate(self, member: int) -> None:
        """Stop every wire that begins or ends at ``member``."""
        self.cut(*[pair for pair in self._open if member in pair])

    def mend(self) -> None:
        """Open every wire; what waited arrives."""
        self._run(self._set(tuple(self._open), is_open=True))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _set(self, pairs: tuple[tuple[int, int], ...], *, is_open: bool) -> None:
        for pair in pairs:
            if is_open:
                self._open[pair].set()
            else:
                self._open[pair].clear()

    async def _lay(self) -> None:
        members = self._cluster.members
        for at, dialler in enumerate(members):
            path = self._cluster.node_dir(at) / CONFIG_NAME
            text = path.read_text()
            for to, peer in enumerate(members):
                if peer is dialler:
                    continue
                gate = self._open[at, to] = asyncio.Event()
                gate.set()
                server = await asyncio.start_server(
                    lambda reader, writer, port=peer.p2p_port, gate=gate: self._carry(
                        reader, writer, port, gate
                    ),
                    "127.0.0.1",
                    0,
                )
                self._servers.append(server)
                old = f'{peer.id} = "127.0.0.1:{peer.p2p_port}"'
                assert old in text
                port = server.sockets[0].getsockname()[1]
                text = text.replace(old, f'{peer.id} = "127.0.0.1:{port}"')
            path.write_text(text)

    async def _take_up(self) -> None:
        for server in self._servers:
            server.close()
        mine = asyncio.current_task()
        running = [task for task in asyncio.all_tasks() if task is not mine]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    @staticmethod
    async def _carry(
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        port: int,
        gate: asyncio.Event,
    ) -> None:
        try:
            await gate.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:  # the member is down: the dialler learns it
            writer.transport.abort()
            return
        except asyncio.CancelledError:
            writer.transport.abort()
            return
        there = asyncio.ensure_future(_pump(reader, far_writer, gate))
        back = asyncio.ensure_future(_pump(far_reader, writer, gate))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            pass
        finally:
            there.cancel()
            back.cancel()
            writer.transport.abort()
            far_writer.transport.abort()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event
) -> None:
    try:
        while True:
            await gate.wait()
            chunk = await reader.read(CHUNK_BYTES)
            await gate.wait()
            if not chunk:
                return
            writer.write(chunk)
            await writer.drain()
    except (OSError, asyncio.CancelledError):
        return


class Registers:
    """Records of one institution, changed through any member; collects what was observed.

    The institution's key signs here, so that a client may send to every member alike.
    """

    def __init__(self, cluster: Cluster, *, count: int) -> None:
        self.cluster = cluster
        self._network = genesis_of(cluster).network
        self._keys = keys_of(cluster, 0)
        self._lock = threading.Lock()
        self._moved = threading.Condition(self._lock)
        self._history: list[Operation] = []
        self._completed = 0
        self.first = [self._found(at) for at in range(count)]
        self.latest = list(self.first)  # what was seen last, as a place to start from

    @property
    def history(self) -> list[Operation]:
        with self._lock:
            return list(self._history)

    def wait_for(self, more: int, *, timeout_s: float = 40.0) -> None:
        """Return once ``more`` operations were completed after this call."""
        with self._moved:
            wanted = self._completed + more
            reached = self._moved.wait_for(lambda: self._completed >= wanted, timeout_s)
            assert reached, f"{wanted - self._completed} operations short after {timeout_s} s"

    def amend(self, process: int, node: int, key: int, old: bytes) -> bytes | None:
        """Compare-and-set ``old`` to a fresh version; return that when it surely succeeded."""
        new = os.urandom(32)
        raw = self._sign(Op("record.amend", wire.to_value(Amend(old, _anchor(new), "amended"))))
        call = time.monotonic_ns()
        try:
            done: bool | None = self._submit(node, raw)
        except ChartsealError as error:
            if error.code == "node-unreachable":
                return None  # nothing was sent
            done = {"record-superseded": False}.get(error.code)
        self._note(
            process, key, call, cas(_short(old), _short(new)), done, is_pending=done is None
        )
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
        client = self.cluster.client(node, timeout_s=CLIENT_S)
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
        assert self._submit(0, raw), "the first version was not acknowledged"
        self._note(-1, key, call, write(_short(first)), None)
        return first

    def _sign(self, op: Op) -> bytes:
        payload = Payload(self._network, self._keys.node, 10_000, os.urandom(8), (op,))
        return transaction.sign(payload, self._keys.identity)

    def _submit(self, node: int, raw: bytes) -> bool | None:
        answer = self.cluster.client(node, timeout_s=CLIENT_S).request(
            "POST",
            "/v1/transactions",
            body=raw,
            headers={"Content-Type": "application/octet-stream", "Prefer": f"wait={WAIT_S}"},
        )
        return True if answer.json()["state"] == "committed" else None

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
    """Threads that read and amend registers through members drawn at random, until stopped."""

    def __init__(self, registers: Registers, *, clients: int, seed: int) -> None:
        self._registers = registers
        self._stop = threading.Event()
        self.failures: list[BaseException] = []
        self._threads = [
            threading.Thread(
                target=self._work, args=(at, random.Random(seed + at)), name=f"client-{at}"
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
        if error is None:
            assert self.failures == []

    def _work(self, process: int, rng: random.Random) -> None:
        registers = self._registers
        known = list(registers.first)
        nodes = len(registers.cluster.members)
        try:
            while not self._stop.is_set():
                key, node = rng.randrange(len(known)), rng.randrange(nodes)
                if rng.random() < 0.5:
                    newest = registers.read(process, node, key, known[key], LINEARIZABLE)
                else:
                    newest = registers.amend(process, node, key, known[key])
                if newest is not None:
                    known[key] = newest
                else:
                    self._stop.wait(0.02)  # a member that is down answers at once
        except Exception as error:
            self.failures.append(error)


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
        everyone = range(len(self.cluster.members))
        self.wires.cut(*[(member, to) for to in everyone if to != member])
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

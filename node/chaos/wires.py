"""The links of a rehearsal: a wire for each direction between any two nodes, to cut or delay.

What is sent on a wire that is cut waits, as when a network loses packets, and arrives after it
is mended.  Owns: the proxies (a thread with its own loop), the nodes' peer addresses.
Refuses: to look at what travels; it is encrypted.
Bounded: one chunk of ``CHUNK_BYTES`` waits in each direction of each connection.
"""

import asyncio
import threading
from collections.abc import Coroutine
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from node.cli.cluster import Cluster
from node.cli.layout import CONFIG_NAME

CHUNK_BYTES: Final = 64 << 10
_CALL_S: Final = 10.0


class Wire:
    """From the node that dialled to the one that was dialled; both ways of its connections."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.open = asyncio.Event()
        self.open.set()
        self.delay_s = 0.0
        self.carried: set[asyncio.Task[None]] = set()


class Wires:
    """Between every two nodes a wire in each direction; use before the cluster is started."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wires")
        self._wires: dict[tuple[int, int], Wire] = {}
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
        self._thread.join(_CALL_S)
        self._loop.close()

    def cut(self, *lost: tuple[int, int]) -> None:
        """Stop the wires from the first to the second node of each pair."""
        self._run(self._set(lost, is_open=False))

    def isolate(self, node: int) -> None:
        """Stop every wire that begins or ends at ``node``."""
        self.cut(*[pair for pair in self._wires if node in pair])

    def deafen(self, node: int) -> None:
        """Stop every wire that begins at ``node``."""
        self.cut(*[pair for pair in self._wires if pair[0] == node])

    def slow(self, node: int, delay_s: float) -> None:
        """Make every chunk from and to ``node`` late by ``delay_s``."""
        self._run(self._slow(node, delay_s))

    def redirect(self, node: int, port: int) -> None:
        """Lead whoever dials ``node`` to ``port`` from now on, as a changed name would."""
        self._run(self._redirect(node, port))

    def mend(self) -> None:
        """Open every wire without delay; what waited arrives."""
        self._run(self._set(tuple(self._wires), is_open=True))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_S)

    async def _set(self, pairs: tuple[tuple[int, int], ...], *, is_open: bool) -> None:
        for pair in pairs:
            wire = self._wires[pair]
            if is_open:
                wire.delay_s = 0.0
                wire.open.set()
            else:
                wire.open.clear()

    async def _slow(self, node: int, delay_s: float) -> None:
        for pair, wire in self._wires.items():
            if node in pair:
                wire.delay_s = delay_s

    async def _redirect(self, node: int, port: int) -> None:
        for (_, to), wire in self._wires.items():
            if to == node:
                wire.port = port
                for task in wire.carried:
                    task.cancel()

    async def _lay(self) -> None:
        members = self._cluster.members
        for at, dialler in enumerate(members):
            path = self._cluster.node_dir(at) / CONFIG_NAME
            text = path.read_text()
            for to, peer in enumerate(members):
                if peer is dialler:
                    continue
                wire = self._wires[at, to] = Wire(peer.p2p_port)
                carry = partial(_carry, wire=wire)
                server = await asyncio.start_server(carry, "127.0.0.1", 0)
                self._servers.append(server)
                old = f'{peer.id} = "127.0.0.1:{peer.p2p_port}"'
                assert old in text, f"{path} has no address of {peer.id}"
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


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: Wire
) -> None:
    task = asyncio.current_task()
    assert task is not None
    wire.carried.add(task)
    task.add_done_callback(wire.carried.discard)
    try:
        await wire.open.wait()
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", wire.port)
    except OSError:  # the node is down: the dialler learns it
        writer.transport.abort()
        return
    except asyncio.CancelledError:
        writer.transport.abort()
        return
    there = asyncio.ensure_future(_pump(reader, far_writer, wire))
    back = asyncio.ensure_future(_pump(far_reader, writer, wire))
    try:
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        pass
    finally:
        there.cancel()
        back.cancel()
        writer.transport.abort()
        far_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: Wire) -> None:
    try:
        while True:
            await wire.open.wait()
            chunk = await reader.read(CHUNK_BYTES)
            if wire.delay_s:
                await asyncio.sleep(wire.delay_s)
            await wire.open.wait()
            if not chunk:
                return
            writer.write(chunk)
            await writer.drain()
    except (OSError, asyncio.CancelledError):
        return

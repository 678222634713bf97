"""A member that lies: a stopped node's real keys, driven from a test through real sockets.

The network part (``Peers``) is the product's own, so handshakes hold; what it says is the
test's.  ``Stranger`` speaks below that: raw TCP, TLS, single handshake frames.  Beside them
what such tests ask of real nodes: their metrics and a change of their settings.
"""

import asyncio
import random
import re
import socket
import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from consensus.pbft.dialect import DIALECT
from consensus.types import NodeId
from node import keys as keystore
from node.cli.cluster import Cluster
from node.cli.layout import CONFIG_NAME, KEY_NAME, UNLOCK_NAME
from node.errors import ChartsealError
from node.keys import NodeKeys
from node.ledger import crypto
from node.ledger.genesis import Genesis
from node.net import tls
from node.net.frame import FrameType, encode
from node.net.limits import NetLimits
from node.net.peers import Peers

POLL_S: Final = 0.05


def keys_of(cluster: Cluster, at: int) -> NodeKeys:
    """Open a member's keys as its own process would."""
    directory = cluster.node_dir(at)
    passphrase = (directory / UNLOCK_NAME).read_bytes().strip()
    return keystore.load(directory / KEY_NAME, passphrase)


def genesis_of(cluster: Cluster) -> Genesis:
    return Genesis.decode(cluster.genesis_path.read_bytes())


class Hostile:
    """Member ``at`` of ``cluster``, whose own process must be down; use as ``async with``.

    ``said`` collects the frames that honest members sent to it; ``on_frame`` may answer them.
    ``network`` and ``signer`` replace the true ones for lies in the handshake.
    """

    def __init__(
        self,
        cluster: Cluster,
        at: int,
        *,
        network: bytes | None = None,
        signer: Callable[[bytes], bytes] | None = None,
        on_frame: Callable[[str, FrameType, bytes], None] | None = None,
    ) -> None:
        assert not cluster.alive(at), "the member's own process must be down"
        self.genesis = genesis_of(cluster)
        self.keys = keys_of(cluster, at)
        self.id = cluster.members[at].id
        self.said: list[tuple[str, FrameType, bytes]] = []
        self._moved = asyncio.Condition()
        self._up: set[str] = set()
        self._answer = on_frame
        self._tasks: set[asyncio.Task[None]] = set()
        self.peers = Peers(
            self_id=self.id,
            network=self.genesis.network if network is None else network,
            members={m.id: m.identity_key for m in self.genesis.validators},
            addresses={
                m.id: ("127.0.0.1", m.p2p_port) for m in cluster.members if m.id != self.id
            },
            listen=("127.0.0.1", cluster.members[at].p2p_port),
            signer=self.keys.identity.sign if signer is None else signer,
            verify=crypto.verify,
            on_frame=self._on_frame,
            limits=NetLimits(),
            rng=random.Random(7),
            clock_ms=lambda: time.monotonic_ns() // 1_000_000,
            on_up=lambda peer: self._note(peer, up=True),
            on_down=lambda peer: self._note(peer, up=False),
        )

    async def __aenter__(self) -> Self:
        await self.peers.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.peers.close()

    # --- what honest members do ------------------------------------------------------------

    def _on_frame(self, peer: NodeId, kind: FrameType, body: bytes) -> None:
        self.said.append((peer, kind, body))
        if self._answer is not None:
            self._answer(peer, kind, body)
        self._wake()

    def _note(self, peer: str, *, up: bool) -> None:
        (self._up.add if up else self._up.discard)(peer)
        self._wake()

    def _wake(self) -> None:
        task = asyncio.get_running_loop().create_task(self._announce())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _announce(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def until(self, what: Callable[[], bool], *, timeout_s: float = 20) -> None:
        """Return once ``what`` holds; it is looked at when a frame or a connection moves."""
        async with self._moved:
            await asyncio.wait_for(self._moved.wait_for(what), timeout_s)

    async def reach(self, peer: str) -> None:
        """Return once frames flow to ``peer``."""
        await self.until(lambda: peer in self._up)

    def reaches(self, peer: str) -> bool:
        return peer in self._up

    # --- what it says ----------------------------------------------------------------------

    async def say(self, peer: str, kind: FrameType, body: bytes) -> None:
        await self.reach(peer)
        assert self.peers.enqueue(peer, kind, body)

    async def say_raw(self, peer: str, raw: bytes) -> None:
        """Send bytes as they are, on the proven connection."""
        await self.reach(peer)
        assert self.peers._offer(peer, FrameType.CONSENSUS, raw)

    async def state(self, peer: str, message: object) -> None:
        """Send a consensus message."""
        await self.say(peer, FrameType.CONSENSUS, DIALECT.encode(message))


class Stranger:
    """Someone without keys at a node's port; reading blocks, so do that in a thread."""

    def __init__(self, port: int, *, timeout_s: float = 15) -> None:
        self._socket: socket.socket = socket.create_connection(
            ("127.0.0.1", port), timeout=timeout_s
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def secure(self) -> None:
        """Go on in TLS as a member would."""
        context = tls.make_identity().client_context
        self._socket = context.wrap_socket(self._socket)

    def send(self, raw: bytes) -> None:
        self._socket.sendall(raw)

    def ended(self) -> bool:
        """Read until the node hangs up; whether it did within the time."""
        try:
            while self._socket.recv(4096):
                pass
        except TimeoutError:
            return False
        except (ConnectionError, ssl.SSLError):
            return True
        return True


def half_frame(kind: FrameType, body: bytes) -> bytes:
    """Return the first half of a frame."""
    raw = encode(kind, body)
    return raw[: len(raw) // 2]


def configure(cluster: Cluster, at: int, line: str, *, section: str) -> None:
    """Set ``line`` ("key = value") in ``section`` of a stopped node's configuration."""
    path = cluster.node_dir(at) / CONFIG_NAME
    key = line.partition(" =")[0]
    kept, current = [], ""
    for old in path.read_text().splitlines():
        if old.startswith("["):
            current = old.strip("[]")
        if current == section and re.match(rf"(# )?{key} =", old):
            continue
        kept.append(old)
        if old == f"[{section}]":
            kept.append(line)
    path.write_text("\n".join(kept) + "\n")


# --- what the node says of it ---------------------------------------------------------------


def metric(cluster: Cluster, at: int, name: str, /, **labels: str) -> float:
    """Return one value of a node's metrics page; 0 when it is not there."""
    page = cluster.ops_client(at).request("GET", "/metrics").body.decode()
    wanted = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    head = f"chartseal_{name}{{{wanted}}} " if labels else f"chartseal_{name} "
    for line in page.splitlines():
        if line.startswith(head):
            return float(line[len(head) :])
    return 0.0


async def eventually(what: Callable[[], bool], say: str, *, timeout_s: float = 20) -> None:
    """Return once ``what``, asked in a thread, holds."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            held = await asyncio.to_thread(what)
        except ChartsealError:
            held = False
        if held:
            return
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {say}"
        await asyncio.sleep(POLL_S)

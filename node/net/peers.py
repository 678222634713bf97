"""The members' network of one node: who is there, what goes out, what came in.

Owns the sockets, one outbound connection per member for sending and one inbound for receiving.
Refuses to know what frames mean, to sign or check anything but handshakes, and to promise
delivery: a frame that was taken may still be lost with its connection, engines resend.
Invariant: ``enqueue`` never blocks, memory is bounded per member whatever members do, and an
unexpected error in any task reaches ``failure`` instead of disappearing.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any

from consensus.types import NodeId, Rng
from node.log import event
from node.net import tls, versions
from node.net.faults import HandshakeFault, NetFault
from node.net.frame import FrameType, encode
from node.net.handshake import NONCE_BYTES, Handshake, Refusal, Role, Signer, Verify
from node.net.inbound import Inbound, OnFrame, Penalties
from node.net.limits import NetLimits
from node.net.link import Connection
from node.net.outbound import Outbound
from node.net.statistics import Last, Statistics

Address = tuple[str, int]
OnPeer = Callable[[NodeId], None]


def _ignore(_peer_id: NodeId) -> None:
    """Nobody wants to hear of connections."""


class Peers:
    """All connections with the other members.

    ``members`` maps every member id to its 32-byte identity key, ``addresses`` those that we
    dial to host and port; ``listen`` may ask for port 0.  ``signer`` signs with our identity
    key, ``verify(key, message, signature)`` is the network's one acceptance rule.
    ``on_frame(peer, type, body)`` runs for one frame of a peer at a time; while it (or the
    awaitable it returns) is busy, that peer is not read.  A ``PeerFault`` from it ends the
    peer's connection and counts towards a pause; any other exception reaches ``failure``.
    ``on_up`` and ``on_down`` tell when frames for a peer start and stop to flow.
    ``clock_ms`` is monotonic, in milliseconds.
    """

    def __init__(
        self,
        *,
        self_id: str,
        network: bytes,
        members: Mapping[str, bytes],
        addresses: Mapping[str, Address],
        listen: Address,
        signer: Signer,
        verify: Verify,
        on_frame: OnFrame,
        limits: NetLimits,
        rng: Rng,
        clock_ms: Callable[[], int],
        on_up: OnPeer = _ignore,
        on_down: OnPeer = _ignore,
        spoken: versions.Range = versions.OURS,
        software: str = "",
    ) -> None:
        self._spoken = spoken
        self._software = software
        self.statistics = Statistics()
        self._self_id = self_id
        self._network = network
        self._members = dict(members)
        self._addresses = dict(addresses)
        self._listen = listen
        self._signer = signer
        self._verify = verify
        self._on_frame = on_frame
        self._limits = limits
        self._rng = rng
        self._clock_ms = clock_ms
        self._on_up = on_up
        self._on_down = on_down
        self._identity = tls.make_identity(spoken)
        self._penalties = Penalties(limits, self.statistics)
        self._redial_ms_min: int | None = None
        self._outbound: dict[str, Outbound] = {}
        self._senders: dict[str, asyncio.Task[None]] = {}
        self._inbound: Inbound | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()
        self._failure: asyncio.Future[None] | None = None
        self._told = ""

    # --- life ---

    async def start(self) -> None:
        """Listen and begin to dial; raise ``OSError`` when the address cannot be bound."""
        assert self._failure is None, "started twice"
        loop = asyncio.get_running_loop()
        listening = await _listening_socket(self._listen)
        self._failure = loop.create_future()
        self._inbound = Inbound(
            listening,
            prove=partial(self._prove, role=Role.LISTENER, expected=None),
            tls=self._identity.server_context,
            on_frame=self._on_frame,
            spawn=self._spawn,
            limits=self._limits,
            statistics=self.statistics,
            penalties=self._penalties,
            clock_ms=self._clock_ms,
            on_proven=self._on_proven,
        )
        self._spawn(self._inbound.accept(), "net-accept")
        for peer_id in self._dialled():
            self._start_sender(peer_id)

    async def close(self) -> None:
        """Stop listening, end every connection and return when nothing of it is left."""
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks.difference_update(tasks)
        if self._inbound is not None:
            self._inbound.close()
        for connection in self._connections:
            connection.abort()
            await connection.closed()
        self._connections.clear()
        if self._failure is not None and not self._failure.done():
            self._failure.set_result(None)

    @property
    def failure(self) -> asyncio.Future[None]:
        """Await it beside the node: raises our unexpected error, returns after ``close``."""
        assert self._failure is not None, "not started"
        return self._failure

    @property
    def listening_port(self) -> int:
        assert self._inbound is not None, "not started"
        return self._inbound.port

    @property
    def addresses(self) -> Mapping[str, Address]:
        """Where members are dialled, as of now."""
        return self._addresses

    def seen_at(self, peer_id: str) -> str | None:
        """Return the host that ``peer_id``, proven, sends from; None while it does not."""
        return None if self._inbound is None else self._inbound.host_of(peer_id)

    def reconfigure(
        self,
        *,
        members: Mapping[str, bytes],
        addresses: Mapping[str, Address],
        redial_ms_min: int | None = None,
    ) -> None:
        """Follow the ledger: who left or changed its key or address is cut off at once.

        ``redial_ms_min``: dial no quicker than that; None: as the limits say.
        """
        self._redial_ms_min = redial_ms_min
        for sender in self._outbound.values():
            sender.redial_ms_min = redial_ms_min
        old_members, old_addresses = self._members, self._addresses
        if members != old_members:  # the same object proves that handshakes may go on
            self._members = dict(members)
        self._addresses = dict(addresses)
        dialled = self._dialled()
        for peer_id, key in old_members.items():
            if self._members.get(peer_id) != key:
                self._penalties.forget(peer_id)
                if self._inbound is not None:
                    self._inbound.hang_up(peer_id)
            elif peer_id in dialled and old_addresses.get(peer_id) == addresses[peer_id]:
                continue
            task = self._senders.pop(peer_id, None)
            self._outbound.pop(peer_id, None)
            if task is not None:
                task.cancel()
        if self._inbound is not None:
            for peer_id in dialled:
                if peer_id not in self._senders:
                    self._start_sender(peer_id)

    # --- sending ---

    def enqueue(self, peer_id: str, frame_type: FrameType, body: bytes) -> bool:
        """Queue a frame and return at once; ``False`` when it was dropped (and counted)."""
        return self._offer(peer_id, frame_type, encode(frame_type, body))

    def broadcast(self, frame_type: FrameType, body: bytes) -> int:
        """Queue a frame for every other member; return how many queues took it."""
        encoded = encode(frame_type, body)
        return sum([self._offer(peer_id, frame_type, encoded) for peer_id in self._outbound])

    def multicast(self, peer_ids: Iterable[str], frame_type: FrameType, body: bytes) -> int:
        """Queue a frame for each of them but ourselves; return how many queues took it."""
        encoded = encode(frame_type, body)
        others = [peer_id for peer_id in peer_ids if peer_id != self._self_id]
        return sum([self._offer(peer_id, frame_type, encoded) for peer_id in others])

    def queue_bytes(self) -> dict[str, int]:
        """Bytes that wait for each member, for the metrics page."""
        return {peer_id: sender.waiting_bytes for peer_id, sender in self._outbound.items()}

    def queue_frames(self) -> int:
        """Frames that wait for all members together."""
        return sum([sender.waiting_frames for sender in self._outbound.values()])

    def _offer(self, peer_id: str, frame_type: FrameType, encoded: bytes) -> bool:
        sender = self._outbound.get(peer_id)
        if sender is None:
            self.statistics.dropped["unknown-peer"] += 1
            return False
        return sender.enqueue(frame_type, encoded)

    def _dialled(self) -> list[str]:
        return [
            peer_id
            for peer_id in self._members
            if peer_id != self._self_id and peer_id in self._addresses
        ]

    def _start_sender(self, peer_id: str) -> None:
        sender = Outbound(
            peer_id,
            dial=partial(self._dial, peer_id, self._addresses[peer_id]),
            limits=self._limits,
            statistics=self.statistics,
            rng=self._rng,
            clock_ms=self._clock_ms,
            on_fault=self._on_fault,
            on_up=partial(self._on_up, NodeId(peer_id)),
            on_down=partial(self._on_down, NodeId(peer_id)),
        )
        sender.redial_ms_min = self._redial_ms_min
        self._outbound[peer_id] = sender
        self._senders[peer_id] = self._spawn(sender.run(), f"net-send-{peer_id}")

    # --- connections ---

    async def _dial(self, peer_id: str, address: Address) -> Connection:
        loop = asyncio.get_running_loop()
        connection = Connection(self._limits)
        done = False
        try:
            async with asyncio.timeout(self._limits.handshake_ms_max / 1000):
                await loop.create_connection(
                    lambda: connection,
                    *address,
                    ssl=self._identity.client_context,
                    # Shorter than the whole: who takes connections and says nothing in them
                    # fails in another way than who cannot be reached.
                    ssl_handshake_timeout=self._limits.tls_ms_max / 1000,
                    server_hostname="",  # no name on the wire, none is checked
                )
                await self._prove(connection, role=Role.DIALER, expected=peer_id)
            done = True
        except HandshakeFault as fault:
            self.statistics.handshake_failures[fault.code] += 1
            raise
        finally:
            if not done:
                connection.abort()
        return connection

    async def _prove(
        self, connection: Connection, *, role: Role, expected: str | None
    ) -> NodeId:
        """Run one handshake to its end; the caller bounds its time."""
        self._connections = {each for each in self._connections if not each.is_closed}
        self._connections.add(connection)
        members = self._members
        version = versions.agreed(connection.ssl_object.selected_alpn_protocol())
        handshake = Handshake(
            role,
            network=self._network,
            self_id=self._self_id,
            signer=self._signer,
            verify=self._verify,
            members=members,
            nonce=secrets.token_bytes(NONCE_BYTES),
            binding=tls.channel_binding(
                connection.ssl_object,
                server_side=role is Role.LISTENER,
                own_certificate=self._identity.certificate,
            ),
            expected=expected,
            version=version,
            spoken=self._spoken,
            software=self._software,
        )
        connection.write(handshake.begin())
        try:
            while handshake.peer_id is None:
                answer = handshake.step(await connection.read(self._limits.handshake_ms_max))
                connection.write(answer)
        except HandshakeFault as fault:
            self._refused(fault, expected)
            connection.write(fault.farewell)
            # Anybody may claim a name, so this explains and never counts against the member.
            if handshake.claimed in members:
                last = Last(fault.code, self._clock_ms())
                self.statistics.trace(handshake.claimed).refused = last
            raise
        if self._members is not members:
            # Proven against keys that may be gone: the dialler comes back in a moment.
            raise HandshakeFault(Refusal.UNKNOWN_MEMBER, "membership changed meanwhile")
        connection.version = version
        self.statistics.spoken[handshake.peer_id] = (version, handshake.peer_software)
        return NodeId(handshake.peer_id)

    def _refused(self, fault: HandshakeFault, dialled: str | None) -> None:
        """Say that two versions do not go together, once while the ranges stay the same."""
        if fault.code == Refusal.VERSION and fault.detail != self._told:
            self._told = fault.detail
            event(
                "peer.version",
                level=logging.WARNING,
                peer=dialled or "unproven",
                versions=fault.detail,
            )

    def _on_proven(self, peer_id: NodeId) -> None:
        sender = self._outbound.get(peer_id)
        if sender is not None:
            sender.peer_lives()

    def _on_fault(self, peer_id: str, fault: NetFault) -> None:
        self._penalties.record(peer_id, now_ms=self._clock_ms(), code=fault.code)

    # --- supervision ---

    def _spawn(self, work: Awaitable[None], name: str) -> asyncio.Task[None]:
        assert isinstance(work, Coroutine)
        task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and self._failure is not None and not self._failure.done():
            error.add_note(f"in task {task.get_name()}")
            self._failure.set_exception(error)


async def _listening_socket(address: Address) -> socket.socket:
    loop = asyncio.get_running_loop()
    host, port = address
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, where = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.settimeout(0)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening

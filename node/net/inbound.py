"""Connections that members dial to us, on which we receive.

Owns the listening socket, the bound on strangers, one receiving connection per member and the
pause of members that break the protocol.  Cheap checks come first: the number of unproven
connections (in all and per address) before TLS, TLS before signatures, a whole handshake
before an older connection of the same member gives way.
Invariant: frames of one member are handled one at a time, in the order sent; a handler that
waits stops the reading, so memory per member is bounded by ``NetLimits``.
"""

import asyncio
import socket
import ssl
import time
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable

from consensus.types import NodeId
from node.net.faults import FrameFault, LinkLost, NetFault, PeerFault
from node.net.frame import HEAD_BYTES, Frame, FrameReader, FrameType, encode
from node.net.limits import NetLimits
from node.net.link import Connection
from node.net.outbound import CLOCK_BYTES, PING_BYTES
from node.net.statistics import Last, Statistics

OnFrame = Callable[[NodeId, FrameType, bytes], Awaitable[None] | None]

_ACCEPT_RETRY_S = 0.1  # out of file descriptors: others may close some


class Penalties:
    """Which members are paused, after how many faults, until when."""

    def __init__(self, limits: NetLimits, statistics: Statistics) -> None:
        self._limits = limits
        self._statistics = statistics
        self._faults: dict[str, deque[int]] = {}
        self._paused_until_ms: dict[str, int] = {}

    def record(self, peer_id: str, *, now_ms: int, code: str = "fault") -> None:
        """Count a fault; at ``faults_max`` within the window the member is paused."""
        self._statistics.peer_faults[peer_id] += 1
        trace = self._statistics.trace(peer_id)
        trace.fault, trace.faults = Last(code, now_ms), trace.faults + 1
        faults = self._faults.setdefault(peer_id, deque())
        faults.append(now_ms)
        while now_ms - faults[0] > self._limits.fault_window_ms:
            faults.popleft()
        if len(faults) >= self._limits.faults_max:
            faults.clear()
            self._paused_until_ms[peer_id] = now_ms + self._limits.pause_ms
            self._statistics.pauses[peer_id] += 1
            trace.paused_until_ms = now_ms + self._limits.pause_ms

    def paused(self, peer_id: str, *, now_ms: int) -> bool:
        return now_ms < self._paused_until_ms.get(peer_id, now_ms)

    def forget(self, peer_id: str) -> None:
        self._faults.pop(peer_id, None)
        self._paused_until_ms.pop(peer_id, None)


class Inbound:
    """Accepts, proves and receives.  ``prove`` completes a listener's handshake.

    ``on_proven`` hears of each member that came in.  ``spawn`` starts a supervised task;
    ``listening`` is a bound, listening, non-blocking socket that this object owns from now on.
    """

    def __init__(
        self,
        listening: socket.socket,
        *,
        prove: Callable[[Connection], Awaitable[NodeId]],
        tls: ssl.SSLContext,
        on_frame: OnFrame,
        spawn: Callable[[Awaitable[None], str], object],
        limits: NetLimits,
        statistics: Statistics,
        penalties: Penalties,
        clock_ms: Callable[[], int],
        on_proven: Callable[[NodeId], None],
    ) -> None:
        self._listening = listening
        self._prove = prove
        self._tls = tls
        self._on_frame = on_frame
        self._spawn = spawn
        self._limits = limits
        self._statistics = statistics
        self._penalties = penalties
        self._clock_ms = clock_ms
        self._on_proven = on_proven
        self._unproven_by_address: Counter[str] = Counter()
        self._current: dict[str, Connection] = {}
        self._receiving: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        # A task that is cancelled before its first step never sees what it was given.
        self._ungreeted: set[socket.socket] = set()

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def close(self) -> None:
        """Stop listening and let go of what nobody has begun to greet; the tasks have ended."""
        self._listening.close()
        for accepted in self._ungreeted:
            accepted.close()

    def host_of(self, peer_id: str) -> str | None:
        """Return the host that ``peer_id`` sends from; None while it does not."""
        connection = self._current.get(peer_id)
        return None if connection is None else connection.remote_host

    def hang_up(self, peer_id: str) -> None:
        """End what ``peer_id`` sends on, if anything."""
        connection = self._current.pop(peer_id, None)
        if connection is not None:
            connection.abort()

    async def accept(self) -> None:
        """Accept for ever; strangers beyond the bounds are closed without a byte."""
        while True:
            await self._somebody_calls()
            # In one step: an accept that is awaited can be cancelled together with its answer,
            # and the connection would belong to nobody.
            try:
                accepted, address = self._listening.accept()
            except BlockingIOError:  # who called has gone
                continue
            except OSError:
                self._statistics.handshake_failures["accept"] += 1
                await asyncio.sleep(_ACCEPT_RETRY_S)
                continue
            accepted.settimeout(0)  # as what the loop takes has to be
            host = str(address[0])
            if (
                self._statistics.unproven_connections >= self._limits.unproven_connections_max
                or self._unproven_by_address[host] >= self._limits.unproven_per_address_max
            ):
                self._statistics.handshake_failures["too-many"] += 1
                accepted.close()
                continue
            self._statistics.unproven_connections += 1
            self._unproven_by_address[host] += 1
            self._ungreeted.add(accepted)
            self._spawn(self._admit(accepted, host), f"net-inbound-{host}")

    async def _somebody_calls(self) -> None:
        loop, called = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._listening.fileno(), called.set)
        try:
            await called.wait()
        finally:
            loop.remove_reader(self._listening.fileno())

    async def _admit(self, accepted: socket.socket, host: str) -> None:
        self._ungreeted.discard(accepted)
        proven: tuple[NodeId, Connection] | None = None
        try:
            async with asyncio.timeout(self._limits.handshake_ms_max / 1000):
                proven = await self._handshake(accepted)
        except NetFault as fault:
            self._statistics.handshake_failures[fault.code] += 1
        except TimeoutError:
            self._statistics.handshake_failures["timeout"] += 1
        except OSError:  # TLS errors too: they are OSError by inheritance
            self._statistics.handshake_failures["tls"] += 1
        finally:
            self._statistics.unproven_connections -= 1
            self._unproven_by_address[host] -= 1
            if not self._unproven_by_address[host]:
                del self._unproven_by_address[host]
        if proven is not None:
            self._on_proven(proven[0])
            await self._receive_from(*proven)

    async def _handshake(self, accepted: socket.socket) -> tuple[NodeId, Connection]:
        loop = asyncio.get_running_loop()
        connection = Connection(self._limits)
        done = False
        try:
            await loop.connect_accepted_socket(lambda: connection, accepted, ssl=self._tls)
            peer_id = await self._prove(connection)
            if self._penalties.paused(peer_id, now_ms=self._clock_ms()):
                raise PeerFault("paused")
            done = True
        finally:
            if not done:
                connection.abort()
                if connection.never_opened:
                    accepted.close()
        return peer_id, connection

    async def _receive_from(self, peer_id: NodeId, connection: Connection) -> None:
        """Replace an older connection of ``peer_id`` and handle frames until it ends."""
        self.hang_up(peer_id)
        self._current[peer_id] = connection
        try:
            # The handler of the older connection may still be busy with a frame.
            async with self._receiving[peer_id]:
                self._statistics.receiving_from.add(peer_id)
                await self._receive(peer_id, connection)
        except LinkLost as lost:
            self._statistics.connections_lost[lost.code] += 1
        except (FrameFault, PeerFault) as fault:
            self._penalties.record(peer_id, now_ms=self._clock_ms(), code=fault.code)
        finally:
            connection.abort()
            if self._current.get(peer_id) is connection:
                del self._current[peer_id]
            if peer_id not in self._current:
                self._statistics.receiving_from.discard(peer_id)

    async def _receive(self, peer_id: NodeId, connection: Connection) -> None:
        reader = FrameReader(
            frame_bytes_max=self._limits.frame_bytes_max, tolerant=connection.version >= 2
        )
        trace = self._statistics.trace(peer_id)
        while True:
            data = await connection.read(self._limits.idle_ms_max)
            trace.heard_ms = now_ms = self._clock_ms()
            frames = reader.feed(data)
            if reader.skipped:
                self._statistics.skipped_frames[peer_id] += reader.skipped
                reader.skipped = 0
            for frame in frames:
                trace.kinds[frame.type] = now_ms
                self._statistics.frames_in[frame.type] += 1
                self._statistics.bytes_in[frame.type] += HEAD_BYTES + len(frame.body)
                if frame.type in (FrameType.PING, FrameType.PONG):
                    _answer(frame, connection)
                    continue
                outcome = self._on_frame(peer_id, frame.type, frame.body)
                if outcome is not None:
                    await outcome


def _answer(frame: Frame, connection: Connection) -> None:
    if frame.type is FrameType.PONG or len(frame.body) != PING_BYTES:
        raise PeerFault("ping", "a PONG nobody asked for, or a PING of the wrong size")
    if connection.writing_paused:
        raise PeerFault("ping", "asks for answers and does not read them")
    said = time.time_ns() // 1_000_000 if connection.version >= 2 else None
    body = frame.body if said is None else frame.body + said.to_bytes(CLOCK_BYTES, "big")
    connection.write(encode(FrameType.PONG, body))

"""The connection that carries our frames to one member.

Owns dialling, the jittered and capped back-off, joined writes and the pings that find a dead
peer.  The member answers on it with PONG only; all else it sends travels on the connection
that it dials to us, so there is never a tie to break between two connections.
All frames queued in one turn of the event loop leave in one write, made by a callback: waking a
task for it costs several times the write itself.
Invariant: at most one connection, and no write while the peer does not read.
"""

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import Awaitable, Callable

from consensus.types import Rng
from node.net.faults import FrameFault, LinkLost, NetFault, PeerFault
from node.net.frame import FrameReader, FrameType, encode
from node.net.limits import NetLimits
from node.net.link import Connection
from node.net.queue import SendQueue, Waiting
from node.net.statistics import Last, Statistics
from node.net.versions import NEWEST, since

PING_BYTES = 8
CLOCK_BYTES = 8  # milliseconds since 1970, behind what a PONG repeats, since version 2
_PONG_BYTES_MAX = 256  # later versions may say more


def dial_code(error: Exception) -> str:
    """Return why a member could not be reached, as one of few words.

    ``stuck``: its system took the connection and its process does not answer.
    """
    match error:
        case NetFault():
            return error.code
        case ConnectionRefusedError():
            return "refused"
        case ConnectionAbortedError():
            return "stuck"
        case TimeoutError():
            return "silent"
        case socket.gaierror():
            return "unknown-name"
        case ssl.SSLError():
            return "tls"
        case OSError() if error.errno in (errno.EMFILE, errno.ENFILE):
            return "descriptors"
        case OSError() if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            return "no-route"
        case _:
            return "closed"


class Outbound:
    """Sends to ``peer_id`` for as long as ``run`` runs.

    ``dial`` returns a connection whose handshake is complete; it raises ``NetFault`` or
    ``OSError``.  ``on_fault`` hears of broken protocol, ``on_up`` and ``on_down`` of the
    connection.
    """

    def __init__(
        self,
        peer_id: str,
        *,
        dial: Callable[[], Awaitable[Connection]],
        limits: NetLimits,
        statistics: Statistics,
        rng: Rng,
        clock_ms: Callable[[], int],
        on_fault: Callable[[str, NetFault], None],
        on_up: Callable[[], None],
        on_down: Callable[[], None],
    ) -> None:
        self._peer_id = peer_id
        self._dial = dial
        self._limits = limits
        self._statistics = statistics
        self._trace = statistics.trace(peer_id)
        self._rng = rng
        self._clock_ms = clock_ms
        self._on_fault = on_fault
        self._on_up = on_up
        self._on_down = on_down
        self.redial_ms_min: int | None = None  # slower than the limits say
        self._queue = SendQueue(limits, statistics)
        self._connection: Connection | None = None
        self._ended: asyncio.Future[None] | None = None  # fails when a write does
        self._flushing = False  # a flush is due in this turn of the loop
        self._stall: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()  # for the pings
        self._lives = asyncio.Event()  # for the next dial
        self._ping_number = 0
        self._ping_body = b""
        self._ping_sent_s: float | None = None
        self._ping_sent_ns = 0  # by a finer clock than some loops have
        self._ping_due_s = 0.0

    @property
    def waiting_bytes(self) -> int:
        return self._queue.waiting_bytes

    @property
    def waiting_frames(self) -> int:
        return self._queue.waiting_frames

    def enqueue(self, frame_type: FrameType, encoded: bytes) -> bool:
        if not self._queue.offer(frame_type, encoded, now_ms=self._clock_ms()):
            return False
        if self._connection is not None and not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)
        return True

    async def run(self) -> None:
        """Dial, send, and dial again, for ever."""
        failures = 0
        while True:
            started_ms = self._clock_ms()
            try:
                connection = await self._dial()
            except (NetFault, ssl.SSLError, OSError) as error:  # TimeoutError is an OSError
                self._statistics.dial_failures[self._peer_id] += 1
                self._trace.dial = Last(dial_code(error), self._clock_ms())
            else:
                await self._converse(connection)
                # A peer that accepts and hangs up must not be dialled in a tight loop.
                if self._clock_ms() - started_ms >= self._limits.redial_ms_max:
                    failures = 0
            await self._pause(self._backoff_ms(failures) / 1000)
            failures = min(failures + 1, 16)

    def peer_lives(self) -> None:
        """The peer connected to us: dial it now, if we wait to dial it again."""
        self._lives.set()

    async def _pause(self, seconds: float) -> None:
        self._lives.clear()
        timer = asyncio.get_running_loop().call_later(seconds, self._lives.set)
        try:
            await self._lives.wait()
        finally:
            timer.cancel()

    def _backoff_ms(self, failures: int) -> int:
        ceiling = min(self._limits.redial_ms_max, self._limits.redial_ms_min << failures)
        ceiling = max(ceiling, self.redial_ms_min or 0)
        return self._rng.randrange(ceiling // 2, ceiling + 1)

    async def _converse(self, connection: Connection) -> None:
        self._queue.drop_stale(self._clock_ms())
        self._ping_sent_s = None
        self._ping_due_s = 0.0  # the first ping measures the round trip at once
        self._ended = asyncio.get_running_loop().create_future()
        self._connection = connection
        connection.on_writable = self._flush
        self._statistics.sending_to.add(self._peer_id)
        self._trace.dial, self._trace.linked_ms = None, self._clock_ms()
        self._on_up()
        self._flush()
        try:
            await self._first_end(connection, self._ended)
        except LinkLost as lost:
            self._statistics.connections_lost[lost.code] += 1
            self._trace.dial = Last(lost.code, self._clock_ms())
        except (FrameFault, PeerFault) as fault:
            self._on_fault(self._peer_id, fault)
        finally:
            self._connection = None
            connection.on_writable = None
            self._ended.cancel()
            self._watch_stall(None)
            connection.abort()
            self._statistics.sending_to.discard(self._peer_id)
            self._statistics.clock_from_ms.pop(self._peer_id, None)
            self._trace.parted_ms = self._clock_ms()
            self._on_down()

    async def _first_end(self, connection: Connection, ended: asyncio.Future[None]) -> None:
        """Ping and read until one of them or a write fails; raise its error.

        Not a task group: in Python 3.11 it can drop a cancellation that comes together with
        an error, and this sender would dial again after ``close`` asked it to end.
        """
        loop = asyncio.get_running_loop()
        halves: list[asyncio.Future[None]] = [
            ended,
            loop.create_task(self._ping_on(connection), name=f"net-ping-{self._peer_id}"),
            loop.create_task(self._read(connection), name=f"net-pong-{self._peer_id}"),
        ]
        try:
            await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for half in halves:
                half.cancel()
            outcomes = await asyncio.gather(*halves, return_exceptions=True)
        # Both may have failed in the same turn: our own error is the one that must be heard.
        errors = [each for each in outcomes if isinstance(each, Exception)]
        raise min(errors, key=lambda error: isinstance(error, NetFault))

    def _flush(self) -> None:
        """Write what waits, until the peer does not keep up; then again when it does."""
        self._flushing = False
        connection, ended = self._connection, self._ended
        if connection is None or ended is None or ended.done():
            return
        try:
            while not connection.writing_paused:
                taken = self._queue.take(self._limits.write_bytes_max)
                if not taken:
                    break
                batch = taken if connection.version >= NEWEST else self._old(taken, connection)
                connection.write(b"".join([frame.encoded for frame in batch]))
                for frame in batch:
                    self._statistics.frames_out[frame.type] += 1
                    self._statistics.bytes_out[frame.type] += len(frame.encoded)
        except LinkLost as lost:
            ended.set_exception(lost)
            return
        except BaseException as error:
            ended.set_exception(error)  # a callback's error would reach nobody but the log
            raise
        self._watch_stall(connection if connection.writing_paused else None)

    def _old(self, taken: list[Waiting], connection: Connection) -> list[Waiting]:
        """Keep what an older member knows: an unknown frame would end the connection."""
        kept = [frame for frame in taken if since(frame.type) <= connection.version]
        self._statistics.dropped["too-new"] += len(taken) - len(kept)
        return kept

    def _watch_stall(self, connection: Connection | None) -> None:
        """Give the peer its time to read, from now; None: it does not need any."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if connection is not None:
            after_s = self._limits.write_stall_ms_max / 1000
            self._stall = asyncio.get_running_loop().call_later(after_s, self._stalled)

    def _stalled(self) -> None:
        if self._ended is not None and not self._ended.done():
            text = f"for {self._limits.write_stall_ms_max} ms"
            self._ended.set_exception(LinkLost("write-stall", text))

    async def _ping_on(self, connection: Connection) -> None:
        while True:
            self._wake.clear()
            self._ping(connection, asyncio.get_running_loop().time())
            await self._sleep_until(self._next_ping_s())

    def _ping(self, connection: Connection, now_s: float) -> None:
        if self._ping_sent_s is not None:
            if now_s >= self._next_ping_s():
                raise LinkLost("ping-timeout", f"{self._limits.ping_timeout_ms} ms")
        elif now_s >= self._ping_due_s:
            self._ping_number += 1
            self._ping_sent_s, self._ping_sent_ns = now_s, time.monotonic_ns()
            self._ping_due_s = now_s + self._limits.ping_every_ms / 1000
            self._ping_body = self._ping_number.to_bytes(PING_BYTES, "big")
            connection.write(encode(FrameType.PING, self._ping_body))

    def _next_ping_s(self) -> float:
        if self._ping_sent_s is None:
            return self._ping_due_s
        return self._ping_sent_s + self._limits.ping_timeout_ms / 1000

    async def _sleep_until(self, deadline_s: float) -> None:
        handle = asyncio.get_running_loop().call_at(deadline_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            handle.cancel()

    async def _read(self, connection: Connection) -> None:
        newer = connection.version >= 2
        size = _PONG_BYTES_MAX if newer else 1 + PING_BYTES
        reader = FrameReader(types=frozenset({FrameType.PONG}), frame_bytes_max=size)
        while True:
            data = await connection.read(self._limits.idle_ms_max)
            for frame in reader.feed(data):
                self._on_pong(frame.body, newer=newer)

    def _on_pong(self, body: bytes, *, newer: bool) -> None:
        number, said = body[:PING_BYTES], body[PING_BYTES : PING_BYTES + CLOCK_BYTES]
        whole = len(said) == CLOCK_BYTES if newer else not said
        if self._ping_sent_s is None or not whole or number != self._ping_body:
            raise PeerFault("unasked-pong")
        now_ns = time.monotonic_ns()
        elapsed_ns = now_ns - self._ping_sent_ns
        self._statistics.rtt_us[self._peer_id] = elapsed_ns // 1000
        self._trace.heard_ms = self._clock_ms()
        if newer:
            # The clock was read somewhere within the round trip; half of it is what we err by.
            half_ms = elapsed_ns / 2_000_000
            at_ms = int.from_bytes(said, "big") + half_ms - now_ns / 1_000_000
            self._statistics.clock_from_ms[self._peer_id] = (at_ms, half_ms)
        self._ping_sent_s = None
        self._wake.set()

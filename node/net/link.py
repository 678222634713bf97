"""One TLS connection as a bounded pipe of bytes.

Owns flow control in both directions: it stops reading the socket when the reader falls behind,
and makes the writer wait when the peer does.  Refuses to interpret: framing and proofs happen
in the tasks that read, so that an unexpected error surfaces in a supervised task instead of
vanishing in a callback of the event loop.
Invariant: unread bytes never exceed ``unread_bytes_max`` by more than one chunk of the
transport (256 KiB).
"""

import asyncio
import ssl
from collections import deque

from node.net.faults import LinkLost
from node.net.limits import NetLimits


class Connection(asyncio.Protocol):
    def __init__(self, limits: NetLimits) -> None:
        self._limits = limits
        self._transport: asyncio.Transport | None = None
        self._chunks: deque[bytes] = deque()
        self._unread_bytes = 0
        self._reading_paused = False
        self._writing_paused = False
        self._over = False
        self._cause: Exception | None = None
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._closed = asyncio.Event()

    # --- called by the event loop ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=self._limits.write_buffer_bytes_max)

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._chunks.append(data)
        self._unread_bytes += len(data)
        if self._unread_bytes >= self._limits.unread_bytes_max and not self._reading_paused:
            self._reading_paused = True
            self._open_transport().pause_reading()
        self._readable.set()

    def pause_writing(self) -> None:
        self._writing_paused = True
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        self._cause = exc
        self._readable.set()
        self._writable.set()
        self._closed.set()

    # --- called by our tasks ---

    @property
    def ssl_object(self) -> ssl.SSLObject:
        found: ssl.SSLObject = self._open_transport().get_extra_info("ssl_object")
        return found

    @property
    def never_opened(self) -> bool:
        return self._transport is None

    @property
    def is_closed(self) -> bool:
        return self._closed.is_set()

    @property
    def writing_paused(self) -> bool:
        """True while the peer does not keep up with what we wrote."""
        return self._writing_paused

    async def read(self, timeout_ms: int) -> bytes:
        """Return the next bytes; raise ``LinkLost`` at the end or after ``timeout_ms``."""
        if not self._chunks:
            self._readable.clear()
            if not self._over:
                await self._wait(self._readable, timeout_ms, "silent")
            if not self._chunks:
                raise LinkLost("closed") from self._cause
        chunk = self._chunks.popleft()
        self._unread_bytes -= len(chunk)
        if self._reading_paused and self._unread_bytes * 2 <= self._limits.unread_bytes_max:
            self._reading_paused = False
            if not self._over:
                self._open_transport().resume_reading()
        return chunk

    def write(self, data: bytes) -> None:
        """Hand ``data`` to the transport; raise ``LinkLost`` when there is none any more."""
        if self._over:
            raise LinkLost("closed") from self._cause
        self._open_transport().write(data)

    async def drained(self, timeout_ms: int) -> None:
        """Return when the peer has read enough of what was written; else ``LinkLost``."""
        if self._writing_paused and not self._over:
            await self._wait(self._writable, timeout_ms, "write-stall")
        if self._over:
            raise LinkLost("closed") from self._cause

    def abort(self) -> None:
        """End the connection at once and forget unread bytes."""
        self._over = True
        self._chunks.clear()
        self._unread_bytes = 0
        self._readable.set()
        self._writable.set()
        if self._transport is None:
            self._closed.set()
        else:
            self._transport.abort()

    async def closed(self) -> None:
        """Return when the event loop is done with the transport."""
        await self._closed.wait()

    @staticmethod
    async def _wait(event: asyncio.Event, timeout_ms: int, code: str) -> None:
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await event.wait()
        except TimeoutError as error:
            raise LinkLost(code, f"for {timeout_ms} ms") from error

    def _open_transport(self) -> asyncio.Transport:
        assert self._transport is not None, "used before the transport was there"
        return self._transport

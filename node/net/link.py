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
from collections.abc import Callable
from typing import cast

from node.bell import Bell
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
        self._bell = Bell()  # for the reader
        self.on_writable: Callable[[], None] | None = None
        """Called when the peer has read enough of what was written."""
        self._closed = asyncio.Event()
        self.version = 1
        """Of the wire, as agreed in the handshake."""

    # --- called by the event loop ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        self._transport.set_write_buffer_limits(high=self._limits.write_buffer_bytes_max)

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._chunks.append(data)
        self._unread_bytes += len(data)
        if self._unread_bytes >= self._limits.unread_bytes_max and not self._reading_paused:
            self._reading_paused = True
            self._open_transport().pause_reading()
        self._bell.ring()

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self.on_writable is not None:
            self.on_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        self._cause = exc
        self._closed.set()

    # --- called by our tasks ---

    @property
    def ssl_object(self) -> ssl.SSLObject:
        found: ssl.SSLObject = self._open_transport().get_extra_info("ssl_object")
        return found

    @property
    def remote_host(self) -> str | None:
        """The host that the other side speaks from, as its socket says."""
        found = self._open_transport().get_extra_info("peername")
        return str(found[0]) if isinstance(found, tuple) and found else None

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
            if not self._over:
                self._bell.silence()
                await self._bell.wait(timeout_ms / 1000)
                if not self._chunks and not self._over:
                    raise LinkLost("silent", f"for {timeout_ms} ms")
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

    def abort(self) -> None:
        """End the connection at once and forget unread bytes."""
        self._chunks.clear()
        self._unread_bytes = 0
        self._end()
        if self._transport is None:
            self._closed.set()
        else:
            self._transport.abort()

    async def closed(self) -> None:
        """Return when the event loop is done with the transport."""
        await self._closed.wait()

    def _end(self) -> None:
        self._over = True
        self._bell.ring()
        self._bell.close()

    def _open_transport(self) -> asyncio.Transport:
        assert self._transport is not None, "used before the transport was there"
        return self._transport

"""The least HTTP/1.1 client that can load a node: bytes made beforehand, one request at a time.

A general client costs more per request than the node does, and both share the cores.
Refuses: anything but loopback.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final, cast

HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


class Broken(Exception):
    """The connection ended before the answer did."""


def head(method: str, path: str, *, length: int, headers: dict[str, str]) -> bytes:
    """Return a request's head; the body of ``length`` bytes follows it."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Connection(asyncio.Protocol):
    """One keep-alive connection; ``ask`` again only after the last answer came."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._waiting: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        assert self._waiting is None, "one request at a time"
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiting

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        found = parse(self._buffer)
        if found is not None and self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._buffer.clear()
            if not waiting.done():
                waiting.set_result(found)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Broken(str(exc or "closed")))

    def close(self) -> None:
        self._transport.close()


def parse(raw: bytes | bytearray) -> Answer | None:
    """Return the answer in ``raw`` once it is whole, else None."""
    end = raw.find(b"\r\n\r\n")
    if end < 0:
        return None
    lines = bytes(raw[:end]).lower().split(b"\r\n")
    status = int(lines[0].split(b" ", 2)[1])
    fields = dict(line.split(b": ", 1) for line in lines[1:] if b": " in line)
    rest = raw[end + 4 :]
    if fields.get(b"transfer-encoding") == b"chunked":
        if not rest.endswith(b"0\r\n\r\n"):
            return None
        body = _unchunk(bytes(rest))
        return None if body is None else Answer(status, body)
    length = int(fields.get(b"content-length", b"0"))
    return Answer(status, bytes(rest[:length])) if len(rest) >= length else None


def _unchunk(raw: bytes) -> bytes | None:
    parts, at = [], 0
    while True:
        line = raw.find(b"\r\n", at)
        if line < 0:
            return None
        size = int(raw[at:line], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(raw[line + 2 : line + 2 + size])
        at = line + 2 + size + 2
        if at > len(raw):
            return None


class Pool:
    """Connections to one port: as many as requests are under way, at most ``size_max``."""

    def __init__(self, port: int, *, size_max: int = 256) -> None:
        self._port = port
        self._idle: deque[Connection] = deque()
        self._room = asyncio.Semaphore(size_max)

    async def ask(self, request: bytes) -> Answer:
        """Send and wait for the answer; raises ``Broken`` or ``OSError``."""
        async with self._room:
            connection = await self._connection()
            answer = await connection.ask(request)
            self._idle.append(connection)
            return answer

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, HOST, self._port)
        return connection

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()

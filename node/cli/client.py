"""A small synchronous client of a node's HTTP interface, on the standard library only.

Owns: typed errors for whatever can happen between command and node, bounded reading, tokens
and client certificates, streams in both directions.
Refuses: sending a token over plain HTTP to another machine, redirects, retries (a caller knows
whether repeating is wise).
Invariant: only ``ChartsealError`` leaves: node-unreachable when nothing was done,
timeout-outcome-unknown when something may have been, else what the node answered.
"""

import http.client
import json
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from node.errors import ChartsealError, code_of_status, from_problem
from node.keys import read_secret
from node.settings import Address

ANSWER_BYTES_MAX: Final = 64 << 20
LINE_BYTES_MAX: Final = 16 << 20
TOKEN_BYTES_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer below 400; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON; raises ``ChartsealError`` (answer-malformed)."""
        return _json(self.body)


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a text/event-stream."""

    id: str
    event: str
    data: str


class Client:
    """Asks one node; connections are not kept, so a restarted node is simply asked again."""

    def __init__(
        self,
        endpoint: str,
        *,
        token: str | None = None,
        timeout_s: float = 10.0,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
    ) -> None:
        parts = urllib.parse.urlsplit(endpoint)
        try:
            self._port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        except (KeyError, ValueError) as error:
            raise _bad_endpoint(endpoint) from error
        if not parts.hostname or parts.query or parts.fragment or parts.username:
            raise _bad_endpoint(endpoint)
        self.endpoint: Final = endpoint.rstrip("/")
        self._host = parts.hostname
        self._prefix = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._token = token
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._tls = _tls_context(ca_file, cert_file, key_file)
        elif token is not None and not Address(self._host, self._port).is_loopback:
            raise ChartsealError("tls-failed", "a token is not sent over plain HTTP elsewhere")

    @classmethod
    def with_token_file(cls, endpoint: str, token_file: Path | None, **options: Any) -> Self:
        """Return a client whose token is the content of a file of mode 0600."""
        token = None
        if token_file is not None:
            raw = read_secret(token_file, bytes_max=TOKEN_BYTES_MAX)
            token = raw.decode("ascii", "replace").strip()
            if not token.isprintable() or " " in token or not token:
                raise ChartsealError("unauthorized", f"{token_file} holds no token")
        return cls(endpoint, token=token, **options)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the node's answer; an HTTP error is raised as the condition it names."""
        with self._exchange(method) as connection:
            target, sent = self._target(path, query), self._headers(headers)
            connection.request(method, target, body=body, headers=sent)
            response = connection.getresponse()
            raw = response.read(ANSWER_BYTES_MAX + 1)
            if len(raw) > ANSWER_BYTES_MAX:
                raise ChartsealError("answer-malformed", f"more than {ANSWER_BYTES_MAX} bytes")
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)
            _raise_for(response.status, raw)
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, raw)

    def get(self, path: str, **query: str | int) -> Any:
        """Return the JSON answer of a GET."""
        return self.request("GET", path, query=query).json()

    def post(self, path: str, document: Any) -> Any:
        """Return the JSON answer of a POST of ``document``."""
        body = json.dumps(document).encode()
        return self.request(
            "POST", path, body=body, headers={"Content-Type": "application/json"}
        ).json()

    def lines(
        self,
        method: str,
        path: str,
        *,
        chunks: Iterable[bytes] | None = None,
        content_type: str = "application/x-ndjson",
        query: Mapping[str, str | int] | None = None,
    ) -> Iterator[bytes]:
        """Yield the lines of a streamed answer, without line ends and without blank ones.

        ``chunks`` are sent, in chunked coding, from another thread while the answer is read: a
        node that answers line by line would otherwise wait for us while we wait for it.
        """
        with self._exchange(method) as connection:
            headers = self._headers({})
            if chunks is not None:
                headers |= {"Content-Type": content_type, "Transfer-Encoding": "chunked"}
            connection.putrequest(method, self._target(path, query))
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            socket_ = connection.sock
            upload = _Upload(socket_, () if chunks is None else chunks)
            if chunks is not None:
                upload.start()
            try:
                response = connection.getresponse()
                if response.status >= 400:
                    _raise_for(response.status, response.read(ANSWER_BYTES_MAX))
                yield from _lines_of(response)
            finally:
                # Ends an upload that nobody reads any more.
                with suppress(OSError):
                    socket_.shutdown(socket.SHUT_RDWR)
                if chunks is not None:
                    upload.join()
                if upload.failure is not None:
                    raise upload.failure

    def events(
        self, path: str, *, last_id: str | None = None, **query: str | int
    ) -> Iterator[Event]:
        """Yield server-sent events (WHATWG HTML, 9.2); comments and heartbeats are skipped.

        Resume after a loss with ``last_id``, the id of the last event that was handled.
        """
        extra = {"Accept": "text/event-stream"}
        if last_id is not None:
            extra["Last-Event-ID"] = last_id
        with self._exchange("GET") as connection:
            target, headers = self._target(path, query), self._headers(extra)
            connection.request("GET", target, headers=headers)
            response = connection.getresponse()
            if response.status >= 400:
                _raise_for(response.status, response.read(ANSWER_BYTES_MAX))
            yield from parse_events(_lines_of(response, blank=True))

    def _target(self, path: str, query: Mapping[str, str | int] | None) -> str:
        text = urllib.parse.urlencode(query) if query else ""
        return self._prefix + path + (f"?{text}" if text else "")

    def _headers(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": "chartseal-cli"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers | dict(extra or {})

    @contextmanager
    def _exchange(self, method: str) -> Iterator[http.client.HTTPConnection]:
        connection = self._connect()
        changes = method not in ("GET", "HEAD")
        try:
            yield connection
        except ssl.SSLError as error:
            raise ChartsealError("tls-failed", f"{self.endpoint}: {error.reason}") from error
        except (OSError, http.client.HTTPException, EOFError) as error:
            # Once a request that changes something is under way nobody knows how far it got.
            code = "timeout-outcome-unknown" if changes else "node-unreachable"
            raise ChartsealError(code, f"{self.endpoint}: {_say(error)}") from error
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        host, port, wait = self._host, self._port, self._timeout_s
        connection: http.client.HTTPConnection
        if self._tls is None:
            connection = http.client.HTTPConnection(host, port, timeout=wait)
        else:
            connection = http.client.HTTPSConnection(
                host, port, timeout=wait, context=self._tls
            )
        try:
            connection.connect()
        except ssl.SSLError as error:
            raise ChartsealError("tls-failed", f"{self.endpoint}: {error.reason}") from error
        except (OSError, UnicodeError) as error:
            raise ChartsealError(
                "node-unreachable", f"{self.endpoint}: {_say(error)}"
            ) from error
        return connection


class _Upload(threading.Thread):
    """Sends the chunks of a request body; a fault of their source waits in ``failure``.

    Writes to the socket itself: http.client drops the connection as soon as an answer says
    that it is the last one, and its ``send`` would then open another.
    """

    def __init__(self, target: socket.socket, chunks: Iterable[bytes]) -> None:
        super().__init__(name="upload", daemon=True)
        self._target = target
        self._chunks = chunks
        self.failure: ChartsealError | None = None

    def run(self) -> None:
        try:
            for chunk in self._chunks:
                if chunk:
                    self._target.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self._target.sendall(b"0\r\n\r\n")
        except ChartsealError as error:
            self.failure = error
            with suppress(OSError):
                self._target.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the reading side learns the same and says more


def parse_events(lines: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events in the lines of an event stream; an unfinished one is dropped."""
    last_id, event, data = "", "message", list[str]()
    for raw in lines:
        line = raw.decode("utf-8", "replace")
        if not line:
            if data:
                yield Event(last_id, event, "\n".join(data))
            event, data = "message", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            event = value
        elif name == "id" and "\x00" not in value:
            last_id = value


def _lines_of(response: http.client.HTTPResponse, *, blank: bool = False) -> Iterator[bytes]:
    while line := response.readline(LINE_BYTES_MAX + 1):
        if len(line) > LINE_BYTES_MAX:
            raise ChartsealError("answer-malformed", f"a line beyond {LINE_BYTES_MAX} bytes")
        line = line.rstrip(b"\r\n")
        if line or blank:
            yield line
    # http.client ends quietly when a stream is cut; then we must not take a part for the whole.
    left = response.chunk_left if response.chunked else response.length
    if left or (response.chunked and left is not None):
        raise http.client.IncompleteRead(b"")


def _raise_for(status: int, raw: bytes) -> None:
    if status < 300:
        return
    if status < 400:
        raise ChartsealError("answer-malformed", f"unexpected redirect ({status})")
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        raise from_problem({"status": status, **document})
    raise ChartsealError(code_of_status(status), f"HTTP status {status} without a reason")


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ChartsealError("answer-malformed", "not JSON") from error


def _tls_context(
    ca_file: Path | None, cert_file: Path | None, key_file: Path | None
) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if cert_file is not None:
            context.load_cert_chain(cert_file, key_file)
    except ssl.SSLError as error:
        raise ChartsealError("tls-failed", f"certificate files: {error.reason}") from error
    return context


def _bad_endpoint(endpoint: str) -> ChartsealError:
    return ChartsealError("bad-request", f"{endpoint!r} is not http(s)://host[:port]")


def _say(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or type(error).__name__

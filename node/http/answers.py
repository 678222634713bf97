"""The words that every handler uses: routes, parameters, bodies, answers, problems.

Owns: how a request is read within bounds and how an answer or a problem is written.
Refuses: parameters nobody asked for; nothing is ignored in silence.
"""

import asyncio
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeVar

from aiohttp import web

from node import errors
from node.errors import ChartsealError
from node.fhir import forms
from node.http import codes, types
from node.http.auth import Principal
from node.http.limits import WAIT_S_MAX, HttpLimits
from node.http.throttle import Verdict
from node.service import Service

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
NDJSON: Final = "application/x-ndjson"
OCTETS: Final = "application/octet-stream"
TEXT: Final = "text/plain"
EVENTS: Final = "text/event-stream"
RETRY_AFTER_S: Final = 1
_RETRY_LATER_S: Final = {"disk-full": 30, "draining": 10}
_SOON: Final = ("receipt-pending", "answer-pending")
NUMBER_MAX: Final = 10**18 - 1
REQUEST_ID: Final = web.RequestKey("request_id", str)
PRINCIPAL: Final = web.RequestKey("principal", Principal)
RATE: Final = web.RequestKey("rate", Verdict)
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)

CONSISTENCY: Final = "consistency"
READ_HEIGHT: Final = web.RequestKey("read_height", int)

assert codes.CODES, "the interface's own codes are registered"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or request header, for readers of the description."""

    name: str
    say: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    place: str = "query"


def whole_number(name: str, say: str, *, low: int = 0, high: int = NUMBER_MAX) -> Parameter:
    """Return the description of a parameter that ``whole`` reads."""
    return Parameter(name, say, {"type": "integer", "minimum": low, "maximum": high})


_CONSISTENCY: Final = Parameter(
    CONSISTENCY,
    "local (default): what this node has applied; linearizable: everything that was final "
    "anywhere when the request came",
    {"type": "string", "enum": ["local", "linearizable"]},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A possible answer: HTTP status, what it means, and its forms by media type."""

    status: int
    say: str
    forms: Mapping[str, Any]  # media type -> struct, or None for opaque text or bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A resource and method.  ``scope`` None: public.  ``stream``: counted apart."""

    method: str
    path: str
    handler: Handler
    scope: str | None
    summary: str
    answers: tuple[Answer, ...]
    parameters: tuple[Parameter, ...] = ()
    body: Mapping[str, Any] | None = None  # media type -> struct, several or None
    problems: tuple[str, ...] = ()
    stream: bool = False
    ledger_state: bool = False  # answers from applied state: takes ``consistency``

    def __post_init__(self) -> None:
        if self.ledger_state:
            object.__setattr__(self, "parameters", (*self.parameters, _CONSISTENCY))
            object.__setattr__(self, "problems", (*self.problems, "read-unavailable"))

    @property
    def name(self) -> str:
        """Return the id of the operation in the description."""
        words = re.sub(r"[^a-zA-Z0-9]+", "_", self.path.removeprefix("/v1")).strip("_")
        return f"{self.method.lower()}_{words or 'root'}"


@dataclass(frozen=True, slots=True)
class Api:
    """What handlers stand on."""

    service: Service
    limits: HttpLimits

    @property
    def height(self) -> int:
        return self.service.book.tip.height


def refuse(code: str, detail: str = "") -> NoReturn:
    raise ChartsealError(code, detail)


# --- reading ------------------------------------------------------------------------------


def query(request: web.Request, *known: str) -> Mapping[str, str]:
    """Return the query's parameters, each of ``known`` at most once."""
    given = request.query
    for name in given:
        if name not in known:
            shown = name if re.fullmatch(r"[a-z_-]{1,32}", name) else "a parameter"
            refuse("unknown-parameter", f"{shown} is unknown here")
        if len(given.getall(name)) > 1:
            refuse("bad-request", f"{name} is given twice")
    return given


async def state_query(request: web.Request, service: Service, *known: str) -> Mapping[str, str]:
    """Like ``query`` for a route with ``ledger_state``: returns once the state may be read.

    Raises ``ReadRefused`` when a linearizable read cannot be had.
    """
    given = query(request, *known, CONSISTENCY)
    match given.get(CONSISTENCY, "local"):
        case "local":
            pass
        case "linearizable":
            request[READ_HEIGHT] = await service.reads.wait()
        case _:
            refuse("bad-request", "consistency is local or linearizable")
    return given


def whole(text: str | None, name: str, *, default: int, low: int, high: int) -> int:
    """Return a decimal parameter within its bounds."""
    if text is None:
        return default
    if not _DECIMAL.fullmatch(text) or not low <= int(text) <= high:
        refuse("bad-request", f"{name} must be a whole number from {low} to {high}")
    return int(text)


def wait_s(text: str | None) -> int:
    return whole(text, "wait", default=0, low=0, high=WAIT_S_MAX)


def octets(text: str, name: str, *, size: int | None = None, size_max: int = 1024) -> bytes:
    """Return the bytes that ``text`` writes in hexadecimal."""
    try:
        raw = binascii.unhexlify(text.encode("ascii"))
    except (binascii.Error, UnicodeEncodeError):
        raise ChartsealError("bad-request", f"{name} must be hexadecimal") from None
    if (size is not None and len(raw) != size) or not 0 < len(raw) <= size_max:
        want = f"{size}" if size is not None else f"1 to {size_max}"
        refuse("bad-request", f"{name} must have {want} bytes, not {len(raw)}")
    return raw


def media_type(request: web.Request, *allowed: str) -> str:
    """Return the body's media type; raises when it is not one of ``allowed``."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        refuse("media-type-unsupported", "bodies are read uncompressed")
    if "Content-Type" not in request.headers or request.content_type not in allowed:
        refuse("media-type-unsupported", f"send {' or '.join(allowed)}")
    return request.content_type


async def bounded_body(request: web.Request, limits: HttpLimits) -> bytes:
    """Return the whole body, within ``body_bytes_max`` and ``body_s``."""
    if (request.content_length or 0) > limits.body_bytes_max:
        refuse("body-too-large", f"at most {limits.body_bytes_max} bytes")
    try:
        async with asyncio.timeout(limits.body_s):
            return await request.read()
    except TimeoutError as error:
        raise ChartsealError("request-timeout", f"not complete in {limits.body_s} s") from error


def accepted(request: web.Request, *offered: str) -> str:
    """Return the offered media type that the request likes best; the first on a draw."""
    header = request.headers.get("Accept", "*/*")
    best, best_weight = "", 0.0
    for offer in offered:
        weight = _weight(header, offer)
        if weight > best_weight:
            best, best_weight = offer, weight
    if not best:
        refuse("not-acceptable", f"offered: {', '.join(offered)}")
    return best


def _weight(header: str, offer: str) -> float:
    """Return the weight of ``offer``: that of the most specific range that holds it."""
    found = (0, 0.0)
    for part in header.split(","):
        media, *parameters = [item.strip().lower() for item in part.split(";")]
        ranges = {"*/*": 1, offer.partition("/")[0] + "/*": 2, offer: 3}
        if media in ranges:
            found = max(found, (ranges[media], _quality(parameters)), key=lambda pair: pair[0])
    return found[1]


def _quality(parameters: list[str]) -> float:
    for item in parameters:
        name, _, value = item.partition("=")
        if name.strip() == "q":
            match = re.fullmatch(r"(?:0|1)(?:\.[0-9]{0,3})?", value.strip(), re.ASCII)
            return float(value) if match else 0.0
    return 1.0


async def off_loop(function: Callable[..., T], *arguments: Any) -> T:
    """Run a function that reads the disk on a worker thread."""
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


# --- answering ----------------------------------------------------------------------------


def answer(
    value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return ``value`` as JSON."""
    body = types.encode(value)
    return web.Response(body=body, status=status, content_type=JSON, headers=headers)


def text(body: bytes, *, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=body, content_type=TEXT, charset="utf-8", headers=headers)


def problem(
    request: web.Request | None,
    api: Api,
    error: ChartsealError,
    *,
    request_id: str,
    retry_after: int | None = None,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> web.Response:
    """Return ``error`` as RFC 9457 says, with what support needs to find it in the log; under
    ``/fhir`` as an OperationOutcome."""
    entry = error.entry
    if retry_after is None and (entry.status in (429, 503, 507) or entry.code in _SOON):
        retry_after = _RETRY_LATER_S.get(entry.code, RETRY_AFTER_S)
    extra = {key: value for key, value in members.items() if value is not None}
    if retry_after is not None:
        extra["retry_after"] = retry_after
    if request is not None:
        extra["instance"] = request.path[:256]
    document = errors.problem(
        entry.code,
        error.detail,
        request_id=request_id,
        node=api.service.node_id,
        height=api.height,
        **extra,
    )
    more = dict(headers or {})
    if retry_after is not None:
        more["Retry-After"] = str(retry_after)
    if request is not None and f"{request.path}/".startswith("/fhir/"):
        issue = forms.issue(entry.code, entry.title, entry.status, error.detail)
        body, media = types.encode(forms.outcome(issue)), forms.MEDIA_TYPE
        return web.Response(body=body, status=entry.status, content_type=media, headers=more)
    return web.Response(
        body=types.encode(document), status=entry.status, content_type=PROBLEM, headers=more
    )

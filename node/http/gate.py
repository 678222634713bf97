"""What every request passes: room, caller, rate, scope; and how errors get out.

Owns: the order of these checks and the translation of every typed error into a problem
document, once.  Refuses by default: a route without a scope is public only because its table
says so.  An exception without a code is no business of this file: the protocol answers it as
``internal`` (``protocol.py``) and logs it.
"""

import logging
import re
import secrets
import time
from typing import Final

from aiohttp import web

from node import errors, log
from node.answering import REFUSALS
from node.archive.layout import ArchiveInvalid
from node.draining import refusal
from node.errors import ChartsealError
from node.http import answers
from node.http.answers import Api, Handler, Route
from node.http.auth import Authenticator, require
from node.http.throttle import Buckets, InFlight
from node.ledger.transaction import TransactionMalformed
from node.queries import ReceiptPending
from node.reads import ReadRefused
from node.service import CursorInvalid, TooManyWaiters
from node.snapshotting import SnapshotUnready
from storage.errors import StorageError
from storage.manifest import BackupInvalid

# Load and probes: counted by the metrics, and no event each.
_USUAL: Final = frozenset(
    {"overloaded", "mempool-full", "not-ready", "read-unavailable", "disk-full", "draining"}
)
_WRITES: Final = frozenset({"tx:submit", "tx:sign", "fhir:write"})
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_TYPED: Final = (
    ChartsealError,
    TransactionMalformed,
    ReceiptPending,
    ReadRefused,
    *REFUSALS,
    CursorInvalid,
    TooManyWaiters,
    SnapshotUnready,
    StorageError,
    BackupInvalid,
    ArchiveInvalid,
)


class Gate:
    """``authenticator`` None: no access control and no rates (the loopback ops port)."""

    def __init__(
        self, api: Api, routes: list[Route], authenticator: Authenticator | None
    ) -> None:
        limits = api.limits
        self._api = api
        self._routes = {route.name: route for route in routes}
        self._authenticator = authenticator
        self._buckets = Buckets(per_second=limits.requests_per_second, burst=limits.burst)
        self._requests = InFlight(limits.in_flight_max)
        self._streams = InFlight(limits.streams_max)
        self._burst = limits.burst
        if authenticator is not None:
            api.service.rooms.update(requests=self._requests, streams=self._streams)
        self._window_s = max(1, round(limits.burst / limits.requests_per_second))

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("X-Request-Id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        request[answers.REQUEST_ID] = request_id
        headers: dict[str, str] = {}
        try:
            return await self._pass(request, handler)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            found = ChartsealError(errors.code_of_status(error.status))
            if error.status == 405:
                headers["Allow"] = error.headers.get("Allow", "")
        except web.RequestPayloadError:
            found = ChartsealError("bad-request", "the body's transfer coding is broken")
        except _TYPED as error:
            found = errors.from_exception(error)
            if found.entry.status >= 500 and found.code not in _USUAL:
                log.event(
                    "request.failed",
                    level=logging.WARNING,
                    request=request_id,
                    code=found.code,
                )
        return self._refusal(request, found, request_id, headers)

    def _refusal(
        self,
        request: web.Request,
        error: ChartsealError,
        request_id: str,
        headers: dict[str, str],
    ) -> web.Response:
        retry_after: int | None = None
        if error.code == "unauthorized":
            headers["WWW-Authenticate"] = 'Bearer realm="chartseal"'
        if error.code == "media-type-unsupported":
            route = self._route(request)
            headers["Accept"] = ", ".join(route.body or ()) if route is not None else ""
        if error.code == "rate-limited":
            verdict = request.get(answers.RATE)
            retry_after = 1 if verdict is None else max(1, -int(-verdict.wait_s // 1))
        return answers.problem(
            request,
            self._api,
            error,
            request_id=request_id,
            retry_after=retry_after,
            headers=headers,
            tx_id=getattr(error, "tx_id", None),
            tx_height=getattr(error, "tx_height", None),
            checks=getattr(error, "checks", None),
            lowest_height=getattr(error.__cause__, "lowest", None),
            archive_url=self._archive_url(error),
        )

    def _archive_url(self, error: ChartsealError) -> str | None:
        return self._api.service.archive_url if error.code == "pruned" else None

    def _route(self, request: web.Request) -> Route | None:
        return self._routes.get(request.match_info.route.name or "")

    async def _pass(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        route = self._route(request)
        if route is None:
            return await handler(request)  # raises 404 or 405
        room = self._streams if route.stream else self._requests
        if not room.enter():
            raise ChartsealError("overloaded", "too many requests are being answered")
        try:
            if self._authenticator is not None:
                self._admit(request, route, self._authenticator)
            if route.scope in _WRITES and request.method != "GET":
                # Before its body is read: who is refused anyway should not send it.
                service = self._api.service
                if (no := refusal(service.life, service.disk)) is not None:
                    raise ChartsealError(*no)
            return await handler(request)
        finally:
            room.leave()

    def _admit(self, request: web.Request, route: Route, who: Authenticator) -> None:
        address = f"address/{request.remote}"
        if route.scope is None:
            self._charge(request, address)
            return
        try:
            principal = who.principal(request)
        except ChartsealError:
            self._charge(request, address)  # guessing costs as much as asking
            raise
        request[answers.PRINCIPAL] = principal
        self._charge(request, principal.name)
        require(principal, route.scope)

    def _charge(self, request: web.Request, caller: str) -> None:
        verdict = self._buckets.take(caller, time.monotonic())
        request[answers.RATE] = verdict
        if not verdict.allowed:
            raise ChartsealError("rate-limited", f"{self._burst} requests at once at most")

    async def finish(self, request: web.Request, response: web.StreamResponse) -> None:
        """Signal handler: put on what every answer carries."""
        headers = response.headers
        headers["Chartseal-Height"] = str(self._api.height)
        if answers.READ_HEIGHT in request:
            headers["Chartseal-Read-Height"] = str(request[answers.READ_HEIGHT])
        headers["X-Request-Id"] = request.get(answers.REQUEST_ID, "")
        headers["Server"] = "chartseal"
        headers["X-Content-Type-Options"] = "nosniff"
        headers.setdefault("Cache-Control", "no-store")
        verdict = request.get(answers.RATE)
        if verdict is not None:
            policy = f'"requests";q={self._burst};w={self._window_s}'
            headers["RateLimit-Policy"] = policy
            wait_s = max(0, -int(-verdict.wait_s // 1))
            headers["RateLimit"] = f'"requests";r={verdict.remaining};t={wait_s}'

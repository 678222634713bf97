"""Events as they happen, and as they happened: server-sent events over the ledger itself.

Owns: framing, filters, the last word.  The ledger on disk is the buffer, so a client that
reconnects with ``Last-Event-ID`` gets every event after it, once and in order, and a slow
client lags instead of filling memory.  A client that stops reading loses its place in line,
never an event.
"""

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec
from aiohttp import web

from node.http import answers
from node.http.answers import EVENTS, Answer, Api, Parameter, Route
from node.ledger.transaction import ORG_PATTERN

_TYPES = ("block", "transaction")


class EventRoutes:
    def __init__(self, api: Api) -> None:
        self._limits = api.limits
        self._service = api.service

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/events",
                handler=self.events,
                scope="events:read",
                summary="Blocks and transactions as they are applied, without gaps.",
                answers=(
                    Answer(
                        status=200,
                        say="Server-sent events; id is the cursor height.index. "
                        "A last event goodbye says that the node stops.",
                        forms={EVENTS: None},
                    ),
                ),
                parameters=(
                    Parameter("from", "earliest, latest (default) or the last cursor seen"),
                    Parameter("type", "only this type", {"enum": list(_TYPES)}),
                    Parameter("org", "only this institution's transactions"),
                    Parameter("Last-Event-ID", "the last cursor seen; wins", place="header"),
                ),
                problems=("cursor-invalid", "shutting-down"),
                stream=True,
            )
        ]

    async def events(self, request: web.Request) -> web.StreamResponse:
        given = answers.query(request, "from", "type", "org")
        wanted, org = given.get("type"), given.get("org")
        if wanted is not None and wanted not in _TYPES:
            answers.refuse("bad-request", f"type must be {' or '.join(_TYPES)}")
        if org is not None and not ORG_PATTERN.fullmatch(org):
            answers.refuse("bad-request", "org must be an institution's id")
        if self._service.stopping:
            answers.refuse("shutting-down")
        start = request.headers.get("Last-Event-ID") or given.get("from", "latest")
        cursor = self._service.cursor(start)
        response = web.StreamResponse(headers={"X-Accel-Buffering": "no"})
        response.content_type = EVENTS
        response.charset = "utf-8"
        await response.prepare(request)
        try:
            await self._stream(response, cursor, wanted, org)
        except (ConnectionError, TimeoutError):
            response.force_close()  # gone, or not reading: it resumes from its cursor
        return response

    async def _stream(
        self,
        response: web.StreamResponse,
        cursor: tuple[int, int],
        wanted: str | None,
        org: str | None,
    ) -> None:
        seen, told = "", ""
        events = self._service.events(cursor, heartbeat_s=self._limits.heartbeat_s)
        # A comment at once: the client knows that it is connected.
        await self._write(response, b": connected\n\n")
        async with aclosing(events):  # type: ignore[type-var]  # it is an async generator
            async for event in events:
                if event is None:
                    # Moves the client's cursor over what the filters left out.
                    moved = f"id: {seen}\n" if seen != told else ""
                    await self._write(response, f": heartbeat\n{moved}\n".encode())
                    told = seen
                    continue
                seen = event["cursor"]
                if _passes(event, wanted, org):
                    await self._write(response, _frame(event))
                    told = seen
        last = msgspec.json.encode({"cursor": seen or f"{cursor[0]}.{cursor[1]}"})
        await self._write(response, b"event: goodbye\ndata: " + last + b"\n\n")

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        async with asyncio.timeout(self._limits.idle_s):
            await response.write(data)


def _passes(event: dict[str, Any], wanted: str | None, org: str | None) -> bool:
    return (wanted is None or event["type"] == wanted) and (
        org is None or event.get("org") == org
    )


def _frame(event: dict[str, Any]) -> bytes:
    head = f"id: {event['cursor']}\nevent: {event['type']}\ndata: ".encode("ascii")
    return head + msgspec.json.encode(event) + b"\n\n"

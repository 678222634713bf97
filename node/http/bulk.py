"""Many transactions in one request, answered one line each, while they arrive.

Owns: the order (line n of the answer is item n of the request), grouping into calls of up to
``BATCH_MAX``, back-pressure: while the pool is full the socket is not read.  A bad item is
answered and never ends the stream.  Bounded: item size, bytes of the stream, silence, streams.

A client must read while it writes: answers that nobody takes stop the stream after ``idle_s``.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
from aiohttp import web

from node.errors import ChartsealError, get
from node.http import answers, txjson
from node.http.answers import NDJSON, OCTETS, Answer, Api, Route
from node.http.cutter import Cutter, Frames, Item, Lines
from node.http.limits import BATCH_MAX
from node.http.types import LineResult
from node.intake import Answer as Outcome
from node.ledger.transaction import TRANSACTION_BYTES_MAX, TransactionMalformed
from node.service import Service

PARSED_AT_ONCE: Final = 32
_RETRY_S: Final = 0.05
_encoder: Final = msgspec.json.Encoder()


class BulkRoutes:
    def __init__(self, api: Api) -> None:
        self._limits = api.limits
        self._service = api.service

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/v1/transactions:batch",
                handler=self.batch,
                scope="tx:submit",
                summary="Submit a stream of transactions; one result line each, in order.",
                answers=(
                    Answer(
                        status=200,
                        say="One LineResult a line, while the request is read. A stream that "
                        "must end early ends with a refused line numbered one beyond the last.",
                        forms={NDJSON: LineResult},
                    ),
                ),
                body={NDJSON: None, OCTETS: None},
                problems=("body-too-large", "frame-malformed", "line-too-long"),
                stream=True,
            )
        ]

    async def batch(self, request: web.Request) -> web.StreamResponse:
        answers.query(request)
        media = answers.media_type(request, NDJSON, OCTETS)
        if self._service.stopping:
            answers.refuse("shutting-down")
        if (request.content_length or 0) > self._limits.stream_bytes_max:
            answers.refuse("body-too-large", f"at most {self._limits.stream_bytes_max} bytes")
        binary = media == OCTETS
        cutter: Cutter
        cutter = Frames(TRANSACTION_BYTES_MAX) if binary else Lines(self._limits.line_bytes_max)
        response = web.StreamResponse(headers={"X-Accel-Buffering": "no"})
        response.content_type = NDJSON
        await response.prepare(request)
        try:
            await self._run(request, response, cutter, binary=binary)
            await response.write_eof()
        except (ConnectionError, TimeoutError, web.RequestPayloadError):
            response.force_close()  # what was answered stands; the rest may be sent again
        return response

    async def _run(
        self,
        request: web.Request,
        response: web.StreamResponse,
        cutter: Cutter,
        *,
        binary: bool,
    ) -> None:
        line = 1
        try:
            async for items in self._items(request, cutter):
                for start in range(0, len(items), BATCH_MAX):
                    part = items[start : start + BATCH_MAX]
                    results = await self._submit(part, line, binary=binary)
                    line += len(part)
                    await self._write(response, results)
        except ChartsealError as error:
            await self._write(response, [_refused(line, error.code, error.detail)])
            response.force_close()

    async def _items(self, request: web.Request, cutter: Cutter) -> AsyncIterator[list[Item]]:
        """Yield what each read completes; what arrives meanwhile waits in the socket."""
        total = 0
        while True:
            async with asyncio.timeout(self._limits.idle_s):
                data = await request.content.readany()
            if not data:
                break
            total += len(data)
            if total > self._limits.stream_bytes_max:
                limit = self._limits.stream_bytes_max
                raise ChartsealError("body-too-large", f"at most {limit} bytes")
            yield cutter.feed(data)
            if self._service.stopping:
                raise ChartsealError("shutting-down")
        yield cutter.end()

    async def _submit(
        self, items: Sequence[Item], line: int, *, binary: bool
    ) -> list[LineResult]:
        results: list[LineResult | None] = [None] * len(items)
        raws: list[bytes] = []
        places: list[int] = []
        for place, item in enumerate(items):
            if isinstance(item, str):
                results[place] = _refused(line + place, item, "")
                continue
            try:
                if place % PARSED_AT_ONCE == 0:
                    await asyncio.sleep(0)  # JSON of many lines must not hold up the loop
                raws.append(item if binary else txjson.read_transaction(item))
            except (ChartsealError, TransactionMalformed) as error:
                results[place] = _refused(line + place, error.code, _say(error))
                continue
            places.append(place)
        outcomes = await self._with_room(raws)
        for place, outcome in zip(places, outcomes, strict=True):
            results[place] = _result(line + place, outcome, self._service)
        done = [item for item in results if item is not None]
        assert len(done) == len(items), "one answer for each item"
        return done

    async def _with_room(self, raws: list[bytes]) -> list[Outcome]:
        """Submit; what finds the pool full is offered again until ``stall_s`` have passed."""
        outcomes = await self._service.submit(raws)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.stall_s
        while loop.time() < deadline and not self._service.stopping:
            full = [at for at, item in enumerate(outcomes) if item.code == "mempool-full"]
            if not full:
                break
            await asyncio.sleep(_RETRY_S)
            again = await self._service.submit([raws[at] for at in full])
            for at, outcome in zip(full, again, strict=True):
                outcomes[at] = outcome
        return outcomes

    async def _write(self, response: web.StreamResponse, results: list[LineResult]) -> None:
        if results:
            async with asyncio.timeout(self._limits.idle_s):
                await response.write(_encoder.encode_lines(results))


def _say(error: ChartsealError | TransactionMalformed) -> str:
    return error.detail if isinstance(error, ChartsealError) else str(error)


def _result(line: int, outcome: Outcome, service: Service) -> LineResult:
    txid = None if outcome.txid is None else outcome.txid.hex()
    if outcome.taken:
        return LineResult(line, outcome.code, txid)  # type: ignore[arg-type]  # its taken codes
    if outcome.txid is not None and service.status(outcome.txid).height is not None:
        return LineResult(line, "committed", txid)  # what speaks against it came later
    return _refused(line, outcome.code, outcome.detail, txid)


def _refused(line: int, code: str, detail: str, txid: str | None = None) -> LineResult:
    return LineResult(line, "refused", txid, code, detail or None, get(code).retryable)

"""The last line: what reaches no handler, or escapes from one, is answered as a problem too.

Owns: answers to bytes that are not HTTP, and to exceptions nobody named; one log event each.
Refuses: the text of an exception, towards the client and in the log; it may hold content.
"""

import asyncio
import logging
import secrets
import traceback
from pathlib import Path
from typing import Final

from aiohttp import web

from node import errors, log
from node.errors import ChartsealError
from node.http import answers
from node.http.answers import Api
from node.http.limits import HANDLER_ARGUMENTS

API: Final = web.AppKey("api", Api)


class _Protocol(web.RequestHandler):
    __slots__ = ("_api",)

    def __init__(self, server: web.Server, api: Api) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **HANDLER_ARGUMENTS)
        self._api = api

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # aiohttp's text may quote the request
    ) -> web.StreamResponse:
        request_id = request.get(answers.REQUEST_ID) or secrets.token_hex(8)
        if status >= 500:
            error = ChartsealError("internal", f"unforeseen {type(exc).__name__}")
            log.event(
                "request.internal",
                level=logging.ERROR,
                request=request_id,
                error=type(exc).__name__,
                place=_place(exc),
            )
        else:
            error = ChartsealError(errors.code_of_status(status), "not a well-formed request")
            log.event(
                "request.malformed",
                level=logging.WARNING,
                request=request_id,
                remote=request.remote,
            )
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        response = answers.problem(
            None,
            self._api,
            error,
            request_id=request_id,
            headers={
                "X-Request-Id": request_id,
                "Chartseal-Height": str(self._api.height),
                "Cache-Control": "no-store",
                "Server": "chartseal",
            },
        )
        response.force_close()
        return response


def _place(error: BaseException | None) -> str:
    """Return file and line where ``error`` was raised: enough to find it, and no content."""
    frames = traceback.extract_tb(None if error is None else error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


class _Server(web.Server):
    def __init__(self, inner: web.Server, api: Api) -> None:
        super().__init__(inner.request_handler, request_factory=inner.request_factory)
        self._api = api

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, self._api)


class Runner(web.AppRunner):
    """Runs an application of this package; use it wherever aiohttp's ``AppRunner`` would be."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        return _Server(await super()._make_server(), self.app[API])

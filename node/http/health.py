"""Health: is the process alive, can it serve reads, can it take writes.

Losing quorum never ends liveness or readiness: restarting a node does not bring members back,
and reading works without them.
"""

from aiohttp import web

from node.errors import ChartsealError
from node.http import types
from node.http.answers import JSON, Answer, Api, Parameter, Route, answer, query
from node.service import Check

_OK = (Answer(status=200, say="It is.", forms={JSON: types.Health}),)
_VERBOSE = Parameter("verbose", "list the checks", {"type": "string", "enum": ["", "1"]})


class NotReady(ChartsealError):
    """At least one check fails; ``checks`` has them all."""

    def __init__(self, checks: list[types.HealthCheck]) -> None:
        failing = ", ".join(check.name for check in checks if not check.ok)
        super().__init__("not-ready", f"waiting for {failing}")
        self.checks = checks


class HealthRoutes:
    def __init__(self, api: Api) -> None:
        self._service = api.service

    def routes(self) -> list[Route]:
        return [
            self._route("/livez", self.live, "Whether the process answers."),
            self._route("/readyz", self.ready, "Whether the node serves reads."),
            self._route("/readyz/write", self.writable, "Whether the node takes writes."),
        ]

    def _route(self, path: str, handler: object, summary: str) -> Route:
        assert callable(handler)
        return Route(
            method="GET",
            path=path,
            handler=handler,
            scope=None,
            summary=summary,
            answers=_OK,
            parameters=(_VERBOSE,),
            problems=("not-ready",),
        )

    async def live(self, request: web.Request) -> web.Response:
        return self._answer(request, [Check("loop", ok=True, say="answering")])

    async def ready(self, request: web.Request) -> web.Response:
        return self._answer(request, self._service.readiness())

    async def writable(self, request: web.Request) -> web.Response:
        return self._answer(request, [*self._service.readiness(), self._service.quorum()])

    def _answer(self, request: web.Request, checks: list[Check]) -> web.Response:
        verbose = "verbose" in query(request, "verbose")
        shown = [types.HealthCheck(item.name, item.ok, item.say) for item in checks]
        if not all(item.ok for item in checks):
            raise NotReady(shown)
        return answer(types.Health("ok", shown if verbose else None))

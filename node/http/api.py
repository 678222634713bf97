"""The entrances: the client API and the loopback ops port as aiohttp applications.

Owns: which routes exist on which port, and the order of what wraps them.  Run both with
``Runner``: it also answers malformed HTTP and unforeseen faults as problem documents.
"""

from collections.abc import Callable
from dataclasses import replace

from aiohttp import web

from node.config import Config
from node.http.answers import Answer, Api, Route, query
from node.http.asking import QuestionRoutes
from node.http.auth import Authenticator
from node.http.bulk import BulkRoutes
from node.http.cosigning import CosignRoutes
from node.http.debug import DebugRoutes
from node.http.events import EventRoutes
from node.http.fhir import FhirRoutes
from node.http.gate import Gate
from node.http.health import HealthRoutes
from node.http.key_reads import KeyRoutes
from node.http.ledger_reads import LedgerRoutes
from node.http.life import LifeRoutes
from node.http.limits import HANDLER_ARGUMENTS, HttpLimits
from node.http.node_reads import NodeRoutes
from node.http.openapi import describe_route
from node.http.protocol import API, Runner
from node.http.snapshots import SnapshotRoutes
from node.http.tls import ssl_context
from node.http.transactions import TransactionRoutes
from node.http.upkeep import UpkeepRoutes
from node.http.why import WhyRoutes
from node.ledger.state import institution_key
from node.service import Service
from node.tokens import TokenFile

__all__ = ["Runner", "api_routes", "build_api", "build_ops", "ssl_context"]


def api_routes(api: Api, fhir: FhirRoutes | None = None) -> list[Route]:
    """Return every route of the client port; ``fhir`` when its part has begun elsewhere."""
    transactions = TransactionRoutes(api)
    routes = [
        *transactions.routes(),
        *CosignRoutes(api, transactions).routes(),
        *BulkRoutes(api).routes(),
        *LedgerRoutes(api).routes(),
        *QuestionRoutes(api).routes(),
        *KeyRoutes(api).routes(),
        *NodeRoutes(api).routes(),
        *LifeRoutes(api).routes(),
        *SnapshotRoutes(api).routes(),
        *UpkeepRoutes(api).routes(),
        *WhyRoutes(api).routes(scope="member:read"),
        *EventRoutes(api).routes(),
        *(fhir or FhirRoutes(api)).routes(),
        *HealthRoutes(api).routes(),
    ]
    routes.append(describe_route(lambda: routes))
    assert len({route.name for route in routes}) == len(routes), "a route's name is its id"
    return routes


def build_api(
    service: Service,
    *,
    config: Config,
    metrics: Callable[[], bytes] | None = None,
    limits: HttpLimits | None = None,
) -> web.Application:
    """Return the client API.  ``limits`` None: those of the settings.

    ``metrics`` is not served here: they name peers and load, which clients need not know.
    """
    del metrics
    chosen = HttpLimits.of(config.limits) if limits is None else limits
    api = Api(service, chosen)
    file = config.api.tokens_file
    service.tokens = None if file is None else TokenFile(file)
    authenticator = Authenticator(
        service.genesis,
        service.tokens,
        own=service.node_id,
        acts=lambda org: service.book.read(institution_key(org)) is not None,
    )
    fhir = FhirRoutes(api)
    app = _application(api, api_routes(api, fhir), authenticator)
    app.cleanup_ctx.append(fhir.running)
    return app


def build_ops(service: Service, *, metrics: Callable[[], bytes]) -> web.Application:
    """Return the operators' port: metrics, health, causes and what the process does, without
    access control; loopback only."""

    async def show(request: web.Request) -> web.Response:
        query(request)
        return web.Response(
            body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    route = Route(
        method="GET",
        path="/metrics",
        handler=show,
        scope=None,
        summary="Metrics for Prometheus.",
        answers=(
            Answer(status=200, say="Text exposition format.", forms={"text/plain": None}),
        ),
    )
    api = Api(service, replace(HttpLimits(), in_flight_max=64))
    own = [
        *WhyRoutes(api).routes(scope=None),
        *DebugRoutes(api).routes(),
        *(found for found in NodeRoutes(api).routes() if found.path == "/v1/status"),
    ]
    return _application(api, [route, *HealthRoutes(api).routes(), *own], None)


def build_inspection(service: Service) -> web.Application:
    """Return what a stopped node's ledger answers: no access control, nothing that changes."""
    api = Api(service, replace(HttpLimits(), in_flight_max=64))
    routes = [
        *LedgerRoutes(api).routes(),
        *TransactionRoutes(api).routes(),
        *QuestionRoutes(api).routes(),
        *KeyRoutes(api).routes(),
        *NodeRoutes(api).routes(),
        *HealthRoutes(api).routes(),
    ]
    return _application(api, [route for route in routes if route.method == "GET"], None)


def _application(
    api: Api, routes: list[Route], authenticator: Authenticator | None
) -> web.Application:
    gate = Gate(api, routes, authenticator)
    app = web.Application(
        middlewares=[gate.middleware],
        client_max_size=api.limits.body_bytes_max,
        handler_args=HANDLER_ARGUMENTS,
    )
    app[API] = api
    app.on_response_prepare.append(gate.finish)
    for route in routes:
        app.router.add_route(
            route.method,
            route.path,
            route.handler,
            name=route.name,
            expect_handler=_continue,
        )
    return app


async def _continue(request: web.Request) -> None:
    """Ask for the body when the client waits for that; other expectations are not met, which
    RFC 9110 allows (aiohttp would answer them as plain text)."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun

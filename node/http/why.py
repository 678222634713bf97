"""Why: what keeps this node, or the network as it sees it, from its work."""

import time
from collections.abc import Sequence
from typing import Any, Literal

from aiohttp import web
from msgspec import Struct

from node.http.answers import JSON, Answer, Api, Route, answer, query
from node.ledger.eras import era_from
from node.why.causes import Severity
from node.why.lately import Lasting


class WhyCause(Struct):
    """One reason; ``docs`` is where the manual speaks of it."""

    id: str
    severity: Literal["stopped", "degraded", "warning", "note"]
    member: str | None
    title: str
    say: str
    since_ms: int
    facts: dict[str, Any]
    next: str
    docs: str


class Why(Struct):
    """What keeps a node from doing its work, the first cause first."""

    node: str
    time_ms: int
    height: int
    well: bool
    first: str | None
    quorum: int
    voters: list[str]
    missing: list[str]
    causes: list[WhyCause]


class WhyRoutes:
    def __init__(self, api: Api) -> None:
        self._service = api.service

    def routes(self, *, scope: str | None) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/why",
                handler=self.why,
                scope=scope,
                summary="What is wrong, since when, on which facts, and what to do next.",
                answers=(Answer(status=200, say="The causes.", forms={JSON: Why}),),
            )
        ]

    async def why(self, request: web.Request) -> web.Response:
        query(request)
        service = self._service
        found = service.explain()
        voters = [item.id for item in era_from(service.book.read).members]
        return answer(
            Why(
                node=service.node_id,
                time_ms=time.time_ns() // 1_000_000,
                height=service.book.tip.height,
                well=all(item.cause.severity is Severity.NOTE for item in found),
                first=found[0].cause.id if found else None,
                quorum=service.engine_status().quorum,
                voters=voters,
                missing=absent(found),
                causes=[shown(item) for item in found],
            )
        )


_NAMING = ("no-quorum", "isolated", "wrong-network", "version-here")
_ABSENT = (
    "member-wrong-network",
    "member-version",
    "member-wrong-key",
    "member-address",
    "member-name",
    "member-path",
    "member-down",
    "member-unreachable",
    "member-unresponsive",
    "member-hangs-up",
    "member-one-way",
    "member-unset",
)


def absent(found: Sequence[Lasting]) -> list[str]:
    """Return who is missing, by what the causes say."""
    for item in found:
        if item.cause.id in _NAMING:
            return sorted(dict(item.cause.facts)["missing"])
    return sorted({item.cause.member or "" for item in found if item.cause.id in _ABSENT})


def shown(item: Lasting) -> WhyCause:
    """Return a cause as clients see it."""
    cause, kind = item.cause, item.cause.kind
    return WhyCause(
        id=cause.id,
        severity=cause.severity.word,  # type: ignore[arg-type]
        member=cause.member,
        title=kind.title,
        say=cause.say,
        since_ms=item.since_ms,
        facts=dict(cause.facts),
        next=kind.next,
        docs=cause.docs,
    )

"""What the network and this node are: members, policy, status, problems, the description.

The policy is public, like tree heads: it holds public keys and a number, and without it nobody
outside could verify a receipt.  Members, with names and roles, and the node's inner state are
for callers with ``member:read``.
"""

import html
from typing import Final

from aiohttp import web

from node import errors
from node.http import answers, strict_json, types
from node.http.answers import JSON, Answer, Api, Route, whole_number
from node.http.life import life_of
from node.http.limits import PAGE_DEFAULT, PAGE_MAX
from node.ledger import accel
from node.ledger.facts.governance import institution_ids, known_institution
from node.ledger.families.evidence import EvidenceRow

HTML: Final = "text/html"


class NodeRoutes:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._service = api.service

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/members",
                handler=self.members,
                scope="member:read",
                ledger_state=True,
                summary="The institutions, their roles and public keys, the quorum.",
                answers=(Answer(status=200, say="Them.", forms={JSON: types.Members}),),
            ),
            Route(
                method="GET",
                path="/v1/evidence",
                handler=self.evidence,
                scope="member:read",
                ledger_state=True,
                summary="Contradictions of members, proven and on the ledger, oldest first.",
                answers=(Answer(status=200, say="A page.", forms={JSON: types.EvidencePage}),),
                parameters=(
                    whole_number("from", "log index to start at: the last page's cursor"),
                    whole_number("limit", "entries on a page", low=1, high=PAGE_MAX),
                ),
            ),
            Route(
                method="GET",
                path="/v1/policy",
                handler=self.policy,
                scope=None,
                summary="What a verifier needs: whose cosignatures count, and how many.",
                answers=(
                    Answer(status=200, say="chartseal/policy/v1 document.", forms={JSON: None}),
                ),
            ),
            Route(
                method="GET",
                path="/v1/lineage",
                handler=self.lineage,
                scope=None,
                summary="How the members of today follow from the founders, link by link.",
                answers=(
                    Answer(
                        status=200, say="chartseal/lineage/v1 document.", forms={JSON: None}
                    ),
                ),
            ),
            Route(
                method="GET",
                path="/v1/status",
                handler=self.status,
                scope="member:read",
                summary="This node: height, engine, pool, peers.",
                answers=(Answer(status=200, say="It.", forms={JSON: types.NodeStatus}),),
            ),
            Route(
                method="POST",
                path="/v1/leader:transfer",
                handler=self.transfer,
                scope="node:operate",
                summary="Hand the leadership of a Raft network to another member.",
                answers=(
                    Answer(status=200, say="It leads now.", forms={JSON: types.Leadership}),
                ),
                body={JSON: types.TransferRequest},
                problems=("transfer-unsupported", "transfer-refused", "transfer-incomplete"),
            ),
            Route(
                method="GET",
                path="/v1/problems",
                handler=self.problems,
                scope=None,
                summary="Every code that an error or an outcome may carry.",
                answers=(
                    Answer(
                        status=200,
                        say="The table.",
                        forms={JSON: types.ProblemTable, HTML: None},
                    ),
                ),
                problems=("not-acceptable",),
            ),
            Route(
                method="GET",
                path="/v1/problems/{code}",
                handler=self.problem,
                scope=None,
                summary="One code: what it means and what to do next.",
                answers=(
                    Answer(status=200, say="It.", forms={JSON: types.ProblemEntry, HTML: None}),
                ),
                problems=("not-found", "not-acceptable"),
            ),
        ]

    async def members(self, request: web.Request) -> web.Response:
        await answers.state_query(request, self._service)
        return answers.answer(await answers.off_loop(self._members))

    def _members(self) -> types.Members:
        genesis = self._service.genesis
        read = self._service.book.read
        shown = []
        voters = {item.id: item for item in self._service.roster.now.era.members}
        for org in institution_ids(read):
            item = known_institution(read, org)
            assert item is not None, "institutions never leave the state"
            shown.append(
                types.Member(
                    id=item.id,
                    name=item.name,
                    roles=list(item.roles),
                    validator=item.id in voters,
                    identity_key=item.identity_key.hex(),
                    consensus_key=item.consensus_key.hex(),
                    cosigner_key=item.cosigner_key.hex(),
                    encryption_key=item.encryption_key.hex(),
                )
            )
        roster = self._service.roster
        era = roster.now.era
        return types.Members(
            network=genesis.name,
            network_digest=genesis.network.hex(),
            engine=era.engine,
            quorum=roster.now.policy.quorum,
            epoch=era.epoch,
            from_height=era.from_height,
            observers=list(roster.observers),
            institutions=shown,
        )

    async def evidence(self, request: web.Request) -> web.Response:
        given = await answers.state_query(request, self._service, "from", "limit")
        low = answers.whole(
            given.get("from"), "from", default=0, low=0, high=answers.NUMBER_MAX
        )
        limit = answers.whole(
            given.get("limit"), "limit", default=PAGE_DEFAULT, low=1, high=PAGE_MAX
        )
        top = self._api.height
        rows, following = await answers.off_loop(self._service.queries.evidence, low, limit)
        shown = [_evidence(row) for row in rows]
        cursor = None if following is None else str(following)
        return answers.answer(types.EvidencePage(shown, cursor, top))

    async def policy(self, request: web.Request) -> web.Response:
        answers.query(request)
        text = self._service.publisher.policy.to_text()
        return web.Response(body=text.encode(), content_type=JSON)

    async def lineage(self, request: web.Request) -> web.Response:
        answers.query(request)
        text = await answers.off_loop(self._service.lineage)
        return web.Response(body=text.encode(), content_type=JSON)

    async def transfer(self, request: web.Request) -> web.Response:
        answers.query(request)
        answers.media_type(request, JSON)
        body = await answers.bounded_body(request, self._api.limits)
        given = strict_json.typed(types.TransferRequest, strict_json.read(body))
        handover = self._service.handover
        if handover is None:
            answers.refuse("not-ready", "the engine is not running")
        leader = await handover.transfer(given.to)
        status = self._service.engine_status()
        return answers.answer(types.Leadership(leader, status.round))

    async def status(self, request: web.Request) -> web.Response:
        answers.query(request)
        service = self._service
        genesis, tip, engine = service.genesis, service.book.tip, service.engine_status()
        progress, era = service.progress(), service.roster.now.era
        rooms = service.snapshots
        lowest = await answers.off_loop(service.store.lowest)
        snapshot = None if rooms is None else await answers.off_loop(rooms.shelf.newest)
        return answers.answer(
            types.NodeStatus(
                node=service.node_id,
                org=service.node_id,
                network=genesis.name,
                network_digest=genesis.network.hex(),
                standing=service.roster.role,
                epoch=era.epoch,
                era_from_height=era.from_height,
                voters=list(service.roster.voters),
                observers=list(service.roster.observers),
                height=tip.height,
                lowest_height=lowest,
                snapshot_height=snapshot,
                log_size=tip.log_size,
                log_root=tip.log_root.hex(),
                state_root=tip.state_root.hex(),
                time_ms=tip.time_ms,
                engine=types.EngineStatus(
                    name=engine.engine,
                    role=engine.role,
                    round=engine.round,
                    leader=engine.leader,
                    committed=engine.committed,
                    delivered=engine.delivered,
                    quorum=engine.quorum,
                    members=engine.members,
                    heard=list(engine.heard),
                    low_watermark=progress.low_watermark,
                    window=progress.window,
                    in_flight=progress.in_flight,
                ),
                contradictions=progress.contradictions,
                mempool=types.MempoolStatus(len(service.mempool), service.mempool.bytes),
                peers=sorted(service.peers_connected()),
                accelerator=accel.backend(),
                stopping=service.stopping,
                life=life_of(service.life),
                inspect=service.inspect,
            )
        )

    # --- problems ----------------------------------------------------------------------------

    async def problems(self, request: web.Request) -> web.Response:
        answers.query(request)
        entries = [_entry(item) for item in errors.all_codes()]
        if answers.accepted(request, JSON, HTML) == JSON:
            return answers.answer(types.ProblemTable(entries))
        rows = "".join(
            f'<li><a href="/v1/problems/{item.code}"><code>{item.code}</code></a>: '
            f"{html.escape(item.title)}</li>"
            for item in entries
        )
        return _page("Problems", f"<ul>{rows}</ul>")

    async def problem(self, request: web.Request) -> web.Response:
        answers.query(request)
        found = errors.lookup(request.match_info["code"])
        if found is None:
            answers.refuse("not-found", "no such code")
        entry = _entry(found)
        if answers.accepted(request, JSON, HTML) == JSON:
            return answers.answer(entry)
        again = "may succeed unchanged" if entry.retryable else "cannot succeed unchanged"
        text = (
            f"<p>{html.escape(entry.title)}.</p><p>HTTP status {entry.status}; "
            f"the same request {again}.</p><p>What to do: {html.escape(entry.hint)}.</p>"
        )
        return _page(entry.code, text)


def _evidence(row: EvidenceRow) -> types.Evidence:
    return types.Evidence(
        member=row.member,
        kind=row.kind,
        epoch=row.epoch,
        round=row.round,
        height=row.height,
        reporter=row.reporter,
        tx_id=row.txid.hex(),
        recorded_height=row.recorded_height,
        time_ms=row.time_ms,
    )


def _entry(code: errors.Code) -> types.ProblemEntry:
    return types.ProblemEntry(code.code, code.title, code.status, code.retryable, code.hint)


def _page(title: str, body: str) -> web.Response:
    document = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<h1>{title}</h1>{body}</html>"
    )
    headers = {"Content-Security-Policy": "default-src 'none'"}
    return web.Response(
        body=document.encode(), content_type=HTML, charset="utf-8", headers=headers
    )

"""Reading the ledger over HTTP: blocks, records, state, tree heads.

Owns: the shapes and the paging.  Every read of the disk runs on a worker thread.  Blocks never
change, so clients may keep them for ever.  Tree heads and consistency proofs are public:
they are hashes that anyone may compare, and an auditor must not need an account.
"""

import re
from functools import partial
from typing import Any, Final

from aiohttp import web

from node.http import answers, strict_json, types
from node.http.answers import (
    JSON,
    NUMBER_MAX,
    TEXT,
    Answer,
    Api,
    Parameter,
    Route,
    whole_number,
)
from node.http.limits import (
    PAGE_DEFAULT,
    PAGE_MAX,
    STATE_KEY_BYTES_MAX,
    TAGS_MAX,
)
from node.ledger.registry import result_of
from node.queries import BlockView, RecordView

_FOR_EVER: Final = {"Cache-Control": "private, max-age=31536000, immutable"}
_HEIGHT: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


class LedgerRoutes:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._service = api.service

    def routes(self) -> list[Route]:
        return [
            *self._block_routes(),
            *self._record_routes(),
            *self._proof_routes(),
            *self._state_routes(),
        ]

    def _block_routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/blocks",
                handler=self.blocks,
                scope="tx:read",
                ledger_state=True,
                summary="Applied blocks in ascending order.",
                answers=(Answer(status=200, say="A page.", forms={JSON: types.BlockPage}),),
                parameters=(
                    whole_number("from", "first height, or the cursor of the last page", low=1),
                    whole_number("limit", "blocks on a page", low=1, high=PAGE_MAX),
                ),
            ),
            Route(
                method="GET",
                path="/v1/blocks/{height}",
                handler=self.block,
                scope="tx:read",
                ledger_state=True,
                summary="One applied block with its transactions; height may be latest.",
                answers=(Answer(status=200, say="The block.", forms={JSON: types.Block}),),
                problems=("height-unavailable",),
            ),
        ]

    def _record_routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/records/{commitment}",
                handler=self.record,
                scope="record:read",
                ledger_state=True,
                summary="What the ledger says of a record's commitment.",
                answers=(Answer(status=200, say="Its story.", forms={JSON: types.Record}),),
                problems=("record-unknown",),
            ),
            Route(
                method="GET",
                path="/v1/records",
                handler=self.by_tag,
                scope="record:read",
                ledger_state=True,
                summary="The commitments under a one-time subject tag.",
                answers=(Answer(status=200, say="Them.", forms={JSON: types.TaggedRecords}),),
                parameters=(Parameter("tag", "16 bytes, hexadecimal; required"),),
            ),
            Route(
                method="POST",
                path="/v1/records:by-tags",
                handler=self.by_tags,
                scope="record:read",
                ledger_state=True,
                summary=f"The commitments under up to {TAGS_MAX} subject tags.",
                answers=(
                    Answer(
                        status=200, say="Them, by tag in order.", forms={JSON: types.TagsAnswer}
                    ),
                ),
                body={JSON: types.TagsRequest},
            ),
        ]

    def _proof_routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/checkpoint",
                handler=self.checkpoint,
                scope=None,
                summary="The newest tree head that a quorum of members cosigned.",
                answers=(
                    Answer(status=200, say="C2SP tlog-checkpoint text.", forms={TEXT: None}),
                ),
                problems=("not-found",),
            ),
            Route(
                method="GET",
                path="/v1/checkpoint/consistency",
                handler=self.consistency,
                scope=None,
                summary="The proof that a tree head extends an older one.",
                answers=(
                    Answer(status=200, say="RFC 6962 path.", forms={JSON: types.Consistency}),
                ),
                parameters=(
                    whole_number("old", "leaves of the older tree; required", low=1),
                    whole_number("new", "leaves of the newer tree; required", low=1),
                ),
                problems=("not-found",),
            ),
        ]

    def _state_routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/state/{key}",
                handler=self.state,
                scope="record:read",
                ledger_state=True,
                summary="A state key (hexadecimal) with its proof, or proof of absence.",
                answers=(Answer(status=200, say="It.", forms={JSON: types.StateAnswer}),),
                parameters=(
                    whole_number("height", "as of that height; default: the newest", low=1),
                ),
                problems=("height-unavailable", "not-ready"),
            ),
        ]

    # --- blocks ------------------------------------------------------------------------------

    async def blocks(self, request: web.Request) -> web.Response:
        given = await answers.state_query(request, self._service, "from", "limit")
        lowest = await answers.off_loop(self._service.store.lowest)
        low = answers.whole(given.get("from"), "from", default=lowest, low=1, high=NUMBER_MAX)
        limit = answers.whole(
            given.get("limit"), "limit", default=PAGE_DEFAULT, low=1, high=PAGE_MAX
        )
        top = self._api.height
        high = min(low + limit - 1, top)
        page = await answers.off_loop(self._summaries, low, high)
        following = str(high + 1) if page and high < top else None
        headers = {}
        if following is not None:
            headers["Link"] = f'</v1/blocks?from={following}&limit={limit}>; rel="next"'
        return answers.answer(types.BlockPage(page, following, top), headers=headers)

    def _summaries(self, low: int, high: int) -> list[types.BlockSummary]:
        views = [self._service.queries.block(height) for height in range(low, high + 1)]
        return [types.BlockSummary(**_summary(view)) for view in views if view is not None]

    async def block(self, request: web.Request) -> web.Response:
        await answers.state_query(request, self._service)
        text = request.match_info["height"]
        if text == "latest":
            height = self._api.height
        elif _HEIGHT.fullmatch(text):
            height = int(text)
        else:
            answers.refuse("bad-request", "height is a number from 1, or latest")
        found = await answers.off_loop(self._block, height)
        if found is None:
            answers.refuse("height-unavailable", f"the newest height is {self._api.height}")
        return answers.answer(found, headers=_FOR_EVER if text != "latest" else None)

    def _block(self, height: int) -> types.Block | None:
        view = self._service.queries.block(height)
        if view is None:
            return None
        shown = []
        for txid in view.txids:
            # A body may repeat what an earlier block holds; it has no outcome here.
            number = self._service.queries.outcome_at(txid, height)
            code = None if number is None else result_of(number).code
            shown.append(types.BlockTransaction(txid.hex(), code))
        return types.Block(
            **_summary(view), certificate_bytes=view.certificate_bytes, transaction_ids=shown
        )

    # --- records -----------------------------------------------------------------------------

    async def record(self, request: web.Request) -> web.Response:
        await answers.state_query(request, self._service)
        commitment = answers.octets(request.match_info["commitment"], "commitment", size=32)
        view = await answers.off_loop(self._service.queries.record, commitment)
        if view is None:
            answers.refuse("record-unknown")
        return answers.answer(_record(view))

    async def by_tag(self, request: web.Request) -> web.Response:
        text = (await answers.state_query(request, self._service, "tag")).get("tag")
        if text is None:
            answers.refuse("bad-request", "tag is required")
        (found,) = await answers.off_loop(self._tagged, [answers.octets(text, "tag", size=16)])
        return answers.answer(found)

    async def by_tags(self, request: web.Request) -> web.Response:
        await answers.state_query(request, self._service)
        answers.media_type(request, JSON)
        body = await answers.bounded_body(request, self._api.limits)
        given = strict_json.typed(types.TagsRequest, strict_json.read(body))
        tags = [bytes.fromhex(tag) for tag in given.tags]
        return answers.answer(types.TagsAnswer(await answers.off_loop(self._tagged, tags)))

    def _tagged(self, tags: list[bytes]) -> list[types.TaggedRecords]:
        return [
            types.TaggedRecords(
                tag.hex(), [item.hex() for item in self._service.queries.records_by_tag(tag)]
            )
            for tag in tags
        ]

    # --- proofs ------------------------------------------------------------------------------

    async def checkpoint(self, request: web.Request) -> web.Response:
        answers.query(request)
        newest = await answers.off_loop(self._service.store.latest_checkpoint)
        if newest is None:
            answers.refuse("not-found", "no checkpoint is certified yet")
        return answers.text(newest[1])

    async def consistency(self, request: web.Request) -> web.Response:
        given = answers.query(request, "old", "new")
        if "old" not in given or "new" not in given:
            answers.refuse("bad-request", "old and new are required")
        old = answers.whole(given["old"], "old", default=0, low=1, high=NUMBER_MAX)
        new = answers.whole(given["new"], "new", default=0, low=old, high=NUMBER_MAX)
        path = await answers.off_loop(self._service.queries.consistency, old, new)
        if path is None:
            answers.refuse("not-found", f"the log is shorter than {new} leaves")
        return answers.answer(types.Consistency(old, new, [node.hex() for node in path]))

    async def state(self, request: web.Request) -> web.Response:
        given = await answers.state_query(request, self._service, "height")
        key = answers.octets(request.match_info["key"], "key", size_max=STATE_KEY_BYTES_MAX)
        height = None
        if "height" in given:
            height = answers.whole(given["height"], "height", default=1, low=1, high=NUMBER_MAX)
        found = await answers.off_loop(partial(self._service.queries.state, key, height=height))
        if found is None:
            answers.refuse("height-unavailable", "the state has a root from block 1 on")
        return answers.answer(
            types.StateAnswer(
                key.hex(),
                None if found.value is None else found.value.hex(),
                found.height,
                found.state_root.hex(),
                found.proof.encode().hex(),
            )
        )


def _summary(view: BlockView) -> dict[str, Any]:
    return {
        "height": view.height,
        "digest": view.digest.hex(),
        "parent": view.parent.hex(),
        "time_ms": view.time_ms,
        "proposer": view.proposer,
        "transactions": len(view.txids),
        "first_index": view.first_index,
        "log_size": view.log_size,
        "log_root": view.log_root.hex(),
        "state_height": view.state_height,
        "state_root": view.state_root.hex(),
    }


def _record(view: RecordView) -> types.Record:
    return types.Record(
        commitment=view.commitment.hex(),
        status=view.status,  # type: ignore[arg-type]  # the family's closed set of words
        version=view.version,
        successor=None if view.successor is None else view.successor.hex(),
        previous=None if view.previous is None else view.previous.hex(),
        occurrences=[
            types.Occurrence(
                kind=item.kind,
                tx_id=item.txid.hex(),
                leaf_index=item.leaf_index,
                op_index=item.op_index,
                item_index=item.item_index,
                height=item.height,
                time_ms=item.time_ms,
                org=item.org,
                code=item.code,
            )
            for item in view.occurrences
        ],
    )

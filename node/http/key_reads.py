"""What a key did, over HTTP: the first question after a key was stolen.

Owns: the shape and the cursor.  The walk over the blocks runs on a worker thread.
"""

import re
from functools import partial
from typing import Final

from aiohttp import web
from msgspec import Struct

from node import touched as walks
from node.http import answers
from node.http.answers import JSON, NUMBER_MAX, Answer, Api, Parameter, Route, whole_number
from node.http.limits import PAGE_DEFAULT, PAGE_MAX
from node.http.types import Hex32
from node.ledger.registry import result_of

_CURSOR: Final = re.compile(r"([1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,5})", re.ASCII)


class TouchedTransaction(Struct):
    """A transaction that the key signed, as author or as co-signer.

    ``commitments`` are records that it anchors itself, ``ids`` the other 32-byte values that
    its operations name; ``code`` says whether it took effect.  ``flagged``: signed when the key
    is said to have been in other hands.
    """

    tx_id: Hex32
    height: int
    position: int
    time_ms: int
    org: str
    author: bool
    kinds: list[str]
    code: str
    flagged: bool
    commitments: list[Hex32]
    ids: list[Hex32]


class TouchedPage(Struct):
    """What the key signed in blocks ``from_height`` to ``looked_to``, and a part of the next
    block when the page was full; without ``next_cursor`` the walk is complete."""

    key: Hex32
    transactions: list[TouchedTransaction]
    from_height: int
    looked_to: int
    compromised_since_ms: int | None
    next_cursor: str | None
    as_of_height: int


class KeyRoutes:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._service = api.service

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/keys/{key}/touched",
                handler=self.touched,
                scope="tx:read",
                ledger_state=True,
                summary="Every transaction that a key signed between two times.",
                answers=(Answer(status=200, say="A page.", forms={JSON: TouchedPage}),),
                parameters=(
                    whole_number(
                        "from_ms", "first time, Unix milliseconds; default: the first"
                    ),
                    whole_number("until_ms", "the time to stop before; default: the newest"),
                    Parameter("cursor", "next_cursor of the last page, same times"),
                    whole_number("limit", "transactions on a page", low=1, high=PAGE_MAX),
                ),
                problems=("cursor-invalid",),
            )
        ]

    async def touched(self, request: web.Request) -> web.Response:
        given = await answers.state_query(
            request, self._service, "from_ms", "until_ms", "cursor", "limit"
        )
        key = answers.octets(request.match_info["key"], "key", size=32)
        from_ms = answers.whole(
            given.get("from_ms"), "from_ms", default=0, low=0, high=NUMBER_MAX
        )
        until_ms = None
        if "until_ms" in given:
            until_ms = answers.whole(
                given["until_ms"], "until_ms", default=0, low=from_ms, high=NUMBER_MAX
            )
        limit = answers.whole(
            given.get("limit"), "limit", default=PAGE_DEFAULT, low=1, high=PAGE_MAX
        )
        page = await answers.off_loop(
            partial(
                self._service.queries.touched,
                key,
                from_ms=from_ms,
                until_ms=until_ms,
                start=_start(given.get("cursor")),
                limit=limit,
            )
        )
        return answers.answer(_page(key, page))


def _start(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = _CURSOR.fullmatch(text)
    if match is None:
        answers.refuse("cursor-invalid", "a cursor is the height.position of the last page")
    return int(match[1]), int(match[2])


def _page(key: bytes, page: walks.Touched) -> TouchedPage:
    following = None if page.next is None else f"{page.next[0]}.{page.next[1]}"
    return TouchedPage(
        key.hex(),
        [_transaction(item, page.compromised_since_ms) for item in page.transactions],
        page.first,
        page.looked_to,
        page.compromised_since_ms,
        following,
        page.as_of_height,
    )


def _transaction(item: walks.TouchedTransaction, since_ms: int | None) -> TouchedTransaction:
    return TouchedTransaction(
        tx_id=item.txid.hex(),
        height=item.height,
        position=item.position,
        time_ms=item.time_ms,
        org=item.org,
        author=item.author,
        kinds=list(item.kinds),
        code=result_of(item.code).code,
        flagged=since_ms is not None and item.time_ms >= since_ms,
        commitments=[value.hex() for value in item.commitments],
        ids=[value.hex() for value in item.ids],
    )

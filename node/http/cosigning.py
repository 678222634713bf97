"""Operations that others sign too: a patient, a guardian, a device, a second institution.

Two steps.  ``POST /v1/operations:prepare`` fixes the exact bytes: this institution's payload
and the keys that will sign, author first.  Everyone signs ``message`` with their own key,
wherever it is kept.  ``POST /v1/operations:cosigned`` brings their signatures back; the node
adds its institution's and submits.  Nothing is kept between the two: the payload carries its
own expiry, and a transaction id commits once however often it is sent.
"""

from typing import Annotated, Final

from aiohttp import web
from msgspec import Meta, Struct

from node.http import answers, strict_json, txjson, types
from node.http.answers import JSON, Answer, Api, Route
from node.http.transactions import PREFER, REFUSALS, SUBMITTED, TransactionRoutes
from node.ledger import transaction
from node.ledger.transaction import SIGNERS_MAX, TRANSACTION_BYTES_MAX

_COSIGNERS_MAX: Final = SIGNERS_MAX - 1
Cosigners = Annotated[list[types.Hex32], Meta(min_length=1, max_length=_COSIGNERS_MAX)]
PayloadHex = Annotated[
    str, Meta(pattern=r"^(?:[0-9a-fA-F]{2})+$", max_length=2 * TRANSACTION_BYTES_MAX)
]


class PrepareRequest(types.Request):
    """Operations and the keys that will co-sign them, in the order of their signatures."""

    ops: types.Operations
    cosigners: Cosigners
    expires_in: Annotated[int, Meta(ge=1, le=100_000, description="blocks")] = 1000


class Prepared(Struct):
    """What to sign: Ed25519 over ``message``, which tag, payload and all keys make up (author
    first), so that a co-signer can make it from the rest and look at the payload before."""

    payload: types.Hex
    author: types.Hex32
    cosigners: list[types.Hex32]
    message: types.Hex


class CosignedRequest(types.Request):
    """A prepared payload with the co-signers' signatures, in the order it was prepared for."""

    payload: PayloadHex
    cosigners: Annotated[list[types.Signature], Meta(min_length=1, max_length=_COSIGNERS_MAX)]


class CosignRoutes:
    def __init__(self, api: Api, transactions: TransactionRoutes) -> None:
        self._api = api
        self._service = api.service
        self._transactions = transactions

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/v1/operations:prepare",
                handler=self.prepare,
                scope="tx:sign",
                summary="Fix the bytes that this institution and its co-signers will sign.",
                answers=(Answer(status=200, say="What to sign.", forms={JSON: Prepared}),),
                body={JSON: PrepareRequest},
                problems=("op-unknown", "op-malformed", "transaction-malformed"),
            ),
            Route(
                method="POST",
                path="/v1/operations:cosigned",
                handler=self.cosigned,
                scope="tx:sign",
                summary="Add this institution's signature to a co-signed payload; submit it.",
                answers=SUBMITTED,
                parameters=(PREFER,),
                body={JSON: CosignedRequest},
                problems=REFUSALS,
            ),
        ]

    async def prepare(self, request: web.Request) -> web.Response:
        answers.query(request)
        answers.media_type(request, JSON)
        body = await answers.bounded_body(request, self._api.limits)
        given = strict_json.typed(PrepareRequest, strict_json.read(body))
        payload = self._service.payload(txjson.read_ops(given.ops), given.expires_in)
        raw = txjson.payload_bytes(payload)
        author, keys = self._service.identity, [bytes.fromhex(key) for key in given.cosigners]
        message = transaction.signed_message(raw, [author, *keys])
        return answers.answer(
            Prepared(raw.hex(), author.hex(), [key.hex() for key in keys], message.hex())
        )

    async def cosigned(self, request: web.Request) -> web.Response:
        answers.query(request)
        answers.media_type(request, JSON)
        body = await answers.bounded_body(request, self._api.limits)
        given = strict_json.typed(CosignedRequest, strict_json.read(body))
        raw = self._service.countersign(
            bytes.fromhex(given.payload),
            [
                (bytes.fromhex(item.key), bytes.fromhex(item.signature))
                for item in given.cosigners
            ],
        )
        return await self._transactions.send(request, raw)

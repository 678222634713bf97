"""Transactions over HTTP: submit, sign and submit, follow, read, receipt.

Owns: which HTTP answer each outcome is.  201: on the ledger and applied; 202: taken, not
decided yet; 200: known before.  A transaction that a rule refused is a problem with that
rule's code, even though it is on the ledger and has a receipt.  Submitting is idempotent by
nature: the same bytes are the same transaction.
"""

import asyncio
import re
import time
from collections import OrderedDict
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from aiohttp import web

from node.errors import ChartsealError, lookup
from node.http import answers, strict_json, txjson, types
from node.http.answers import JSON, OCTETS, TEXT, Answer, Api, Parameter, Route
from node.http.limits import (
    EXPIRES_IN_MAX,
    IDEMPOTENCY_BYTES_MAX,
    IDEMPOTENCY_KEYS_MAX,
    WAIT_S_MAX,
)
from node.ledger import receipt as receipts
from node.ledger import transaction
from node.ledger.receipt import Receipt
from node.ledger.transaction import Transaction
from node.queries import ReceiptPending
from node.service import TxStatus

_PREFER_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?", re.ASCII)
_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")
_RECEIPT_LOOK_S: Final = 0.1

PREFER = Parameter(
    "Prefer", "wait=N: wait up to N (at most 30) seconds for the outcome", place="header"
)
_LINEAGE = Parameter(
    "lineage",
    "none: without how members changed since the founders",
    {"type": "string", "enum": ["embed", "none"]},
)
_WAIT = Parameter(
    "wait",
    "seconds to wait for the outcome",
    {"type": "integer", "minimum": 0, "maximum": WAIT_S_MAX},
)
_STATUS = {JSON: types.TransactionStatus}
SUBMITTED = (
    Answer(status=200, say="Known before; this is its status.", forms=_STATUS),
    Answer(status=201, say="On the ledger, applied.", forms=_STATUS),
    Answer(status=202, say="Taken; the outcome is not known yet.", forms=_STATUS),
)
REFUSALS = (
    "transaction-malformed",
    "wrong-network",
    "transaction-expired",
    "expiry-too-far",
    "unknown-signer",
    "bad-signature",
    "op-unknown",
    "op-malformed",
    "op-refused",
    "role-missing",
    "mempool-full",
    "shutting-down",
)


class TransactionProblem(ChartsealError):
    """Why a transaction is not applied; ``tx_height`` when it was ordered all the same."""

    def __init__(
        self, code: str, detail: str, *, tx_id: bytes | None, tx_height: int | None = None
    ) -> None:
        if lookup(code) is None:  # a result of rules newer than this interface
            code, detail = "op-refused", f"{code}: {detail}"
        super().__init__(code, detail)
        self.tx_id = None if tx_id is None else tx_id.hex()
        self.tx_height = tx_height


class TransactionRoutes:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._service = api.service
        # (caller, key) -> fingerprint of the request, the bytes it became
        self._keys: OrderedDict[tuple[str, str], tuple[bytes, bytes]] = OrderedDict()
        self._keys_bytes = 0

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/v1/transactions",
                handler=self.submit,
                scope="tx:submit",
                summary="Submit a signed transaction.",
                answers=SUBMITTED,
                parameters=(PREFER,),
                body={
                    OCTETS: None,
                    JSON: (types.StructuredTransaction, types.EncodedTransaction),
                },
                problems=REFUSALS,
            ),
            Route(
                method="POST",
                path="/v1/operations",
                handler=self.operate,
                scope="tx:sign",
                summary="Sign operations with this institution's key and submit them.",
                answers=SUBMITTED,
                parameters=(
                    PREFER,
                    Parameter(
                        "Idempotency-Key",
                        "repeating a request with its key repeats no operation; "
                        "remembered in memory while the process lives",
                        place="header",
                    ),
                ),
                body={JSON: types.OperationsRequest},
                problems=(*REFUSALS, "idempotency-key-reused"),
            ),
            Route(
                method="GET",
                path="/v1/transactions/{tx_id}",
                handler=self.status,
                scope="tx:read",
                ledger_state=True,
                summary="Where a transaction stands; never seen ones are unknown.",
                answers=(Answer(status=200, say="Its status.", forms=_STATUS),),
                parameters=(_WAIT,),
            ),
            Route(
                method="GET",
                path="/v1/transactions/{tx_id}/content",
                handler=self.content,
                scope="tx:read",
                ledger_state=True,
                summary="What a transaction says.",
                answers=(
                    Answer(
                        status=200,
                        say="Its members, or its bytes.",
                        forms={JSON: types.TransactionContent, OCTETS: None},
                    ),
                ),
                problems=("not-found", "not-acceptable"),
            ),
            Route(
                method="GET",
                path="/v1/transactions/{tx_id}/receipt",
                handler=self.receipt,
                scope="tx:read",
                ledger_state=True,
                summary="The proof of its outcome, verifiable without any node.",
                answers=(
                    Answer(
                        status=200,
                        say="C2SP tlog-proof text, or the same fields as JSON.",
                        forms={TEXT: None, JSON: None},
                    ),
                ),
                parameters=(
                    Parameter("commitment", "the item of its batch, 32 bytes hexadecimal"),
                    _LINEAGE,
                    _WAIT,
                ),
                problems=("receipt-pending", "not-found", "not-acceptable"),
            ),
        ]

    # --- submit ------------------------------------------------------------------------------

    async def submit(self, request: web.Request) -> web.Response:
        answers.query(request)
        media = answers.media_type(request, OCTETS, JSON)
        body = await answers.bounded_body(request, self._api.limits)
        raw = body if media == OCTETS else txjson.read_transaction(body)
        return await self.send(request, raw)

    async def operate(self, request: web.Request) -> web.Response:
        answers.query(request)
        answers.media_type(request, JSON)
        body = await answers.bounded_body(request, self._api.limits)
        given = strict_json.typed(types.OperationsRequest, strict_json.read(body))
        assert given.expires_in <= EXPIRES_IN_MAX, "bounded by its type"
        ops = txjson.read_ops(given.ops)
        key = request.headers.get("Idempotency-Key")
        if key is None:
            raw = self._service.sign(ops, expires_in=given.expires_in)
            return await self.send(request, raw)
        if not _KEY.fullmatch(key):
            answers.refuse("bad-request", "Idempotency-Key must be 1 to 128 visible characters")
        place = (request[answers.PRINCIPAL].name, key)
        fingerprint = blake2b(body, digest_size=32).digest()
        known = self._keys.get(place)
        if known is None:
            # Remembered before anything awaits: a second request cannot slip in between.
            raw = self._service.sign(ops, expires_in=given.expires_in)
            self._remember(place, fingerprint, raw)
            return await self.send(request, raw)
        if known[0] != fingerprint:
            answers.refuse("idempotency-key-reused")
        return await self.send(request, known[1])

    def _remember(self, place: tuple[str, str], fingerprint: bytes, raw: bytes) -> None:
        self._keys[place] = (fingerprint, raw)
        self._keys_bytes += len(raw)
        full = len(self._keys) > IDEMPOTENCY_KEYS_MAX
        while full or self._keys_bytes > IDEMPOTENCY_BYTES_MAX:
            _place, (_fingerprint, forgotten) = self._keys.popitem(last=False)
            self._keys_bytes -= len(forgotten)
            full = len(self._keys) > IDEMPOTENCY_KEYS_MAX

    async def send(self, request: web.Request, raw: bytes) -> web.Response:
        if self._service.stopping:
            answers.refuse("shutting-down")
        height = self._api.height
        (outcome,) = await self._service.submit([raw])
        txid = transaction.txid_of(raw)
        if not outcome.taken:
            status = self._service.status(txid)
            if status.height is None:
                raise TransactionProblem(outcome.code, outcome.detail, tx_id=outcome.txid)
            # It is on the ledger already; what speaks against it now came later.
            return self._submitted(status, 200, height, None)
        wait, applied = _preferred_wait(request)
        status = await self._service.wait(txid, timeout_s=wait)
        fresh = outcome.code == "accepted"
        code = (201 if status.state == "committed" else 202) if fresh else 200
        if fresh and status.state not in ("committed", "pending"):
            raise TransactionProblem(
                status.code, status.say, tx_id=txid, tx_height=status.height
            )
        return self._submitted(status, code, height, applied)

    def _submitted(
        self, status: TxStatus, code: int, height: int, applied: str | None
    ) -> web.Response:
        headers = {"Location": f"/v1/transactions/{status.txid.hex()}"}
        if applied is not None:
            headers["Preference-Applied"] = applied
        return answers.answer(show(status, height), status=code, headers=headers)

    # --- follow ------------------------------------------------------------------------------

    async def status(self, request: web.Request) -> web.Response:
        txid = _txid(request)
        given = await answers.state_query(request, self._service, "wait")
        wait = answers.wait_s(given.get("wait"))
        status = await self._service.wait(txid, timeout_s=wait)
        return answers.answer(show(status))

    async def content(self, request: web.Request) -> web.Response:
        txid = _txid(request)
        await answers.state_query(request, self._service)
        media = answers.accepted(request, JSON, OCTETS)
        height: int | None = None
        tx: Transaction | None = self._service.mempool.get(txid)
        if tx is None:
            found = await answers.off_loop(self._service.queries.transaction, txid)
            if found is None:
                answers.refuse("not-found", "no such transaction on this ledger")
            height, tx = found[0].height, found[1]
        if media == OCTETS:
            return web.Response(body=tx.raw, content_type=OCTETS)
        state = self._service.status(txid).state
        return answers.answer(
            types.TransactionContent(txid.hex(), state, height, txjson.show(tx))
        )

    async def receipt(self, request: web.Request) -> web.Response:
        txid = _txid(request)
        given = await answers.state_query(
            request, self._service, "commitment", "wait", "lineage"
        )
        media = answers.accepted(request, TEXT, JSON)
        if given.get("lineage", "embed") not in ("embed", "none"):
            answers.refuse("bad-request", "lineage is embed or none")
        item = given.get("commitment")
        commitment = None if item is None else answers.octets(item, "commitment", size=32)
        deadline = time.monotonic() + answers.wait_s(given.get("wait"))
        await self._service.wait(txid, timeout_s=deadline - time.monotonic())
        found = await self._receipt(txid, commitment, deadline)
        if given.get("lineage") == "none":
            found = replace(found, lineage=())
        if media == JSON:
            return web.Response(body=receipts.to_json(found).encode(), content_type=JSON)
        return answers.text(receipts.to_text(found))

    async def _receipt(self, txid: bytes, commitment: bytes | None, deadline: float) -> Receipt:
        def read() -> Receipt | None:
            return self._service.queries.receipt(txid, commitment=commitment)

        while True:
            try:
                found = await answers.off_loop(read)
            except ReceiptPending:
                # Cosignatures arrive without an event of their own: look again.
                if time.monotonic() + _RECEIPT_LOOK_S >= deadline or self._service.stopping:
                    raise
                await asyncio.sleep(_RECEIPT_LOOK_S)
                continue
            if found is not None:
                return found
            if txid in self._service.mempool:
                raise ReceiptPending("waiting to be ordered")
            raise ChartsealError("not-found", "no such transaction, or no such item in it")


def show(status: TxStatus, submitted_height: int | None = None) -> types.TransactionStatus:
    return types.TransactionStatus(
        tx_id=status.txid.hex(),
        state=status.state,  # type: ignore[arg-type]  # the service's closed set of words
        code=status.code,
        detail=status.say,
        height=status.height,
        leaf_index=status.leaf_index,
        submitted_height=submitted_height,
    )


def _txid(request: web.Request) -> bytes:
    return answers.octets(request.match_info["tx_id"], "tx_id", size=32)


def _preferred_wait(request: web.Request) -> tuple[int, str | None]:
    """Return the wait that RFC 7240's ``Prefer`` asks for, and what to answer about it."""
    header = ", ".join(request.headers.getall("Prefer", []))
    match = _PREFER_WAIT.search(header)
    if match is None:
        return 0, None
    wait = min(int(match[1]), WAIT_S_MAX)
    return wait, f"wait={wait}"

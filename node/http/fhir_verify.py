"""Whether a copy is what was anchored: ``$verify`` of the FHIR interface.

Owns: reading Parameters with a copy, its opening or commitment and a receipt; the verdict as
Parameters.  What decides is ``node.ledger.commitment.judge`` and, for a receipt,
``node.ledger.receipt.verify_receipt`` by whom this node trusts, era by era.  The copy is not
kept.
"""

from typing import Any, Final

from aiohttp import web

from consensus.codec import Malformed
from node.fhir import forms
from node.fhir.forms import Resource
from node.fhir_desk import Desk
from node.http import answers, fhir_words
from node.http.answers import Api
from node.http.fhir_read import Reads, commitment_of
from node.ledger import receipt as receipts
from node.ledger.commitment import (
    STATUS_WORDS,
    VERDICT_WORDS,
    Anchored,
    Opening,
    Status,
    commitment,
    judge,
    opening_from_text,
)
from node.ledger.receipt import ReceiptInvalid, ReceiptMalformed
from node.ledger.transaction import parse
from node.queries import RecordView
from node.record_files import parameter_resource, strict_json
from node.records import commitments_in

_VERIFIED: Final = ("opening", "commitment", "receipt", "language")


class Verifies:
    def __init__(self, api: Api, desk: Desk, reads: Reads) -> None:
        self._api = api
        self._service = api.service
        self._desk = desk
        self._reads = reads

    async def verify(self, request: web.Request) -> web.Response:
        raw = await fhir_words.posted(request, self._api.limits)
        answers.query(request)
        return fhir_words.resource(await answers.off_loop(self._verify, raw))

    def _verify(self, raw: bytes) -> Resource:
        copy = parameter_resource(raw, "resource")
        tree = strict_json(raw)
        simple = {
            item.get("name"): item.get("valueString")
            for item in tree.get("parameter", [])
            if item.get("name") != "resource"
        }
        if set(simple) - set(_VERIFIED):
            answers.refuse("unknown-parameter", f"known are resource, {', '.join(_VERIFIED)}")
        opening = _opening(simple.get("opening"))
        name = _named(simple.get("commitment"), opening)
        held = self._desk.held(name)
        if opening is None and held is not None:
            opening = held.opening
        view = self._service.queries.record(name)
        known = None if view is None else _anchored(view)
        verdict = judge(copy, opening, known)
        words = "zh" if simple.get("language") == "zh" else "en"
        found: list[Resource] = [
            {"name": "verdict", "valueCode": verdict.value},
            {"name": "text", "valueString": VERDICT_WORDS[words][verdict]},
        ]
        if simple.get("receipt") is not None:
            found += self._proven(str(simple["receipt"]), name)
        if view is not None and known is not None:
            found.append({"name": "status", "valueCode": known.status.value})
            found.append(
                {"name": "statusText", "valueString": STATUS_WORDS[words][known.status]}
            )
            told = self._reads.told(view, None if held is None else held.type)
            found += [{"name": "provenance", "resource": item} for item in told]
        return forms.parameters(*found)

    def _proven(self, text: str, name: bytes) -> list[Resource]:
        """Return what a receipt proves about a commitment, by whom this node trusts."""
        try:
            receipt = receipts.from_text(text.encode())
            proven = receipts.verify_receipt(receipt, self._service.trust())
        except ReceiptMalformed:
            answers.refuse("receipt-invalid")
        except ReceiptInvalid as error:
            return [
                {"name": "receipt", "valueCode": "proves-nothing"},
                {"name": "receiptReason", "valueString": str(error)},
            ]
        held = commitments_in(parse(receipt.transaction)) | {proven.commitment}
        if proven.code != 0 or name not in held:
            return [{"name": "receipt", "valueCode": "of-something-else"}]
        return [
            {"name": "receipt", "valueCode": "proves"},
            {"name": "anchored", "valueInstant": forms.instant(proven.time_ms)},
        ]


def _opening(text: Any) -> Opening | None:
    if text is None:
        return None
    try:
        return opening_from_text(str(text))
    except Malformed:
        answers.refuse("opening-invalid")


def _named(text: Any, opening: Opening | None) -> bytes:
    if text is not None:
        return commitment_of(str(text))
    if opening is None:
        answers.refuse("bad-request", "opening or commitment is required")
    return commitment(opening)


def _anchored(view: RecordView) -> Anchored:
    status = Status(view.status)
    after = view.successor if status is Status.AMENDED else None
    return Anchored(view.commitment, status, after)

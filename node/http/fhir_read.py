"""Asking the ledger in FHIR: consents, audit events and provenance as searchsets; operations.

Owns: ``Consent`` (IHE ITI-108), ``AuditEvent``, ``Provenance``, ``$verify``,
``$evaluate-consent`` and ``$access-report``.  Each is one or several questions of the ledger,
asked through ``fhir_ask``.  Patients are named by an identifier that was registered on this
node, or by their subject.
"""

from collections.abc import Iterator
from typing import Final

from aiohttp import web

from node.fhir import anchored, audit, consent_written, forms, report
from node.fhir.anchored import Anchoring
from node.fhir.forms import Resource
from node.fhir.patient import SUBJECT_SYSTEM, Identifier
from node.fhir_desk import Desk
from node.http import answers, fhir_words
from node.http.answers import Api
from node.http.fhir_ask import Ask
from node.http.fhir_words import Given
from node.ledger import receipt as receipts
from node.ledger.questions import access, access_audit, consent, consent_list
from node.patients import Patients
from node.queries import Occurrence, ReceiptPending, RecordView
from node.record_files import strict_json

PATIENT: Final = ("patient", "patient.identifier")
# Parameters of $evaluate-consent beside the patient.
ASKED: Final = {
    "requester": "id of the institution that asks",
    "purpose": "code of HL7 v3 PurposeOfUse",
    "custodian": "id of the institution that holds the data; else the patient's",
    "data-class": "class of the data, a number",
    "label": "sensitivity label; may repeat",
    "practitioner": "commitment of a licence",
    "break-glass": "true in an emergency",
}
TOLD_MAX: Final = 20  # each with a receipt
_STATUSES: Final = ("active", "inactive")


class Reads:
    def __init__(self, api: Api, desk: Desk, directory: Patients) -> None:
        self._api = api
        self._service = api.service
        self._desk = desk
        self._directory = directory
        self._ask = Ask(api.service)

    async def _given(self, request: web.Request, *known: str) -> Given:
        return await fhir_words.given(request, self._api.limits, *known)

    def _subject(self, given: Given) -> bytes | None:
        """Return the subject that the parameters name; None: they name no patient."""
        literal, token = given.one("patient"), given.one("patient.identifier")
        if literal is not None and token is not None:
            answers.refuse("bad-request", "patient or patient.identifier, not both")
        if literal is not None:
            return answers.octets(literal.removeprefix("Patient/"), "patient", size=32)
        if token is None:
            return None
        try:
            named = Identifier.read(token)
        except ValueError:
            answers.refuse("bad-request", "patient.identifier is system|value")
        if named.system == SUBJECT_SYSTEM:
            return answers.octets(named.value, "patient.identifier", size=32)
        found = self._directory.find(named)
        if found is None:
            answers.refuse("patient-unknown")
        return found

    async def _needed(self, given: Given) -> bytes:
        subject = await answers.off_loop(self._subject, given)
        if subject is None:
            answers.refuse("bad-request", "patient or patient.identifier is required")
        return subject

    # --- searches ----------------------------------------------------------------------------

    async def consents(self, request: web.Request) -> web.Response:
        given = await self._given(request, *PATIENT, "status")
        subject = await self._needed(given)
        wanted = given.one("status")
        if wanted not in (None, *_STATUSES):
            answers.refuse("bad-request", f"status is one of {', '.join(_STATUSES)}")
        params = consent_list.Consents(subject, given.offset, given.count)
        found: consent_list.ConsentsAnswer = await self._ask("consent.list", params)
        shown = [
            await self._consent(line, subject)
            for line in found.consents
            if wanted in (None, consent_written.STATUS[line.status])
        ]
        total = found.count if wanted is None else None
        return fhir_words.searchset(
            given, "/fhir/Consent", shown, total=total, after=found.next
        )

    async def _consent(self, line: consent_list.Line, subject: bytes) -> Resource:
        last = consent_list.History(line.cid, line.version - 1, 1)
        told: consent_list.HistoryAnswer = await self._ask("consent.history", last)
        (row,) = told.versions
        return consent_written.write_row(
            row, subject=subject, status=line.status, custodian=row.org
        )

    async def audit_events(self, request: web.Request) -> web.Response:
        given = await self._given(request, *PATIENT, "date", "type")
        try:
            from_ms, until_ms = forms.date_range(given.all("date"))
        except ValueError:
            answers.refuse("bad-request", "date is a FHIR date with an optional prefix")
        subject = await answers.off_loop(self._subject, given)
        if subject is None:
            shown, count, after = await self._batches(given, from_ms, until_ms)
        else:
            page = access.LogPage(subject, given.offset, given.count, from_ms, until_ms)
            log: access.Log = await self._ask("access.log", page)
            shown = [audit.audit_event(event, subject) for event in log.events]
            count, after = log.count, log.next
        kind = given.one("type")
        shown = [item for item in shown if kind is None or _is_type(item, kind)]
        total = None if kind or given.all("date") else count
        return fhir_words.searchset(given, "/fhir/AuditEvent", shown, total=total, after=after)

    async def _batches(
        self, given: Given, from_ms: int, until_ms: int
    ) -> tuple[list[Resource], int, int | None]:
        """Return the batches of this institution's own log."""
        org = self._service.node_id
        page = access_audit.Page(org, given.offset, given.count)
        found: access_audit.Batches = await self._ask("access.chain", page)
        shown = [
            audit.audit_entry(entry, org)
            for entry in found.entries
            if from_ms <= entry.time_ms < until_ms
        ]
        return shown, 0 if found.chain is None else found.chain.entries, found.next

    async def provenances(self, request: web.Request) -> web.Response:
        given = await self._given(request, "target")
        kind, _slash, name = given.needed("target").rpartition("/")
        found = await answers.off_loop(self._provenances, commitment_of(name), kind)
        return fhir_words.searchset(
            given, "/fhir/Provenance", found, total=len(found), after=None
        )

    async def provenance(self, request: web.Request) -> web.Response:
        await self._given(request)
        name = commitment_of(request.match_info["id"])
        found = await answers.off_loop(self._provenances, name, "")
        if not found:
            answers.refuse("record-unknown")
        return fhir_words.resource(found[0])

    def _provenances(self, name: bytes, kind: str) -> list[Resource]:
        view = self._service.queries.record(name)
        held = self._desk.held(name)
        if view is None:
            return []
        return list(self.told(view, kind or (held.type if held else None)))

    def told(self, view: RecordView, kind: str | None) -> Iterator[Resource]:
        """Yield a Provenance, with its receipt if there is one yet, for each time that the
        ledger heard of the commitment."""
        for item in view.occurrences[:TOLD_MAX]:
            if item.code:
                continue
            yield anchored.provenance(
                Anchoring(
                    commitment=view.commitment,
                    type=kind or None,
                    kind=item.kind,
                    org=item.org,
                    txid=item.txid,
                    height=item.height,
                    time_ms=item.time_ms,
                    previous=view.previous,
                    receipt=self._receipt(item, view.commitment),
                )
            )

    def _receipt(self, item: Occurrence, commitment: bytes) -> str | None:
        wanted = commitment if item.kind == "item" else None
        try:
            found = self._service.queries.receipt(item.txid, commitment=wanted)
        except ReceiptPending:
            return None
        return None if found is None else receipts.to_text(found).decode()

    # --- operations --------------------------------------------------------------------------

    async def evaluate(self, request: web.Request) -> web.Response:
        known = (*PATIENT, *ASKED)
        if request.method == "POST" and request.content_type != fhir_words.FORM:
            raw = await fhir_words.posted(request, self._api.limits)
            given = fhir_words.from_parameters(await answers.off_loop(strict_json, raw), known)
        else:
            given = await self._given(request, *known)
        subject = await self._needed(given)
        try:
            params = consent.May(
                subject,
                given.needed("requester"),
                given.needed("purpose").rpartition("|")[2],
                given.one("custodian"),
                _number(given, "data-class"),
                tuple(sorted(given.all("label"))),
                _licence(given),
                break_glass=given.one("break-glass") == "true",
            )
        except ValueError as error:
            answers.refuse("bad-request", str(error))
        found: consent.Answer = await self._ask("consent.may", params)
        return fhir_words.resource(_decision(found))

    async def access_report(self, request: web.Request) -> web.Response:
        given = await self._given(request, *PATIENT, "language", "date")
        subject = await self._needed(given)
        language = given.one("language") or _language(request)
        if language not in report.LANGUAGES:
            answers.refuse("bad-request", "language is en or zh")
        try:
            from_ms, until_ms = forms.date_range(given.all("date"))
        except ValueError:
            answers.refuse("bad-request", "date is a FHIR date with an optional prefix")
        page = access.LogPage(subject, given.offset, given.count, from_ms, until_ms)
        log: access.Log = await self._ask("access.log", page)
        found: list[Resource] = [
            {"name": "count", "valueUnsignedInt": log.count},
            {"name": "head", "valueString": log.chain.hex()},
        ]
        for event in log.events:
            part = [
                {"name": "text", "valueString": report.line(event, language)},
                {"name": "event", "resource": audit.audit_event(event, subject)},
            ]
            found.append({"name": "line", "part": part})
        if log.next is not None:
            found.append({"name": "next", "valueUri": given.url(request.path, offset=log.next)})
        return fhir_words.resource(forms.parameters(*found))


# --- reading parameters -----------------------------------------------------------------------


def _is_type(item: Resource, token: str) -> bool:
    system, bar, code = token.rpartition("|")
    kind = item["type"]
    return kind["code"] == code and (not bar or kind.get("system", "") == system)


def commitment_of(text: str) -> bytes:
    return answers.octets(text, "id", size=32)


def _number(given: Given, name: str) -> int | None:
    text = given.one(name)
    return None if text is None else answers.whole(text, name, default=0, low=0, high=255)


def _licence(given: Given) -> bytes | None:
    text = given.one("practitioner")
    return None if text is None else answers.octets(text, "practitioner", size=32)


def _language(request: web.Request) -> str:
    return "zh" if request.headers.get("Accept-Language", "").startswith("zh") else "en"


# --- showing ----------------------------------------------------------------------------------


def _decision(found: consent.Answer) -> Resource:
    decision = found.decision
    shown: list[Resource] = [
        {"name": "decision", "valueCode": "permit" if decision.permit else "deny"},
        {"name": "reason", "valueCode": decision.reason},
        {"name": "limited", "valueBoolean": bool(decision.residual)},
        {"name": "text", "valueString": found.english},
        {"name": "text-zh", "valueString": found.chinese},
        {"name": "height", "valueString": str(found.height)},
        {"name": "time", "valueInstant": forms.instant(found.time_ms)},
        {"name": "rules", "valueString": str(decision.version)},
    ]
    if found.basis_name is not None:
        shown.append({"name": "basis", "valueString": found.basis_name})
    elif decision.basis is not None:
        name = forms.identified("Consent", "consent", decision.basis.hex())
        shown.append({"name": "basis", "valueReference": name})
    return forms.parameters(*shown)

"""The FHIR entrance: HL7 FHIR R4 over the ledger, beside ``/v1``.

Owns: the table of what this interface does, from which the routes and the CapabilityStatement
are both made, and the wiring of what it keeps on this node.  Resources are never kept: they are
committed to, and what comes back is who anchored what when (``fhir_write``, ``fhir_read``).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Final

from aiohttp import web

from node.audit_log import AuditLog
from node.fhir import capability
from node.fhir.capability import Interaction, Search
from node.fhir.forms import MEDIA_TYPE
from node.fhir_desk import Desk
from node.http import answers, fhir_words
from node.http.answers import Answer, Api, Handler, Parameter, Route
from node.http.fhir_read import ASKED, Reads
from node.http.fhir_verify import Verifies
from node.http.fhir_words import FORM, JSON
from node.http.fhir_write import WAIT_S_DEFAULT, Writes
from node.local_store import LocalStore
from node.patients import Patients

READ: Final = "fhir:read"
WRITE: Final = "fhir:write"
_FHIR: Final = {MEDIA_TYPE: None}
_BODY: Final = {MEDIA_TYPE: None, JSON: None}
_PATIENT: Final = (
    Search("patient", "reference", "Patient/<subject>"),
    Search("patient.identifier", "token", "system|value, as registered on this node"),
)
_DATE: Final = Search("date", "date", "when the ledger recorded it, with prefix; may repeat")
_CONSENT: Final = (*_PATIENT, Search("status", "token", "active or inactive"))
_AUDIT: Final = (
    *_PATIENT,
    _DATE,
    Search("type", "token", "code, or system|code, of AuditEvent.type"),
)
_TARGET: Final = (Search("target", "reference", "type/commitment, or the commitment"),)
_REPORT: Final = (*_PATIENT, _DATE, Search("language", "token", "en or zh"))
_EVALUATE: Final = (*_PATIENT, *(Search(name, "token", say) for name, say in ASKED.items()))
_PAGING: Final = (
    answers.whole_number("_count", "resources in a page", low=1, high=fhir_words.PAGE_MAX),
    answers.whole_number("_offset", "where the page starts; see link next"),
    Parameter("_format", "ignored: answers are application/fhir+json"),
)
_REPEAT: Final = Parameter(
    "Idempotency-Key",
    "repeating a request with its key gives the same commitments and transaction, also after "
    "a restart of the node",
    place="header",
)
_EXIST: Final = Parameter(
    "If-None-Exist",
    "like Idempotency-Key, for one resource; its text is a name",
    place="header",
)
_WAIT: Final = Parameter(
    "Prefer",
    f"wait=N seconds for the ledger, {WAIT_S_DEFAULT} unless said; or respond-async",
    place="header",
)
_REFUSALS: Final = (
    "fhir-malformed",
    "fhir-type-unknown",
    "fhir-consent-unsupported",
    "patient-unknown",
    "patient-ambiguous",
    "audit-event-refused",
    "audit-chain-foreign",
    "content-refused",
    "idempotency-key-reused",
    "op-refused",
    "role-missing",
    "mempool-full",
    "shutting-down",
    "not-acceptable",
)


@dataclass(frozen=True, slots=True)
class Offer:
    """A route and the interaction that it is; POST routes without one are other forms."""

    method: str
    path: str
    handler: Handler
    scope: str | None
    summary: str
    interaction: Interaction | None = None
    searches: tuple[Search, ...] = ()
    pages: bool = False
    body: bool = False
    form: bool = False
    headers: tuple[Parameter, ...] = ()
    problems: tuple[str, ...] = ()
    creates: bool = False

    def route(self) -> Route:
        statuses = {200: "The resource asked for, or a Bundle with an answer to each entry."}
        if self.creates:
            statuses = {
                200: "Known before.",
                201: "On the ledger, or registered.",
                202: "Taken; the ledger has not decided yet.",
            }
        asked = [] if self.form else [Parameter(item.name, item.say) for item in self.searches]
        body = _BODY if self.body else {}
        return Route(
            method=self.method,
            path=self.path,
            handler=self.handler,
            scope=self.scope,
            summary=self.summary,
            answers=tuple(
                Answer(status=status, say=say, forms=_FHIR) for status, say in statuses.items()
            ),
            parameters=(*asked, *(_PAGING if self.pages else ()), *self.headers),
            body={**body, **({FORM: None} if self.form else {})} or None,
            problems=(*self.problems, "not-acceptable"),
        )


class FhirRoutes:
    def __init__(self, api: Api) -> None:
        service = api.service
        local = LocalStore(service.store, service.disk.path)
        directory = Patients(local)
        desk = Desk(service, local, directory)
        log = AuditLog(service, local, desk)
        self._api = api
        self._log = log
        self._writes = Writes(api, desk, directory, log)
        self._reads = Reads(api, desk, directory)
        self._verifies = Verifies(api, desk, self._reads)

    async def running(self, _app: web.Application) -> AsyncIterator[None]:
        """Keep the audit log's pace while the application serves."""
        task = asyncio.create_task(self._log.run(), name="audit log")
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def routes(self) -> list[Route]:
        return [offer.route() for offer in self._offers()]

    def _offers(self) -> list[Offer]:
        return [*self._posts(), *self._searches(), *self._operations(), self._capabilities()]

    def _posts(self) -> Sequence[Offer]:
        create = Interaction("create", "*", say="anchored by commitment; not kept")
        return (
            Offer(
                "POST",
                "/fhir",
                self._writes.bundle,
                WRITE,
                "Anchor the resources of a Bundle of type transaction or batch.",
                Interaction("transaction"),
                body=True,
                headers=(_WAIT, _REPEAT),
                problems=_REFUSALS,
            ),
            Offer(
                "POST",
                "/fhir/{type}",
                self._writes.create,
                WRITE,
                "Anchor one resource; a Patient is registered on this node only.",
                create,
                body=True,
                headers=(_WAIT, _REPEAT, _EXIST),
                problems=_REFUSALS,
                creates=True,
            ),
        )

    def _searches(self) -> Sequence[Offer]:
        found: list[Offer] = []
        for kind, handler, searches, say in (
            ("Consent", self._reads.consents, _CONSENT, "Consents of a patient (IHE ITI-108)."),
            (
                "AuditEvent",
                self._reads.audit_events,
                _AUDIT,
                "Accesses to a patient's data; without a patient this institution's batches.",
            ),
            ("Provenance", self._reads.provenances, _TARGET, "Who anchored a resource, when."),
        ):
            search = Interaction("search-type", kind, searches=searches)
            found += (
                Offer(
                    "GET", f"/fhir/{kind}", handler, READ, say, search, searches, pages=True,
                    problems=("patient-unknown",),
                ),
                Offer(
                    "POST", f"/fhir/{kind}/_search", handler, READ, f"{say} By form.",
                    searches=searches, form=True, problems=("patient-unknown",),
                ),
            )  # fmt: skip
        found.append(
            Offer(
                "GET",
                "/fhir/Provenance/{id}",
                self._reads.provenance,
                READ,
                "Who anchored the resource with this commitment first.",
                Interaction("read", "Provenance"),
                problems=("record-unknown",),
            )
        )
        return found

    def _operations(self) -> Sequence[Offer]:
        verify = "Whether a copy is what was anchored: exact, same meaning, altered, erased."
        evaluate = "May they see this patient's data, and why?"
        say = "What happened to a patient's data, in words and as AuditEvents."
        return (
            Offer(
                "POST",
                "/fhir/$verify",
                self._verifies.verify,
                READ,
                verify,
                Interaction("operation", name="verify", say=verify),
                body=True,
                problems=("content-refused", "opening-invalid", "receipt-invalid"),
            ),
            Offer(
                "GET",
                "/fhir/$evaluate-consent",
                self._reads.evaluate,
                READ,
                evaluate,
                Interaction("operation", name="evaluate-consent", say=evaluate),
                _EVALUATE,
                problems=("patient-unknown",),
            ),
            Offer(
                "POST",
                "/fhir/$evaluate-consent",
                self._reads.evaluate,
                READ,
                f"{evaluate} By Parameters or form.",
                searches=_EVALUATE,
                body=True,
                form=True,
                problems=("patient-unknown", "fhir-malformed", "content-refused"),
            ),
            Offer(
                "GET",
                "/fhir/$access-report",
                self._reads.access_report,
                READ,
                say,
                Interaction("operation", name="access-report", say=say),
                _REPORT,
                pages=True,
                problems=("patient-unknown",),
            ),
            Offer(
                "POST",
                "/fhir/$access-report",
                self._reads.access_report,
                READ,
                f"{say} By form.",
                searches=_REPORT,
                form=True,
                problems=("patient-unknown",),
            ),
        )

    def _capabilities(self) -> Offer:
        return Offer(
            "GET",
            "/fhir/metadata",
            self.metadata,
            None,
            "The CapabilityStatement: what this interface does.",
        )

    async def metadata(self, request: web.Request) -> web.Response:
        await fhir_words.given(request, self._api.limits)
        done = [item.interaction for item in self._offers() if item.interaction is not None]
        done.append(Interaction("batch"))  # the same route as transaction
        done += [Interaction("create", kind) for kind in ("AuditEvent", "Consent", "Patient")]
        done.append(Interaction("create", "Provenance", say="anchored by commitment; not kept"))
        service = self._api.service
        made = capability.statement(
            done,
            version=metadata.version("chartseal"),
            time_ms=service.book.tip.time_ms,
            name=service.node_id,
        )
        return fhir_words.resource(made)

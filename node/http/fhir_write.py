"""Posting FHIR resources: each becomes an anchor, a consent, an audit event or a patient.

Owns: ``POST /fhir`` and ``POST /fhir/{type}``: in which transactions of the ledger entries go,
and what is answered for each.  A Bundle of type transaction is one transaction of the ledger:
all of its resources or none (patients and audit events apart, which are this node's own).  In a
batch every entry stands for itself; consents go alone, since a rule may refuse one.
Answers name commitment, transaction and height in a Provenance; content never comes back.
Repeating a request with its ``Idempotency-Key`` or ``If-None-Exist`` gives the same answer.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

from aiohttp import web

from node.audit_log import AuditLog, Noted
from node.errors import ChartsealError
from node.fhir import anchored, forms, patient
from node.fhir.anchored import Anchoring, provenance
from node.fhir.forms import Resource
from node.fhir_desk import Desk, Item, Placed
from node.http import answers, fhir_words
from node.http.answers import Api
from node.http.fhir_entries import (
    TRANSACTION,
    ConsentWords,
    Entry,
    People,
    Posted,
    read_bundle,
    read_one,
    retry_name,
)
from node.http.limits import WAIT_S_MAX
from node.ledger import block as blocks
from node.ledger.facts.governance import institution_ids
from node.patients import Patients
from node.service import TxStatus

T = TypeVar("T")
WAIT_S_DEFAULT: Final = 10
CHUNK: Final = 200  # anchors in one transaction of a batch
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?", re.ASCII)
_UNKNOWN: Final = forms.note(
    "patient-unknown", "Anchored without a link: the patient is not registered here."
)
_WAITS: Final = forms.note("audit-batch-waiting", "Noted; the next batch anchors it.")


@dataclass(slots=True)
class Result:
    """What became of one entry; ``resource`` is answered, ``status`` in HTTP's words."""

    status: str
    resource: Resource
    location: str | None = None
    notes: list[Resource] = field(default_factory=list)
    txid: bytes | None = None


Ended = Placed | Noted | Result | ChartsealError


class Writes:
    def __init__(self, api: Api, desk: Desk, directory: Patients, log: AuditLog) -> None:
        self._api = api
        self._service = api.service
        self._desk = desk
        self._directory = directory
        self._log = log

    # --- the two routes ----------------------------------------------------------------------

    async def bundle(self, request: web.Request) -> web.Response:
        raw = await fhir_words.posted(request, self._api.limits)
        answers.query(request)
        caller = request[answers.PRINCIPAL].name
        key = request.headers.get("Idempotency-Key")

        def read() -> Posted:
            return read_bundle(raw, caller=caller, key=key)

        posted = await answers.off_loop(read)
        whole = posted.kind == TRANSACTION
        if whole:
            for entry in posted.entries:
                if entry.error is not None:
                    raise entry.error
        done = await self._write(posted.entries, _wait_s(request), whole=whole)
        entries = [_answered(item) for item in done]
        return fhir_words.resource(forms.bundle(f"{posted.kind}-response", entries))

    async def create(self, request: web.Request) -> web.Response:
        raw = await fhir_words.posted(request, self._api.limits)
        answers.query(request)
        kind = request.match_info["type"]
        caller = request[answers.PRINCIPAL].name
        key = request.headers.get("If-None-Exist") or request.headers.get("Idempotency-Key")
        retry = None if key is None else retry_name(caller, kind, key)
        entry = await answers.off_loop(read_one, raw, kind, retry)
        (done,) = await self._write([entry], _wait_s(request), whole=True)
        if isinstance(done, ChartsealError):
            raise done
        headers = {} if done.location is None else {"Location": f"/fhir/{done.location}"}
        if done.txid is not None:
            headers["Chartseal-Transaction"] = done.txid.hex()
        return fhir_words.resource(done.resource, status=int(done.status[:3]), headers=headers)

    # --- doing it ----------------------------------------------------------------------------

    async def _write(
        self, entries: Sequence[Entry], wait_s: int, *, whole: bool
    ) -> list[Result | ChartsealError]:
        """Return what became of each entry.  ``whole``: the first error is raised."""
        if self._service.disk.low():
            raise ChartsealError("disk-full")
        prepared = await answers.off_loop(partial(self._prepare, entries, whole=whole))
        jobs = {item.job for item in prepared if isinstance(item, Placed)}
        ends = dict(zip(jobs, await self._follow(list(jobs), wait_s), strict=True))
        done: list[Result | ChartsealError] = []
        for entry, item in zip(entries, prepared, strict=True):
            made: Result | ChartsealError
            if isinstance(item, Placed):
                end = ends[item.job]
                made = end if isinstance(end, ChartsealError) else self._sent(entry, item, end)
            elif isinstance(item, Noted):
                made = await self._noted(item, wait_s)
            else:
                made = item
            if whole and isinstance(made, ChartsealError):
                raise made
            done.append(made)
        return done

    async def _follow(
        self, jobs: Sequence[bytes], wait_s: int
    ) -> list[TxStatus | ChartsealError]:
        async def one(job: bytes) -> TxStatus | ChartsealError:
            try:
                return await self._desk.follow(job, timeout_s=wait_s)
            except ChartsealError as error:
                return error

        return list(await asyncio.gather(*map(one, jobs)))

    # --- on a worker -------------------------------------------------------------------------

    def _prepare(self, entries: Sequence[Entry], *, whole: bool) -> list[Ended]:
        """Keep everything that must be kept, and make the transactions."""
        people = People(self._directory)
        found: dict[int, Ended] = {}
        for at, entry in enumerate(entries):
            if entry.error is not None:
                found[at] = entry.error
            elif entry.type == "Patient":
                found[at] = self._attempt(partial(self._register, people, entry), whole=whole)
        items: dict[int, Item] = {}
        for at, entry in enumerate(entries):
            if at in found or entry.type == "AuditEvent":
                continue
            made = self._attempt(partial(self._item, people, entry), whole=whole)
            if isinstance(made, ChartsealError):
                found[at] = made
            else:
                items[at] = made
        for group in _groups(items, whole=whole):
            found |= self._place(group, items, whole=whole)
        # Audit events last, so that a refusal above leaves none behind.
        events = [at for at in range(len(entries)) if at not in found]
        for together in [events] if whole else [[at] for at in events]:
            found |= self._note(together, entries, whole=whole)
        return [found[at] for at in range(len(entries))]

    @staticmethod
    def _attempt(step: Callable[[], T], *, whole: bool) -> T | ChartsealError:
        try:
            return step()
        except ChartsealError as error:
            if whole:
                raise
            return error

    def _register(self, people: People, entry: Entry) -> Result:
        new = people.register(entry)
        assert entry.subject is not None, "registering gives a subject"
        location = f"Patient/{entry.subject.hex()}"
        status = "201 Created" if new else "200 OK"
        return Result(status, patient.shown(entry.subject), location)

    def _item(self, people: People, entry: Entry) -> Item:
        item = Item(octets=entry.octets, type=entry.type, retry=entry.retry)
        if entry.type == "Consent":
            orgs = institution_ids(self._service.book.read)
            words = ConsentWords(entry, people, org=self._service.node_id, orgs=orgs)
            item = replace(item, more=words.ops)
        else:
            entry.subject = people.of(entry.tree)
        return replace(item, subject=entry.subject)

    def _place(
        self, group: Sequence[int], items: dict[int, Item], *, whole: bool
    ) -> dict[int, Ended]:
        try:
            placed = self._desk.place([items[at] for at in group])
        except ChartsealError as error:
            if whole:
                raise
            if len(group) == 1:
                return {group[0]: error}
            found: dict[int, Ended] = {}
            for at in group:  # one of them is at fault: each for itself
                found |= self._place([at], items, whole=whole)
            return found
        return dict(zip(group, placed, strict=True))

    def _note(
        self, group: Sequence[int], entries: Sequence[Entry], *, whole: bool
    ) -> dict[int, Ended]:
        events = [(entries[at].octets, entries[at].retry) for at in group]
        try:
            return dict(zip(group, self._log.note(events), strict=True))
        except ChartsealError as error:
            if whole:
                raise
            return dict.fromkeys(group, error)

    # --- what is answered --------------------------------------------------------------------

    def _sent(self, entry: Entry, item: Placed, end: TxStatus) -> Result:
        raw = Anchoring(
            commitment=item.commitment,
            type=entry.type,
            kind="anchor",
            org=self._service.node_id,
            txid=end.txid,
            height=end.height,
            time_ms=self._time_ms(end.height),
        )
        done = end.state == "committed"
        status = "202 Accepted" if not done else "200 OK" if item.repeated else "201 Created"
        location = f"{entry.type}/{anchored.local_id(item.commitment)}"
        notes = [] if entry.subject is not None or not _is_about(entry) else [_UNKNOWN]
        return Result(status, provenance(raw), location, notes, end.txid)

    async def _noted(self, item: Noted, wait_s: int) -> Result | ChartsealError:
        try:
            await self._log.anchor(item.number, timeout_s=wait_s)
        except ChartsealError as error:
            return error
        batch = await answers.off_loop(self._log.batch_of, item.number)
        made = Anchoring(
            commitment=item.commitment,
            type="AuditEvent",
            kind="anchor",
            org=self._service.node_id,
            txid=None if batch is None else batch.txid,
            height=None if batch is None else batch.height,
            time_ms=self._time_ms(None) if batch is None else batch.time_ms,
        )
        location = f"AuditEvent/{anchored.local_id(item.commitment)}"
        if batch is None:
            return Result("202 Accepted", provenance(made), location, [_WAITS])
        status = "200 OK" if item.repeated else "201 Created"
        return Result(status, provenance(made), location, [], batch.txid)

    def _time_ms(self, height: int | None) -> int:
        """Return the time of a block; of the newest one for what is not ordered yet."""
        row = None if height is None else self._service.store.block(height)
        if row is None:
            return self._service.book.tip.time_ms
        return blocks.decode_header(row.header).time_ms


def _is_about(entry: Entry) -> bool:
    """Return whether a resource names a patient at all."""
    return patient.about(entry.tree) != (None, None)


def _groups(items: dict[int, Item], *, whole: bool) -> list[list[int]]:
    """Return which items go into one transaction together."""
    if whole:
        return [list(items)] if items else []
    plain = [at for at, item in items.items() if item.more is None]
    alone = [[at] for at, item in items.items() if item.more is not None]
    return [plain[at : at + CHUNK] for at in range(0, len(plain), CHUNK)] + alone


def _answered(item: Result | ChartsealError) -> Resource:
    """Return the entry of a response Bundle."""
    if isinstance(item, ChartsealError):
        issue = forms.issue(item.code, item.entry.title, item.entry.status, item.detail)
        response: Resource = {
            "status": str(item.entry.status),
            "outcome": forms.outcome(issue),
        }
        return {"response": response}
    response = {"status": item.status}
    if item.location is not None:
        response["location"] = item.location
    if item.notes:
        response["outcome"] = forms.outcome(*item.notes)
    return {"resource": item.resource, "response": response}


def _wait_s(request: web.Request) -> int:
    """Return how long to wait for the ledger: ``Prefer: wait=N``, none for respond-async."""
    prefer = ", ".join(request.headers.getall("Prefer", []))
    if match := _WAIT.search(prefer):
        return min(int(match[1]), WAIT_S_MAX)
    return 0 if "respond-async" in prefer else WAIT_S_DEFAULT

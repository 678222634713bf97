"""Posted resources before anything is done with them: entries, patients, ways, consents.

Owns: reading a Bundle of type transaction or batch (hl7.org/fhir/R4/http.html#transaction) into
entries with their exact octets, finding whose they are, and which way each goes: a patient is
registered, an audit event goes into the local log, everything else is anchored; a consent is
put on the ledger as well.  Refuses: updates, deletes and reads in a Bundle; nothing here can be
changed or fetched.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import nacl.utils

from consensus import wire
from node.errors import ChartsealError
from node.fhir import patient as patients
from node.fhir.consent import Choices, read_consent
from node.fhir.consent_codes import COMMITMENT, NotMapped
from node.fhir.types import TYPES
from node.ledger.facts.consent_rows import CID_BYTES
from node.ledger.families.consent import INK, PROXY, Revoke
from node.ledger.transaction import ORG_PATTERN, Op
from node.patients import Patients
from node.record_files import bundle_entries, strict_json

ENTRIES_MAX: Final = 400  # of a transaction: what one transaction of the ledger holds
BATCH_ENTRIES_MAX: Final = 2000
RETRY_CHARACTERS_MAX: Final = 512
TRANSACTION: Final = "transaction"
BATCH: Final = "batch"
_SUBJECT: Final = re.compile(r"Patient/([0-9a-f]{64})")
_CONDITIONAL: Final = re.compile(r"Patient\?identifier=(.{1,512})")
_CID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(slots=True)
class Entry:
    """A posted resource.  ``retry``: name under which a repetition is known; ``subject``:
    whose it is, where that is known; ``error``: why it goes nowhere."""

    octets: bytes
    tree: Mapping[str, Any]
    type: str
    full_url: str | None = None
    retry: bytes | None = None
    subject: bytes | None = None
    error: ChartsealError | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """``kind``: transaction or batch."""

    kind: str
    entries: list[Entry] = field(default_factory=list)


def read_one(raw: bytes, kind: str, retry: bytes | None) -> Entry:
    """Return the resource in ``raw``, which must be of type ``kind``."""
    tree = strict_json(raw)
    if type(tree) is not dict or tree.get("resourceType") != kind:
        raise ChartsealError("fhir-malformed", f"resourceType is not {kind}")
    if kind not in TYPES:
        raise ChartsealError("fhir-type-unknown")
    return Entry(raw, tree, kind, retry=retry)


def read_bundle(raw: bytes, *, caller: str, key: str | None) -> Posted:
    """Return the entries of a Bundle.  ``caller`` and ``key`` (of the whole request) name
    repetitions, and so does ``request.ifNoneExist`` of an entry.

    Raises ``ChartsealError`` for what makes the Bundle no Bundle; what is wrong with one entry
    stands in it.
    """
    pieces = bundle_entries(raw)
    tree = strict_json(raw)
    kind = tree.get("type")
    if kind not in (TRANSACTION, BATCH):
        raise ChartsealError("fhir-malformed", "a Bundle of type transaction or batch")
    listed = tree.get("entry", [])
    most = ENTRIES_MAX if kind == TRANSACTION else BATCH_ENTRIES_MAX
    if len(listed) > most:
        raise ChartsealError("body-too-large", f"at most {most} entries in a {kind}")
    if len(pieces) != len(listed):
        raise ChartsealError("fhir-malformed", "every entry needs a resource")
    entries = []
    for (number, octets), item in zip(pieces, listed, strict=True):
        default = None if key is None else retry_name(caller, "Bundle", f"{key}#{number}")
        entries.append(_entry(octets, item, caller, default))
    return Posted(kind, entries)


def retry_name(caller: str, kind: str, key: str) -> bytes:
    """Return the name of a repetition: of this caller, for this type."""
    if not 1 <= len(key) <= RETRY_CHARACTERS_MAX:
        raise ChartsealError("bad-request", f"1 to {RETRY_CHARACTERS_MAX} characters")
    return "\x00".join((caller, kind, key)).encode()


def _entry(octets: bytes, item: Any, caller: str, retry: bytes | None) -> Entry:
    tree, url = item.get("resource"), item.get("fullUrl")
    kind = tree.get("resourceType") if type(tree) is dict else None
    made = Entry(octets, tree if type(tree) is dict else {}, str(kind), retry=retry)
    made.full_url = url if type(url) is str else None
    request = item.get("request")
    if kind not in TYPES:
        made.error = ChartsealError("fhir-type-unknown")
    elif type(request) is not dict or request.get("method") != "POST":
        made.error = ChartsealError("fhir-malformed", "request.method must be POST")
    elif request.get("url") not in (kind, f"/{kind}"):
        made.error = ChartsealError("fhir-malformed", "request.url must be the resource type")
    elif type(request.get("ifNoneExist")) is str:
        made.retry = retry_name(caller, str(kind), request["ifNoneExist"])
    return made


class People:
    """Whose resources are: patients of the Bundle itself, then those registered here."""

    def __init__(self, directory: Patients) -> None:
        self._directory = directory
        self._here: dict[str, bytes] = {}

    def register(self, entry: Entry) -> bool:
        """Register the Patient in ``entry``; return whether it is new."""
        try:
            named = patients.identifiers(entry.tree)
        except ValueError as error:
            raise ChartsealError("fhir-malformed", str(error)) from None
        entry.subject, new = self._directory.register(named)
        own = entry.tree.get("id")
        for url in (entry.full_url, f"Patient/{own}" if type(own) is str else None):
            if url is not None:
                self._here[url] = entry.subject
        return new

    def of(self, tree: Mapping[str, Any]) -> bytes | None:
        """Return the subject that a resource is about, if this node knows the patient."""
        named, reference = patients.about(tree)
        if named is not None:
            found = self.by_identifier(named)
            if found is not None:
                return found
        return None if reference is None else self.by_reference(reference)

    def by_identifier(self, named: patients.Identifier) -> bytes | None:
        if named.system == patients.SUBJECT_SYSTEM:
            return self._own(named.value)
        return self._directory.find(named)

    def by_reference(self, reference: str) -> bytes | None:
        if reference in self._here:
            return self._here[reference]
        if match := _SUBJECT.fullmatch(reference):
            return self._own(match[1])
        if match := _CONDITIONAL.fullmatch(reference):
            try:
                return self._directory.find(patients.Identifier.read(match[1]))
            except ValueError:
                return None
        return None

    def _own(self, text: str) -> bytes | None:
        if not _SUBJECT.fullmatch(f"Patient/{text}"):
            return None
        subject = bytes.fromhex(text)
        return subject if self._directory.knows(subject) else None


class ConsentWords:
    """A posted Consent as operations: made once, then given the commitment of its form."""

    def __init__(self, entry: Entry, people: People, *, org: str, orgs: Sequence[str]) -> None:
        subject = people.of(entry.tree)
        if subject is None:
            raise ChartsealError("patient-unknown", "the patient of the Consent")

        def resolve(reference: str) -> bytes | str | None:
            name = reference.removeprefix("Organization/")
            if name != reference and ORG_PATTERN.fullmatch(name):
                return name if name in orgs else None
            return people.by_reference(reference)

        tree = {**entry.tree, "patient": patients.reference(subject)}
        self._formed = "sourceReference" not in tree  # the posted Consent is its own form
        if self._formed:
            tree["sourceReference"] = {
                "identifier": {"system": COMMITMENT, "value": bytes(32).hex()}
            }
        own = entry.tree.get("id")
        known = type(own) is str and _CID.fullmatch(own) is not None
        cid = bytes.fromhex(str(own)) if known else nacl.utils.random(CID_BYTES)
        try:
            mapped = read_consent(tree, resolve, Choices(cid, custodian=org, how=INK))
        except NotMapped as error:
            raise ChartsealError("fhir-consent-unsupported", str(error)) from None
        if not mapped.active and not known:
            raise ChartsealError(
                "fhir-consent-unsupported",
                "an inactive Consent needs the id of the one it ends",
            )
        self._grant, self._active = mapped.grant, mapped.active
        entry.subject = subject

    def ops(self, commitment: bytes) -> list[Op]:
        """Return the operations; ``commitment`` is that of the posted form, which stands for
        paper: over this interface no patient signs."""
        grant = self._grant
        how = PROXY if grant.how == PROXY else INK
        if not self._active:
            return [Op("consent.revoke", wire.to_value(Revoke(grant.cid, how, commitment)))]
        source = commitment if self._formed else grant.source
        form = replace(grant, how=how, source=source)
        return [Op("consent.grant", wire.to_value(form))]

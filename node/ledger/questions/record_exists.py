"""Does an examination of some kind exist that I may see?  Before it is made a second time.

The patient, or the institution that drew them, discloses one-time tags; the tags find anchors,
and consent decides about the data class.  Tags stand in the index, which no state root covers:
the answer is not provable, and an item of a batch, which carries no tag, is not found.  A
commitment that is named here can be asked about with ``record.status``, which is.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import Facts, Question
from node.ledger.facts import consents, custody, people
from node.ledger.facts.consent_terms import NO_SUBJECT
from node.ledger.facts.records import LIVE, RecordRow
from node.ledger.families.record import tag_prefix
from node.ledger.state import load_from

TAGS_MAX: Final = 100
OF_TAG_MAX: Final = 100  # a tag is meant for one anchor


@dataclass(frozen=True, slots=True)
class Sought:
    """``requester`` wants records of ``data_class`` about ``subject`` for a ``purpose`` (HL7
    PurposeOfUse).  ``tags``: 1 to 100 one-time tags of 16 bytes that were disclosed to them.
    ``since_ms``: none older.  ``practitioner``: licence of whoever asks there."""

    subject: bytes
    requester: str
    purpose: str
    data_class: int
    tags: tuple[bytes, ...]
    since_ms: int = 0
    practitioner: bytes | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.tags) <= TAGS_MAX or any(len(tag) != 16 for tag in self.tags):
            raise ValueError("tags are 1 to 100, of 16 bytes each")
        self.request("unknown")

    def request(self, custodian: str) -> consents.Request:
        """Return what consent is asked; raises ``ValueError`` for what cannot be asked."""
        return consents.Request(
            subject=self.subject,
            custodian=custodian,
            requester=self.requester,
            purpose=self.purpose,
            data_class=self.data_class,
            practitioner=self.practitioner,
        )


@dataclass(frozen=True, slots=True)
class Examination:
    """A live record of the class that was asked for.  ``custodian``: whom to ask for it."""

    commitment: bytes
    custodian: str
    version: int
    anchored_ms: int


@dataclass(frozen=True, slots=True)
class Existing:
    """``permitted``, ``reason`` and ``basis``: the consent decision for the whole class at the
    institution that knows the subject; ``filtered``: it permits part of it only, and who
    releases the data filters.  ``unclassed``: live anchors under the tags that state no class,
    or were indexed before classes were."""

    permitted: bool
    reason: str
    basis: bytes | None
    filtered: bool
    found: tuple[Examination, ...]
    unclassed: int
    complete: bool  # false: a tag has more anchors than are looked at


def _exists(facts: Facts, asked: Sought) -> Existing:
    patient = people.patient(facts.get, asked.subject)
    if patient is None:
        decision = consents.Decision(permit=False, reason=NO_SUBJECT)
    else:
        decision = consents.evaluate(
            facts.get,
            asked.request(patient.org),
            time_ms=facts.time_ms,
            height=facts.height,
        )
    found: dict[bytes, Examination] = {}
    unclassed, complete = set[bytes](), True
    for tag in dict.fromkeys(asked.tags):
        rows = list(facts.scan(tag_prefix(tag), limit=OF_TAG_MAX + 1))
        complete = complete and len(rows) <= OF_TAG_MAX
        for _, value in rows[:OF_TAG_MAX]:
            commitment, stated = value[:32], value[32:]
            if stated and stated[0] != asked.data_class:
                continue
            seen = _live(facts, commitment)
            if seen is None or seen.anchored_ms < asked.since_ms:
                continue
            if stated:
                found[commitment] = seen
            else:
                unclassed.add(commitment)
    return Existing(
        permitted=decision.permit,
        reason=decision.reason,
        basis=decision.basis,
        filtered=bool(decision.residual),
        found=tuple(found.values()),
        unclassed=len(unclassed),
        complete=complete,
    )


def _live(facts: Facts, commitment: bytes) -> Examination | None:
    place = custody.place_of(commitment, None)
    row = load_from(facts.get, RecordRow, place)
    if row is None or row.status != LIVE:
        return None
    custodian = custody.care_of(facts.get, place).custodian or row.org
    return Examination(commitment, custodian, row.version, row.time_ms)


QUESTIONS: Final = (
    Question(
        "record.exists",
        Sought,
        Existing,
        _exists,
        "Does an examination of this class exist elsewhere, and may it be seen?",
        provable=False,
    ),
)

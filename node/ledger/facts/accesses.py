"""Accesses in state: one row for each request, and the log of each patient that nobody thins.

Everything that touches a patient's data is an *event* with a number of its own under the
patient: request, decision, release, acknowledgement, break-glass, review, disclosure, and each
time that somebody did not answer in time.  Events are never changed or removed.  The head of
a log says how many there are and chains their bytes: whoever has the head, proven, can tell a
log that lacks an event, or in which one was changed (``node.ledger.accounting``).

Bounded: ``RELEASES_MAX`` releases of ``ITEMS_MAX`` records for one request, so at most
``3 * RELEASES_MAX + 5`` events of one request; every row is smaller than 20 KB.

State: ``access/<rid>`` -> ``AccessRow``; ``access-release/<rid><number be32>`` ->
``ReleaseRow``; ``access-log/<subject>`` -> ``LogHead``; ``access-log/<subject>/<number be64>``
-> ``Event``; ``access-by/<licence>``: a numbered list of ``Named``.  Numbers count from 0.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from consensus import wire
from node.ledger.facts import numbered
from node.ledger.rules import Moment
from node.ledger.state import Read, load_from

OPEN: Final = "open"
PERMITTED: Final = "permitted"
DENIED: Final = "denied"
STOPPED: Final = "stopped"
SENT: Final = "sent"
RELEASES_MAX: Final = 16
ITEMS_MAX: Final = 256
_ITEMS_TAG: Final = b"chartseal/released/v1\x00"
_LOG_TAG: Final = b"chartseal/access-log/v1\x00"


@dataclass(frozen=True, slots=True)
class AccessRow:
    """A request, or a glass that was broken, and what became of it.

    Absent data class, labels or period: all of it.  ``basis`` and ``residual`` are the
    decision's, see ``node.ledger.facts.consents``.
    """

    rid: bytes
    subject: bytes
    custodian: str
    requester: str
    purpose: str
    data_class: int | None
    labels: tuple[str, ...]
    practitioner: bytes | None  # commitment to a licence
    data_from_ms: int | None
    data_until_ms: int | None
    until_ms: int  # releases end here
    seal_key: bytes  # X25519: for whom keys are wrapped
    glass: str | None  # reason for breaking the glass; none for a request
    status: str  # open, permitted, denied, stopped
    basis: bytes | None
    residual: bytes | None
    releases: int
    finding: str | None  # of the review of a broken glass
    events: tuple[int, ...]  # numbers in the patient's log
    time_ms: int
    height: int


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """What a custodian handed over: commitments, in order, and the digest of key wraps.

    ``digest`` is ``items_digest`` of the commitments.
    """

    rid: bytes
    number: int
    commitments: tuple[bytes, ...]
    digest: bytes
    wraps: bytes
    status: str  # sent, ok, or how what arrived differs
    arrived: bytes | None  # digest of what the recipient got
    time_ms: int
    height: int


@dataclass(frozen=True, slots=True)
class LogHead:
    """How many events a patient's log has, and the hash that chains all of them."""

    count: int
    chain: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a patient's access log: who, when, which data, why.

    ``org`` acted.  ``reason`` is a code: of a decision, a broken glass, a finding, a receipt,
    the kind of recipient of a disclosure, or what was not done in time.  ``basis`` is what a
    decision rests on (``node.ledger.facts.consents``).  ``items`` records
    with ``digest`` over their commitments were handed over.  ``happened_ms`` is earlier than
    the block's ``time_ms`` when a disclosure is noted afterwards.
    """

    number: int
    event: str  # request, permit, deny, release, receipt, glass, review, disclosure, overdue
    rid: bytes
    org: str
    custodian: str
    recipient: str | None  # none: not on the ledger
    practitioner: bytes | None
    purpose: str
    data_class: int | None
    reason: str | None
    basis: bytes | None
    items: int
    digest: bytes | None
    happened_ms: int
    time_ms: int
    height: int
    txid: bytes | None  # none when a clock did it


@dataclass(frozen=True, slots=True)
class Named:
    """An access in the name of a practitioner."""

    rid: bytes


def access_key(rid: bytes) -> bytes:
    return b"access/" + rid


def release_key(rid: bytes, number: int) -> bytes:
    return b"access-release/" + rid + number.to_bytes(4, "big")


def log_key(subject: bytes) -> bytes:
    return b"access-log/" + subject


def event_key(subject: bytes, number: int) -> bytes:
    return log_key(subject) + b"/" + number.to_bytes(8, "big")


def by_licence(licence: bytes) -> bytes:
    """Return the name of the list of accesses in the name of one licence."""
    return b"access-by/" + licence


def access(read: Read, rid: bytes) -> AccessRow | None:
    return load_from(read, AccessRow, access_key(rid))


def release(read: Read, rid: bytes, number: int) -> ReleaseRow | None:
    return load_from(read, ReleaseRow, release_key(rid, number))


def log_head(read: Read, subject: bytes) -> LogHead:
    """Return the head of a log; one in which nothing happened yet is empty."""
    return load_from(read, LogHead, log_key(subject)) or LogHead(0, bytes(32))


def event(read: Read, subject: bytes, number: int) -> Event:
    found = load_from(read, Event, event_key(subject, number))
    assert found is not None, "events below the count are all there"
    return found


def chained(chain: bytes, row: bytes) -> bytes:
    """Return the head's hash after the event with these canonical bytes."""
    return hashlib.sha256(_LOG_TAG + chain + row).digest()


def items_digest(commitments: Sequence[bytes]) -> bytes:
    """Return the digest of 32-byte commitments in their order: SHA-256 of
    ``chartseal/released/v1``, a zero byte and all of them."""
    return hashlib.sha256(_ITEMS_TAG + b"".join(commitments)).digest()


def first_at(read: Read, subject: bytes, count: int, from_ms: int) -> int:
    """Return the number of the first of ``count`` events at or after ``from_ms``: block times
    never fall, so O(log n) rows tell."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if event(read, subject, middle).time_ms < from_ms:
            low = middle + 1
        else:
            high = middle
    return low


def note(moment: Moment, subject: bytes, happened: Event) -> int:
    """Append ``happened`` to the patient's log; return its number, which it is given here."""
    head = log_head(moment.view.get, subject)
    row = replace(happened, number=head.count, time_ms=moment.time_ms, height=moment.height)
    raw = wire.encode(row)
    moment.view.put(event_key(subject, head.count), raw)
    moment.view.save(log_key(subject), LogHead(head.count + 1, chained(head.chain, raw)))
    return head.count


def event_of(row: AccessRow, name: str, org: str, txid: bytes | None) -> Event:
    """Return the event ``name`` of an access, by ``org``; ``note`` fills in when."""
    return Event(
        number=0,
        event=name,
        rid=row.rid,
        org=org,
        custodian=row.custodian,
        recipient=row.requester,
        practitioner=row.practitioner,
        purpose=row.purpose,
        data_class=row.data_class,
        reason=None,
        basis=None,
        items=0,
        digest=None,
        happened_ms=0,
        time_ms=0,
        height=0,
        txid=txid,
    )


def save(moment: Moment, row: AccessRow, happened: Event) -> None:
    """Note what happened to an access, and keep its new row; a new one is listed under the
    licence in whose name it is."""
    if not row.events and row.practitioner is not None:
        numbered.append(moment.view, by_licence(row.practitioner), Named(row.rid))
    stamped = replace(happened, happened_ms=moment.time_ms)
    number = note(moment, row.subject, stamped)
    moment.view.save(access_key(row.rid), replace(row, events=(*row.events, number)))

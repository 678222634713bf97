"""Questions about accesses: who saw a patient's data, what became of a request, what is late.

All of them read state by key only.  A patient's log is numbered and counted, an
institution's duties are a dense list: a page from which something was left out cannot be
proven (``node.ledger.accounting``).
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import PAGE_MAX, Facts, Question
from node.ledger.facts import access_rules, accesses, audits, duties, numbered
from node.ledger.facts.accesses import AccessRow, Event, Named, ReleaseRow
from node.ledger.facts.duties import DutyRow

_EVER: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class LogPage:
    """Events of ``subject`` from number ``start`` on, at most ``limit``, of the blocks from
    ``from_ms`` until before ``until_ms``."""

    subject: bytes
    start: int = 0
    limit: int = 100
    from_ms: int = 0
    until_ms: int = _EVER


@dataclass(frozen=True, slots=True)
class Log:
    """``count`` events ever, with the hash ``chain`` over all of them; ``events`` of the page,
    by number without a hole from ``first`` on; ``next``: where the period goes on."""

    count: int
    chain: bytes
    first: int
    events: tuple[Event, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Rid:
    """An access by its random name."""

    rid: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """One access from its request to its last receipt; ``late``: what is owed and overdue."""

    known: bool
    access: AccessRow | None
    events: tuple[Event, ...]
    releases: tuple[ReleaseRow, ...]
    late: tuple[DutyRow, ...]


@dataclass(frozen=True, slots=True)
class Now:
    """How ``access.decide`` has to answer, or ``access.release`` may go on, after the block of
    ``height``: ``permit``, ``basis`` with its version and the digest ``residual`` go into it.

    ``live``: a release would be accepted now as far as permit, licence and time are concerned.
    """

    known: bool
    status: str
    permit: bool
    live: bool
    basis: bytes | None
    basis_version: int
    residual: bytes | None
    reason: str
    height: int


@dataclass(frozen=True, slots=True)
class LicencePage:
    """Accesses in the name of ``licence`` from number ``start`` on, at most ``limit``."""

    licence: bytes
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Activity:
    """``count`` requests and broken glasses ever; those of the page, oldest first."""

    count: int
    accesses: tuple[AccessRow, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class DutyPage:
    """Duties of ``org`` from place ``start`` on, at most ``limit`` places are looked at;
    ``waiting``: also those that are not late yet."""

    org: str
    start: int = 0
    limit: int = 100
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Late:
    """``count`` duties are open in all; ``batch_late``: the institution's next batch of local
    audit events is overdue, too."""

    count: int
    duties: tuple[DutyRow, ...]
    batch_late: bool
    next: int | None


def _log(facts: Facts, page: LogPage) -> Log:
    head = accesses.log_head(facts.get, page.subject)
    first = page.start
    if page.from_ms:
        begins = accesses.first_at(facts.get, page.subject, head.count, page.from_ms)
        first = max(first, begins)
    first = min(first, head.count)
    end = min(first + min(max(page.limit, 1), PAGE_MAX), head.count)
    events: list[Event] = []
    for number in range(first, end):
        event = accesses.event(facts.get, page.subject, number)
        if event.time_ms >= page.until_ms:
            return Log(head.count, head.chain, first, tuple(events), None)
        events.append(event)
    after = end if end < head.count else None
    return Log(head.count, head.chain, first, tuple(events), after)


def _story(facts: Facts, page: Rid) -> Told:
    row = accesses.access(facts.get, page.rid)
    if row is None:
        return Told(known=False, access=None, events=(), releases=(), late=())
    releases = (accesses.release(facts.get, row.rid, at) for at in range(row.releases))
    owed = (
        (duties.DECIDE, 0),
        (duties.REVIEW, 0),
        *((duties.ACKNOWLEDGE, at) for at in range(row.releases)),
    )
    found = (duties.find(facts.get, duties.duty_id(kind, row.rid, at)) for kind, at in owed)
    return Told(
        known=True,
        access=row,
        events=tuple(accesses.event(facts.get, row.subject, at) for at in row.events),
        releases=tuple(item for item in releases if item is not None),
        late=tuple(item[1] for item in found if item and item[1].due_ms <= facts.time_ms),
    )


def _verdict(facts: Facts, page: Rid) -> Now:
    row = accesses.access(facts.get, page.rid)
    if row is None:
        return Now(
            known=False,
            status="",
            permit=False,
            live=False,
            basis=None,
            basis_version=0,
            residual=None,
            reason="",
            height=facts.height,
        )
    found = access_rules.verdict_at(facts.get, row, time_ms=facts.time_ms, height=facts.height)
    released = row.status == accesses.PERMITTED and facts.time_ms < row.until_ms
    licensed = access_rules.licensed(facts.get, row.practitioner, facts.time_ms)
    return Now(
        known=True,
        status=row.status,
        permit=found.permit,
        live=released and licensed and found.permit,
        basis=found.basis,
        basis_version=found.basis_version,
        residual=found.residual,
        reason=found.reason,
        height=facts.height,
    )


def _activity(facts: Facts, page: LicencePage) -> Activity:
    name = accesses.by_licence(page.licence)
    named, following = numbered.page(
        facts.get, name, Named, start=page.start, limit=max(page.limit, 1)
    )
    found = (accesses.access(facts.get, item.rid) for item in named)
    return Activity(
        count=numbered.length(facts.get, name),
        accesses=tuple(row for row in found if row is not None),
        next=following,
    )


def _overdue(facts: Facts, page: DutyPage) -> Late:
    count = duties.count_of(facts.get, page.org)
    end = min(page.start + min(max(page.limit, 1), PAGE_MAX), count)
    found = (duties.duty_at(facts.get, page.org, at) for at in range(page.start, end))
    chain = audits.chain(facts.get, page.org)
    return Late(
        count=count,
        duties=tuple(item for item in found if page.waiting or item.due_ms <= facts.time_ms),
        batch_late=chain is not None and facts.time_ms > chain.due_ms,
        next=end if end < count else None,
    )


QUESTIONS: Final = (
    Question("access.log", LogPage, Log, _log, "Who saw my data, when, which, and why?"),
    Question("access.story", Rid, Told, _story, "What became of one access, step by step?"),
    Question(
        "access.verdict", Rid, Now, _verdict, "What do the consents in force say about it?"
    ),
    Question(
        "access.practitioner",
        LicencePage,
        Activity,
        _activity,
        "For whose data has a practitioner asked, or broken the glass?",
    ),
    Question(
        "access.overdue", DutyPage, Late, _overdue, "What has an institution not answered?"
    ),
)

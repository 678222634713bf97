"""Questions about local audit logs: which batches there are, and what they leave out.

Both read state by key only: entries are numbered and counted, so a page that lacks one, or
ends early, is noticed by whoever asks again over the proven rows.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import PAGE_MAX, Facts, Question
from node.ledger.facts import audits
from node.ledger.facts.audits import ChainRow, EntryRow, Span


@dataclass(frozen=True, slots=True)
class Page:
    """Entries of ``org`` from number ``start`` on, at most ``limit``."""

    org: str
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Batches:
    """``known``: the institution has begun a chain; ``late``: its next batch is overdue."""

    known: bool
    late: bool
    chain: ChainRow | None
    entries: tuple[EntryRow, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Gaps:
    """``spans``: what is not accounted for, as far as entries ``start`` to ``next`` tell; with
    the last page also the time since the last entry, once a batch was due.

    ``late``: numbers of batches that came after they were due: what they account for could
    still be changed in the meantime.
    """

    known: bool
    entries: int
    spans: tuple[Span, ...]
    late: tuple[int, ...]
    next: int | None


def _end(page: Page, chain: ChainRow) -> int:
    return min(page.start + min(max(page.limit, 1), PAGE_MAX), chain.entries)


def _chain(facts: Facts, page: Page) -> Batches:
    chain = audits.chain(facts.get, page.org)
    if chain is None:
        return Batches(known=False, late=False, chain=None, entries=(), next=None)
    end = _end(page, chain)
    found = tuple(audits.entry(facts.get, page.org, at) for at in range(page.start, end))
    return Batches(
        known=True,
        late=facts.time_ms > chain.due_ms,
        chain=chain,
        entries=found,
        next=end if end < chain.entries else None,
    )


def _gaps(facts: Facts, page: Page) -> Gaps:
    chain = audits.chain(facts.get, page.org)
    if chain is None:
        return Gaps(known=False, entries=0, spans=(), late=(), next=None)
    end = _end(page, chain)
    found = list(audits.spans(facts.get, chain, start=page.start, end=end))
    last = end >= chain.entries
    if last and (still_open := audits.open_span(chain, facts.time_ms)) is not None:
        found.append(still_open)
    return Gaps(
        known=True,
        entries=chain.entries,
        spans=tuple(found),
        late=tuple(
            at
            for at in range(page.start, end)
            if audits.entry(facts.get, page.org, at).late_ms > 0
        ),
        next=None if last else end,
    )


QUESTIONS: Final = (
    Question(
        "access.chain",
        Page,
        Batches,
        _chain,
        "Which batches of its local audit log has an institution put on the ledger?",
    ),
    Question(
        "access.gaps",
        Page,
        Gaps,
        _gaps,
        "For which times does an institution's audit log account for nothing?",
    ),
)

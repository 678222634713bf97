"""Family ``identity``, directory: public facts about providers, kept by no registry owner.

Any member asserts a fact about an institution or about a licence, for so many days; other
members attest or challenge it.  The ledger does not know who is right: it keeps who said what,
when and until when, and says how a fact stands (``node.ledger.facts.directory``).  A fact goes
stale unless somebody stands for it again; nothing is taken away.

Nothing here is about patients.  A value is public and fits the pattern of its kind, and only
an institution's fact has one; about a licence there is a digest of the statement alone.

State and bounds: ``node.ledger.facts.directory``; ``VOICES_MAX`` of one fact and
``VOICES_OF_ONE_MAX`` of one member, then it must be asserted anew.  No clock fires:
whoever asks compares with block time.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import numbered
from node.ledger.facts.directory import (
    ASSERTED,
    REPLACED,
    STALE,
    VOICES_MAX,
    VOICES_OF_ONE_MAX,
    WITHDRAWN,
    FactName,
    FactRow,
    Voice,
    fact_key,
    fact_row,
    facts_of,
    reliance,
)
from node.ledger.facts.keys import ORG_UNKNOWN
from node.ledger.facts.people import LICENCE_UNKNOWN, practitioner
from node.ledger.facts.words import known, sized
from node.ledger.facts.words_identity import DIRECTORY_FACTS, LICENCE_FACTS, matching
from node.ledger.rules import Context, Operation, Refused, Result
from node.ledger.state import institution
from node.ledger.transaction import ORG_PATTERN

DAY_MS: Final = 86_400_000
DAYS_MAX: Final = 400

EXISTS: Final = Result(244, "identity-fact-known", "A fact of that name is asserted already.")
UNKNOWN: Final = Result(245, "identity-fact-unknown", "No such fact in the directory.")
OVER: Final = Result(246, "identity-fact-over", "That fact is stale, replaced or withdrawn.")
OWN: Final = Result(
    247, "identity-fact-own", "The institution that asserted a fact cannot judge it."
)
NOT_YOURS: Final = Result(
    248, "identity-fact-not-yours", "Another institution asserted that fact."
)
FULL: Final = Result(249, "identity-fact-full", "Enough was said; assert the fact anew.")
RESULTS: Final = (EXISTS, UNKNOWN, OVER, OWN, NOT_YOURS, FULL)


def _days(days: int) -> None:
    if not 1 <= days <= DAYS_MAX:
        raise ValueError("days are 1 to 400")


@dataclass(frozen=True, slots=True)
class Assert:
    """``fact``: 32 random bytes to know it by; ``digest``: of the whole public statement;
    ``about``: the institution, or else ``licence``; ``value``: what is said, only of an
    institution; ``replaces``: an earlier fact of the same author that this one corrects."""

    fact: bytes
    kind: str
    digest: bytes
    days: int
    about: str | None = None
    licence: bytes | None = None
    value: str | None = None
    replaces: bytes | None = None

    def __post_init__(self) -> None:
        sized(self.fact, 32, "fact")
        sized(self.digest, 32, "digest")
        sized(self.licence, 32, "licence")
        sized(self.replaces, 32, "replaces")
        _days(self.days)
        if (self.about is None) == (self.licence is None):
            raise ValueError("name the institution or the licence that it is about")
        if self.about is None:
            known(self.kind, LICENCE_FACTS, "kind")
            if self.value is not None:
                raise ValueError("a fact about a licence has no value")
            return
        known(self.kind, tuple(DIRECTORY_FACTS), "kind")
        matching(self.about, ORG_PATTERN, "about")
        matching(self.value or "", DIRECTORY_FACTS[self.kind], "value")


@dataclass(frozen=True, slots=True)
class Judge:
    """``days``: for how long this word stands; ``reason``: commitment to a document."""

    fact: bytes
    days: int
    reason: bytes | None = None

    def __post_init__(self) -> None:
        sized(self.fact, 32, "fact")
        sized(self.reason, 32, "reason")
        _days(self.days)


@dataclass(frozen=True, slots=True)
class Withdraw:
    fact: bytes

    def __post_init__(self) -> None:
        sized(self.fact, 32, "fact")


def _asserted(context: Context, fact: bytes) -> FactRow:
    row = fact_row(context.view.get, fact)
    if row is None:
        raise Refused(UNKNOWN)
    if row.status != ASSERTED:
        raise Refused(OVER)
    return row


def _close(context: Context, fact: bytes, status: str) -> FactRow:
    """End a fact of the author's own and return how it stood."""
    row = _asserted(context, fact)
    if row.by != context.org.id:
        raise Refused(NOT_YOURS)
    ended = replace(row, status=status, ended_height=context.height, ended_ms=context.time_ms)
    context.view.save(fact_key(fact), ended)
    return row


def _assert(context: Context, body: Assert) -> None:
    view = context.view
    if fact_row(view.get, body.fact) is not None:
        raise Refused(EXISTS)
    if body.about is not None and institution(view, body.about) is None:
        raise Refused(ORG_UNKNOWN)
    if body.licence is not None and practitioner(view.get, body.licence) is None:
        raise Refused(LICENCE_UNKNOWN)
    if body.replaces is not None:
        before = _close(context, body.replaces, REPLACED)
        same = (before.kind, before.about, before.licence)
        if same != (body.kind, body.about, body.licence):
            raise Refused(UNKNOWN)
    row = FactRow(
        fact=body.fact,
        kind=body.kind,
        by=context.org.id,
        about=body.about,
        licence=body.licence,
        value=body.value,
        digest=body.digest,
        height=context.height,
        time_ms=context.time_ms,
        until_ms=context.time_ms + body.days * DAY_MS,
        status=ASSERTED,
    )
    view.save(fact_key(body.fact), row)
    numbered.append(view, facts_of(body.about, body.licence), FactName(body.fact))


def _say(context: Context, body: Judge, *, agrees: bool) -> None:
    row = _asserted(context, body.fact)
    if reliance(row, context.time_ms).standing == STALE:
        raise Refused(OVER)
    if row.by == context.org.id:
        raise Refused(OWN)
    own = sum(voice.org == context.org.id for voice in row.voices)
    if len(row.voices) >= VOICES_MAX or own >= VOICES_OF_ONE_MAX:
        raise Refused(FULL)
    voice = Voice(
        context.org.id,
        agrees,
        body.reason,
        context.height,
        context.time_ms,
        context.time_ms + body.days * DAY_MS,
    )
    heard = replace(row, voices=(*row.voices, voice))
    context.view.save(fact_key(body.fact), heard)


def _attest(context: Context, body: Judge) -> None:
    _say(context, body, agrees=True)


def _challenge(context: Context, body: Judge) -> None:
    _say(context, body, agrees=False)


def _withdraw(context: Context, body: Withdraw) -> None:
    _close(context, body.fact, WITHDRAWN)


_ANY: Final[frozenset[str]] = frozenset()
OPERATIONS: Final = (
    Operation(
        "identity.directory.assert",
        Assert,
        _assert,
        _ANY,
        "State a public fact about an institution or a licence.",
    ),
    Operation(
        "identity.directory.attest",
        Judge,
        _attest,
        _ANY,
        "Confirm a fact that another member asserted.",
    ),
    Operation(
        "identity.directory.challenge",
        Judge,
        _challenge,
        _ANY,
        "Dispute a fact that another member asserted.",
    ),
    Operation(
        "identity.directory.withdraw", Withdraw, _withdraw, _ANY, "Take back a fact of yours."
    ),
)

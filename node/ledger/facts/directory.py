"""Facts of the provider directory in state, and how far they can be relied upon.

State: ``directory/<fact>`` -> ``FactRow``; ``directory-of/o/<org>`` and
``directory-of/l/<licence>`` numbered lists of ``FactName``.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.state import Read, load_from

FRESH: Final = "fresh"
STALE: Final = "stale"
DISPUTED: Final = "disputed"
ASSERTED: Final = "asserted"
REPLACED: Final = "replaced"
WITHDRAWN: Final = "withdrawn"
VOICES_MAX: Final = 64
VOICES_OF_ONE_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Voice:
    """What another institution said about a fact: its last word counts, until its time."""

    org: str
    agrees: bool
    reason: bytes | None  # commitment to a document
    height: int
    time_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class FactRow:
    """One fact about an institution (``about``) or a licence, as ``by`` asserted it."""

    fact: bytes
    kind: str
    by: str
    about: str | None
    licence: bytes | None
    value: str | None
    digest: bytes
    height: int
    time_ms: int
    until_ms: int
    status: str  # asserted, replaced, withdrawn
    ended_height: int | None = None
    ended_ms: int | None = None
    voices: tuple[Voice, ...] = ()


@dataclass(frozen=True, slots=True)
class FactName:
    fact: bytes


@dataclass(frozen=True, slots=True)
class Reliance:
    """How a fact stands: fresh, stale, disputed, replaced or withdrawn; who is for it (with
    the one that asserted it) and against, in time; until when somebody answers for it."""

    standing: str
    supports: int
    challenges: int
    fresh_until_ms: int


def fact_key(fact: bytes) -> bytes:
    return b"directory/" + fact


def facts_of(about: str | None, licence: bytes | None) -> bytes:
    """Return the list of facts about an institution or, without one, about a licence."""
    if about is not None:
        return b"directory-of/o/" + about.encode()
    return b"directory-of/l/" + (licence or b"")


def fact_row(read: Read, fact: bytes) -> FactRow | None:
    return load_from(read, FactRow, fact_key(fact))


def reliance(row: FactRow, now_ms: int) -> Reliance:
    """Return how ``row`` stands at ``now_ms``.

    A fact is disputed when at least as many members challenge as stand for it; it is stale
    when nobody who stands for it does so any longer.
    """
    last = {voice.org: voice for voice in row.voices}
    heard = [voice for voice in last.values() if now_ms < voice.until_ms]
    challenges = sum(not voice.agrees for voice in heard)
    supports = sum(voice.agrees for voice in heard) + (now_ms < row.until_ms)
    untils = [voice.until_ms for voice in last.values() if voice.agrees]
    fresh_until_ms = max([row.until_ms, *untils])
    if row.status != ASSERTED:
        standing = row.status
    elif fresh_until_ms <= now_ms:
        standing = STALE
    else:
        standing = DISPUTED if challenges >= supports else FRESH
    return Reliance(standing, supports, challenges, fresh_until_ms)

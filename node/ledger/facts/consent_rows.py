"""Consents in state: versions, opt-outs, laws, policies, and how to read them at any height.

Nothing here is ever overwritten that someone may ask about later: a consent's versions, a
subject's list, opt-outs, delegations, laws and policies are numbered rows with the heights
between which they were in force, so "at height h" has an answer from the current state.  A
height means "after the block of that height"; periods are half open (until is excluded).

State: ``consent/<cid>`` -> ``ConsentHead``, ``.../<version be32>`` -> ``ConsentRow``;
``consent-of/<subject>`` -> ``SubjectRow``, ``.../<number be32>`` -> ``Listed``;
``consent-out/<subject>/<scope>`` -> ``Count``, ``.../<number be32>`` -> ``OptOutRow``;
``consent-laws/<purpose>`` and ``consent-laws/<purpose>/<subject>`` -> ``LawList``;
``consent-law/<id>`` -> ``Count``, ``.../<version be32>`` -> ``LawRow``;
``consent-policy/<id>`` -> ``Count``, ``.../<version be32>`` -> ``PolicyRow``;
``consent-implicit`` -> ``Count``, ``consent-implicit/<number be32>`` -> ``PolicyRow``.

Bounds: ``OPEN_MAX`` consents in force and ``EVER_MAX`` in all per subject, ``LAWS_MAX`` law
versions ever in one list.
"""

import re
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from node.ledger.facts.consent_rule import Rule
from node.ledger.state import Read, load_from

OPEN_MAX: Final = 64
EVER_MAX: Final = 4096
LAWS_MAX: Final = 128
CID_BYTES: Final = 16
ID_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")  # of policies and laws

# The default decisions of an overarching policy: IHE PCF, implicit policy option.
BASIC_NORMAL: Final = "basic-normal"
ALL_NORMAL: Final = "all-normal"
BREAK_GLASS_ONLY: Final = "break-glass-only"
DENY: Final = "deny"
DEFAULTS: Final = (ALL_NORMAL, BASIC_NORMAL, BREAK_GLASS_ONLY, DENY)
# What a patient opts out of: exchange for care, every other use, both (EHDS Art. 10 and 71).
PRIMARY: Final = "primary"
SECONDARY: Final = "secondary"
WHOLE: Final = "whole"
OPT_SCOPES: Final = (PRIMARY, SECONDARY, WHOLE)
RULE: Final = "rule"
# Which denials of a patient an emergency may override; a policy lists those that it may.
GLASS: Final = (PRIMARY, RULE, SECONDARY, WHOLE)
# How a version ended.
IN_FORCE: Final = ""
AMENDED: Final = "amended"
REVOKED: Final = "revoked"
EXPIRED: Final = "expired"


@dataclass(frozen=True, slots=True)
class ConsentHead:
    """A consent: whose it is and how many versions there are; versions count from 1."""

    cid: bytes
    subject: bytes
    number: int  # place in the subject's list
    org: str  # who recorded it
    versions: int


@dataclass(frozen=True, slots=True)
class ConsentRow:
    """One version of a consent, in force from ``from_height`` until before ``until_height``."""

    cid: bytes
    version: int
    rule: Rule
    how: str  # signed, ink, proxy
    signer: bytes | None  # the key of the patient or delegate; None: attested by ``org``
    org: str
    source: bytes | None  # commitment to the signed form
    policy: str | None
    txid: bytes
    number: int  # place in the subject's list
    from_height: int
    from_ms: int
    until_height: int | None = None
    ended_ms: int | None = None
    end: str = IN_FORCE  # amended, revoked, expired
    end_txid: bytes | None = None


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """All consents of a subject: how many ever, those still open, when that last changed."""

    count: int
    open: tuple[bytes, ...]
    changed_height: int


@dataclass(frozen=True, slots=True)
class Listed:
    cid: bytes


@dataclass(frozen=True, slots=True)
class Count:
    count: int


@dataclass(frozen=True, slots=True)
class OptOutRow:
    """One time that a patient was opted out of ``scope``."""

    scope: str
    number: int
    signer: bytes | None
    org: str
    source: bytes | None  # commitment to the signed form
    from_height: int
    from_ms: int
    until_height: int | None = None
    ended_ms: int | None = None


@dataclass(frozen=True, slots=True)
class LawRow:
    """A law that stands before every consent: it permits or forbids, whatever a patient says.

    ``custodians``: from whom (empty: any), ``orgs`` and ``roles``: to whom (both empty: any),
    ``classes``: which data (empty: all), ``subject``: only this patient (a court's order).
    A later version replaces it; it holds from ``from_ms`` until before ``until_ms``.
    """

    law: str
    version: int
    org: str  # the regulator
    permit: bool
    purposes: tuple[str, ...]
    custodians: tuple[str, ...]
    orgs: tuple[str, ...]
    roles: tuple[str, ...]
    classes: tuple[int, ...]
    subject: bytes | None
    from_ms: int
    until_ms: int | None
    from_height: int


@dataclass(frozen=True, slots=True)
class LawRef:
    law: str
    version: int
    from_height: int
    until_height: int | None = None


@dataclass(frozen=True, slots=True)
class LawList:
    """All law versions for one purpose, in the order in which they came."""

    laws: tuple[LawRef, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """A version of a policy's text by digest; ``default`` only for overarching ones.

    ``glass``: the denials of a patient that an emergency overrides under this policy.
    """

    policy: str
    version: int
    kind: str  # overarching, basis
    digest: bytes
    default: str | None
    glass: tuple[str, ...]
    org: str
    from_height: int
    from_ms: int


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def consent_key(cid: bytes) -> bytes:
    return b"consent/" + cid


def version_key(cid: bytes, version: int) -> bytes:
    return b"consent/" + cid + b"/" + _number(version)


def subject_key(subject: bytes) -> bytes:
    return b"consent-of/" + subject


def listed_key(subject: bytes, number: int) -> bytes:
    return b"consent-of/" + subject + b"/" + _number(number)


def opt_key(subject: bytes, scope: str) -> bytes:
    return b"consent-out/" + subject + b"/" + scope.encode()


def opt_row_key(subject: bytes, scope: str, number: int) -> bytes:
    return opt_key(subject, scope) + b"/" + _number(number)


def laws_key(purpose: str, subject: bytes | None) -> bytes:
    key = b"consent-laws/" + purpose.encode()
    return key if subject is None else key + b"/" + subject


def law_key(law: str) -> bytes:
    return b"consent-law/" + law.encode()


def law_row_key(law: str, version: int) -> bytes:
    return law_key(law) + b"/" + _number(version)


def policy_key(policy: str) -> bytes:
    return b"consent-policy/" + policy.encode()


def policy_row_key(policy: str, version: int) -> bytes:
    return policy_key(policy) + b"/" + _number(version)


IMPLICIT_KEY: Final = b"consent-implicit"


def implicit_row_key(number: int) -> bytes:
    return IMPLICIT_KEY + b"/" + _number(number)


# --- reading ---------------------------------------------------------------------------------


class _Begun(Protocol):
    @property
    def from_height(self) -> int: ...


R = TypeVar("R", bound=_Begun)


def count_of(read: Read, key: bytes) -> int:
    found = load_from(read, Count, key)
    return 0 if found is None else found.count


def row(read: Read, kind: type[R], key: bytes) -> R:
    found = load_from(read, kind, key)
    assert found is not None, "every number below the count is taken"
    return found


def heads(read: Read, subject: bytes) -> SubjectRow:
    """Return the list of a subject's consents; one without any is empty."""
    return load_from(read, SubjectRow, subject_key(subject)) or SubjectRow(0, (), 0)


def head(read: Read, cid: bytes) -> ConsentHead | None:
    return load_from(read, ConsentHead, consent_key(cid))


def version(read: Read, cid: bytes, number: int) -> ConsentRow:
    return row(read, ConsentRow, version_key(cid, number))


def listed(read: Read, subject: bytes, number: int) -> Listed:
    found = load_from(read, Listed, listed_key(subject, number))
    assert found is not None, "every number below the count is taken"
    return found


def version_at(read: Read, cid: bytes, height: int) -> ConsentRow | None:
    """Return the version in force after block ``height``: O(log versions) reads."""
    found = head(read, cid)
    if found is None:
        return None
    low, high = 0, found.versions  # versions up to low began by then, those above high not
    while low < high:
        middle = (low + high + 1) // 2
        if version(read, cid, middle).from_height <= height:
            low = middle
        else:
            high = middle - 1
    return None if low == 0 else _still(version(read, cid, low), height)


def _still(found: ConsentRow, height: int) -> ConsentRow | None:
    ended = found.until_height is not None and found.until_height <= height
    return None if ended else found


def cids(read: Read, subject: bytes, height: int) -> tuple[bytes, ...]:
    """Return the consents that may have been in force after block ``height``, in order."""
    all_of_them = heads(read, subject)
    if height >= all_of_them.changed_height:
        return all_of_them.open
    return tuple(listed(read, subject, number).cid for number in range(all_of_them.count))


def consents_at(read: Read, subject: bytes, height: int) -> tuple[ConsentRow, ...]:
    """Return the versions in force after block ``height``, oldest consent first."""
    found = (version_at(read, cid, height) for cid in cids(read, subject, height))
    return tuple(item for item in found if item is not None)


def opt_out_at(read: Read, subject: bytes, scope: str, height: int) -> OptOutRow | None:
    """Return the opt-out of ``scope`` in force after block ``height``."""
    low, high = 0, count_of(read, opt_key(subject, scope))
    while low < high:
        middle = (low + high) // 2
        if row(read, OptOutRow, opt_row_key(subject, scope, middle)).from_height <= height:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        return None
    found = row(read, OptOutRow, opt_row_key(subject, scope, low - 1))
    ended = found.until_height is not None and found.until_height <= height
    return None if ended else found


def implicit_at(read: Read, height: int) -> PolicyRow | None:
    """Return the network's implicit policy after block ``height``."""
    low, high = 0, count_of(read, IMPLICIT_KEY)
    while low < high:
        middle = (low + high) // 2
        if row(read, PolicyRow, implicit_row_key(middle)).from_height <= height:
            low = middle + 1
        else:
            high = middle
    return row(read, PolicyRow, implicit_row_key(low - 1)) if low else None


def law_list(read: Read, purpose: str, subject: bytes | None) -> LawList:
    return load_from(read, LawList, laws_key(purpose, subject)) or LawList()


def laws_at(
    read: Read, purpose: str, subject: bytes, *, height: int, time_ms: int
) -> tuple[LawRow, ...]:
    """Return the laws on ``purpose`` that hold after block ``height`` at ``time_ms``: those
    for everybody, then those for this subject."""
    references = law_list(read, purpose, None).laws + law_list(read, purpose, subject).laws
    laws = (
        row(read, LawRow, law_row_key(item.law, item.version))
        for item in references
        if item.from_height <= height
        and (item.until_height is None or height < item.until_height)
    )
    return tuple(
        law
        for law in laws
        if law.from_ms <= time_ms and (law.until_ms is None or time_ms < law.until_ms)
    )

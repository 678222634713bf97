"""Family ``identity``, keys of institutions: more than one, new for old, taken out of force,
and recovered by institutions that were named before.

``identity.key.add`` gives an institution a further signing key, ``.rotate`` replaces one, at
once or after an overlap, ``.seal`` publishes a new key for sealed boxes, ``.revoke`` ends one.
A key that may have been in other hands is *doubted* from a time on: what it signed since is
flagged when someone asks, never deleted.  ``.guard`` names institutions, ``.recover`` lets so
many of them give the institution a new key and end all others.

Refused: whatever would leave an institution without a signing key that stays; keys that were
ever used by anybody; guardians that change quicker than ``GUARD_WAIT_MS``, because whoever
stole a key would name friends first.  Registering institutions and changing their roles is
for the members' vote, in another family.

State and bounds: ``node.ledger.facts.keys``.  ``signer/<key>`` and the institution's own row
change in the same block: the next block's transactions are judged by the new keys.
Alarm: ``identity.retire``, the end of an overlap.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import keys
from node.ledger.facts.keys import (
    ACTIVE,
    FULL,
    FUTURE,
    KEY_KNOWN,
    KEY_UNSIGNED,
    ORG_UNKNOWN,
    RETIRED,
    REVOKED,
    SIGN,
    Guard,
    GuardRow,
    KeyRow,
)
from node.ledger.facts.words import sized
from node.ledger.genesis import Institution
from node.ledger.rules import Alarm, Context, Moment, Operation, Refused, Result
from node.ledger.state import institution, institution_key
from node.ledger.transaction import ORG_PATTERN

DAY_MS: Final = 86_400_000
OVERLAP_MS_MAX: Final = 90 * DAY_MS
GUARD_WAIT_MS: Final = 7 * DAY_MS
GUARDIANS_MAX: Final = 8
NEEDED_MIN: Final = 2
NEEDED_MAX: Final = 6  # eight may sign: these, the new key, and the one that brings it

UNKNOWN: Final = Result(202, "identity-key-unknown", "The institution has no such key.")
ENDED: Final = Result(203, "identity-key-ended", "That key has ended, or is about to.")
LAST: Final = Result(
    204, "identity-key-last", "The institution would be left without a signing key."
)
OLD_UNSIGNED: Final = Result(
    206, "identity-key-old-unsigned", "The key that is replaced must sign too."
)
GUARD_SELF: Final = Result(
    209, "identity-guard-self", "An institution cannot be its own guardian."
)
UNGUARDED: Final = Result(
    210, "identity-guard-none", "No guardians of that institution are in force."
)
GUARD_FEW: Final = Result(
    211, "identity-guard-few", "Fewer guardians signed than the institution asked for."
)
RESULTS: Final = (
    KEY_KNOWN,
    KEY_UNSIGNED,
    UNKNOWN,
    ENDED,
    LAST,
    FULL,
    OLD_UNSIGNED,
    FUTURE,
    ORG_UNKNOWN,
    GUARD_SELF,
    UNGUARDED,
    GUARD_FEW,
)


@dataclass(frozen=True, slots=True)
class Add:
    """``new_key``: Ed25519, signs this transaction too."""

    new_key: bytes

    def __post_init__(self) -> None:
        sized(self.new_key, 32, "new_key")


@dataclass(frozen=True, slots=True)
class Rotate:
    """``new_key`` for ``old_key``, both sign; the old one goes on for ``overlap_ms``."""

    old_key: bytes
    new_key: bytes
    overlap_ms: int = 0

    def __post_init__(self) -> None:
        sized(self.old_key, 32, "old_key")
        sized(self.new_key, 32, "new_key")
        if self.overlap_ms > OVERLAP_MS_MAX:
            raise ValueError("overlap_ms is at most 90 days")


@dataclass(frozen=True, slots=True)
class Seal:
    """``new_key``: X25519; sealed boxes to the institution are made for it from now on."""

    new_key: bytes

    def __post_init__(self) -> None:
        sized(self.new_key, 32, "new_key")


@dataclass(frozen=True, slots=True)
class Revoke:
    """End ``key`` now.  ``compromised_since_ms``: what it signed from then on is flagged; a key
    that has ended already may be doubted later, or from an earlier time."""

    key: bytes
    compromised_since_ms: int | None = None

    def __post_init__(self) -> None:
        sized(self.key, 32, "key")


@dataclass(frozen=True, slots=True)
class Name:
    """Guardians: institutions, ``needed`` of whom recover the author's keys."""

    guardians: tuple[str, ...]
    needed: int

    def __post_init__(self) -> None:
        if not NEEDED_MIN <= len(self.guardians) <= GUARDIANS_MAX:
            raise ValueError("guardians are 2 to 8")
        if len(set(self.guardians)) != len(self.guardians):
            raise ValueError("guardians are named once")
        if not all(ORG_PATTERN.fullmatch(item) for item in self.guardians):
            raise ValueError("guardians are institution ids")
        if not NEEDED_MIN <= self.needed <= min(len(self.guardians), NEEDED_MAX):
            raise ValueError("needed must be 2 to 6, and no more than there are guardians")


@dataclass(frozen=True, slots=True)
class Recover:
    """``new_key`` for ``org``; every other signing key of it ends, doubted since
    ``compromised_since_ms`` if that is given.  Guardians and the new key sign."""

    org: str
    new_key: bytes
    compromised_since_ms: int | None = None

    def __post_init__(self) -> None:
        sized(self.new_key, 32, "new_key")
        if not ORG_PATTERN.fullmatch(self.org):
            raise ValueError("org is an institution id")


# --- what the operations share -------------------------------------------------------------


def _admit(context: Context, key: bytes) -> None:
    """Refuse a new signing key that is known, or that did not sign."""
    own = context.org
    known = keys.known_key(context.view.get, key)
    if known or key in (own.consensus_key, own.cosigner_key, own.encryption_key):
        raise Refused(KEY_KNOWN)
    if not context.signed_by(key):
        raise Refused(KEY_UNSIGNED)


def _begin(context: Context, org: str, key: bytes, use: str) -> None:
    row = KeyRow(org, use, context.height, context.time_ms, ACTIVE)
    keys.begin(context.view, key, row)


def _room(context: Context) -> None:
    if len(keys.active_keys(context.view.get, context.org.id)) >= keys.ACTIVE_KEYS_MAX:
        raise Refused(FULL)


def _signing(context: Context, key: bytes) -> KeyRow:
    """Return a signing key of the author that is in force and stays so."""
    row = keys.key_row(context.view.get, key)
    if row is None or row.org != context.org.id or row.use != SIGN:
        raise Refused(UNKNOWN)
    if row.status != ACTIVE or row.retires_ms is not None:
        raise Refused(ENDED)
    return row


def _make_principal(moment: Moment, org: Institution, key: bytes) -> None:
    """Name ``key`` as the one that stands for ``org`` where one key must."""
    moment.view.save(institution_key(org.id), replace(org, identity_key=key))


def _current(context: Context, org: str) -> Institution:
    """Return the row of ``org`` as earlier operations of this transaction left it."""
    row = institution(context.view, org)
    if row is None:
        raise Refused(ORG_UNKNOWN)
    return row


def _standing(context: Context) -> list[bytes]:
    rows = keys.active_keys(context.view.get, context.org.id)
    return [key for key, row in rows.items() if row.retires_ms is None]


# --- the operations ------------------------------------------------------------------------


def _add(context: Context, body: Add) -> None:
    keys.enlist(context.view, context.org.id)
    _admit(context, body.new_key)
    _room(context)
    _begin(context, context.org.id, body.new_key, SIGN)


def _rotate(context: Context, body: Rotate) -> None:
    keys.enlist(context.view, context.org.id)
    old = _signing(context, body.old_key)
    if not context.signed_by(body.old_key):
        raise Refused(OLD_UNSIGNED)
    _admit(context, body.new_key)
    if body.overlap_ms:
        _room(context)
        retires_ms = context.time_ms + body.overlap_ms
        context.view.save(keys.key_key(body.old_key), replace(old, retires_ms=retires_ms))
        context.alarm("identity.retire", body.old_key, time_ms=retires_ms)
    else:
        keys.end(context, body.old_key, old, RETIRED)
    _begin(context, context.org.id, body.new_key, SIGN)
    row = _current(context, context.org.id)
    if row.identity_key == body.old_key:
        _make_principal(context, row, body.new_key)


def _retire(moment: Moment, key: bytes) -> None:
    row = keys.key_row(moment.view.get, key)
    if row is not None and row.retires_ms is not None and row.retires_ms <= moment.time_ms:
        keys.end(moment, key, row, RETIRED)


def _seal(context: Context, body: Seal) -> None:
    keys.enlist(context.view, context.org.id)
    if keys.known_key(context.view.get, body.new_key):
        raise Refused(KEY_KNOWN)
    row = _current(context, context.org.id)
    keys.reseal(context, row.id, row.encryption_key, body.new_key)
    changed = replace(row, encryption_key=body.new_key)
    context.view.save(institution_key(context.org.id), changed)


def _revoke(context: Context, body: Revoke) -> None:
    view = context.view
    keys.enlist(view, context.org.id)
    row = keys.key_row(view.get, body.key)
    if row is None or row.org != context.org.id or row.use != SIGN:
        raise Refused(UNKNOWN)
    doubted = keys.doubted(context, row, body.compromised_since_ms)
    if row.status != ACTIVE:
        if doubted is row:
            raise Refused(ENDED)
        view.save(keys.key_key(body.key), doubted)
        return
    stays = [key for key in _standing(context) if key != body.key]
    if not stays:
        raise Refused(LAST)
    keys.end(context, body.key, doubted, REVOKED)
    own = _current(context, context.org.id)
    if own.identity_key == body.key:
        _make_principal(context, own, stays[-1])


def _guard(context: Context, body: Name) -> None:
    if context.org.id in body.guardians:
        raise Refused(GUARD_SELF)
    for org in body.guardians:
        _current(context, org)
    before = keys.guard(context.view.get, context.org.id)
    current = before.at(context.time_ms)
    wait_ms = 0 if current is None else GUARD_WAIT_MS
    row = GuardRow(
        body.guardians,
        body.needed,
        context.height,
        context.time_ms,
        context.time_ms + wait_ms,
    )
    keys.set_guard(context.view, context.org.id, Guard(current, row), row)


def _recover(context: Context, body: Recover) -> None:
    org = _current(context, body.org)
    guard = keys.guard(context.view.get, org.id)
    current = guard.at(context.time_ms)
    if current is None:
        raise Refused(UNGUARDED)
    if len(keys.signing_orgs(context) & set(current.guardians)) < current.needed:
        raise Refused(GUARD_FEW)
    keys.enlist(context.view, org.id)
    _admit(context, body.new_key)
    keys.replace_all(context, org.id, body.new_key, body.compromised_since_ms)
    _make_principal(context, org, body.new_key)


_ANY: Final[frozenset[str]] = frozenset()
OPERATIONS: Final = (
    Operation("identity.key.add", Add, _add, _ANY, "Add a signing key."),
    Operation("identity.key.rotate", Rotate, _rotate, _ANY, "Replace a signing key."),
    Operation("identity.key.seal", Seal, _seal, _ANY, "Publish a new key for sealed boxes."),
    Operation(
        "identity.key.revoke",
        Revoke,
        _revoke,
        _ANY,
        "End a signing key, and say since when it is doubted.",
    ),
    Operation(
        "identity.key.guard",
        Name,
        _guard,
        _ANY,
        "Name institutions that may recover your keys.",
    ),
    Operation(
        "identity.key.recover",
        Recover,
        _recover,
        _ANY,
        "Give an institution a new key, as its guardians.",
    ),
)
ALARMS: Final = (
    Alarm("identity.retire", _retire, "The overlap ends: the old key signs no more."),
)

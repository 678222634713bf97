"""Keys of institutions through time: who may sign, since when, until when, and what is doubted.

``signer/<key>`` decides who may sign *now* (``node.ledger.execute``); the rows here remember.
An interval of heights is half open and speaks of the ledger as it stood after a block: a key
is in force at height h when ``from_height <= h`` and ``until_height`` is none or above h.  In
the block of the change itself both may have signed, the old one before the change.

Keys that came with genesis, or with an institution that the members admitted by vote, have no
row here until something happens to them: a missing row means "since the signer's height".

State: ``key/<key>`` -> ``KeyRow``; ``key-of/<org>`` a numbered list of ``KeyName``;
``key-active/<org>`` -> ``ActiveKeys``; ``key-guard/<org>`` a numbered list of ``GuardRow``,
``key-guard-now/<org>`` -> ``Guard``; ``key-holder/<key>`` -> ``Holder``; ``node-key/<key>``
-> ``NodeKey``: consensus and cosigner keys, once ``facts.membership`` has written them down.
Bounded: ``ACTIVE_KEYS_MAX`` keys of an institution at a time, ``DOUBTS_MAX`` of a key.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import numbered
from node.ledger.genesis import Institution
from node.ledger.rules import Context, Moment, Refused, Result
from node.ledger.state import (
    Overlay,
    Read,
    SignerRow,
    institution_key,
    load_from,
    signer_key,
    suspended_key,
)

SIGN: Final = "sign"
SEAL: Final = "seal"
ACTIVE: Final = "active"
RETIRED: Final = "retired"  # replaced in good order
REVOKED: Final = "revoked"
ACTIVE_KEYS_MAX: Final = 8
DOUBTS_MAX: Final = 8

KEY_KNOWN: Final = Result(200, "identity-key-known", "That key is in use or was used before.")
KEY_UNSIGNED: Final = Result(
    201, "identity-key-unsigned", "The new key must sign too: proof that somebody holds it."
)
FULL: Final = Result(205, "identity-key-full", "As many as allowed; end one first.")
FUTURE: Final = Result(
    207, "identity-key-future", "A key cannot have been compromised later than now."
)
ORG_UNKNOWN: Final = Result(208, "identity-org-unknown", "No such institution may act here.")


@dataclass(frozen=True, slots=True)
class Doubt:
    """Declared at a height: the key may have been in other hands since ``since_ms``."""

    since_ms: int
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key of an institution.  ``retires_ms``: the end of an overlap that has begun;
    ``until_*``: when it ended; ``doubts`` are declarations, the newest last."""

    org: str
    use: str  # sign (Ed25519), seal (X25519)
    from_height: int
    from_ms: int
    status: str  # active, retired, revoked
    retires_ms: int | None = None
    until_height: int | None = None
    until_ms: int | None = None
    doubts: tuple[Doubt, ...] = ()

    @property
    def compromised_since_ms(self) -> int | None:
        """Return the earliest time from which on what it signed is flagged."""
        return min((item.since_ms for item in self.doubts), default=None)

    def in_force(self, height: int) -> bool:
        """Return whether it spoke for its institution once block ``height`` was applied."""
        ended = self.until_height is not None and self.until_height <= height
        return self.from_height <= height and not ended


@dataclass(frozen=True, slots=True)
class KeyName:
    key: bytes


@dataclass(frozen=True, slots=True)
class ActiveKeys:
    """The signing keys of one institution that are in force, the oldest first."""

    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class GuardRow:
    """Who may recover an institution: ``needed`` of ``guardians``, from ``from_ms`` on, unless
    the next row was set before that."""

    guardians: tuple[str, ...]
    needed: int
    set_height: int
    set_ms: int
    from_ms: int


@dataclass(frozen=True, slots=True)
class Guard:
    """The guard in force and the one that waits; a guard that never was has neither."""

    current: GuardRow | None = None
    pending: GuardRow | None = None

    def at(self, now_ms: int) -> GuardRow | None:
        """Return who may recover at ``now_ms``."""
        waits = self.pending
        return waits if waits is not None and waits.from_ms <= now_ms else self.current


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a key that is no institution's: one holder, for ever."""

    kind: str  # patient, device
    holder: bytes  # subject or device


@dataclass(frozen=True, slots=True)
class NodeKey:
    """A key with which a node votes or cosigns: ``from_height`` the first block that it may
    vote on, ``until_height`` the first that it may not; for ever its institution's."""

    org: str
    role: str  # consensus, cosigner
    from_height: int
    until_height: int | None = None


def key_key(key: bytes) -> bytes:
    return b"key/" + key


def keys_name(org: str) -> bytes:
    return b"key-of/" + org.encode("ascii")


def guards_name(org: str) -> bytes:
    return b"key-guard/" + org.encode("ascii")


def active_key(org: str) -> bytes:
    return b"key-active/" + org.encode("ascii")


def guard_key(org: str) -> bytes:
    return b"key-guard-now/" + org.encode("ascii")


def holder_key(key: bytes) -> bytes:
    return b"key-holder/" + key


def node_key_key(key: bytes) -> bytes:
    return b"node-key/" + key


def key_row(read: Read, key: bytes) -> KeyRow | None:
    """Return what is known of an institution's key, with or without a row of its own."""
    found = load_from(read, KeyRow, key_key(key))
    if found is not None:
        return found
    signer = load_from(read, SignerRow, signer_key(key))
    if signer is None:
        return None
    return KeyRow(signer.org, SIGN, signer.since_height, 0, ACTIVE)


def _founding(read: Read, org: str) -> dict[bytes, KeyRow]:
    """Return the signing and the sealing key that ``org`` came with, before its list began."""
    row = load_from(read, Institution, institution_key(org))
    row = row or load_from(read, Institution, suspended_key(org))
    signing = None if row is None else key_row(read, row.identity_key)
    if row is None or signing is None:
        return {}
    return {row.identity_key: signing, row.encryption_key: replace(signing, use=SEAL)}


def keys_page(
    read: Read, org: str, *, start: int, limit: int
) -> tuple[list[tuple[bytes, KeyRow]], int | None]:
    """Return a page of all keys that ``org`` ever had, the oldest first, and what follows."""
    name = keys_name(org)
    if numbered.length(read, name) == 0:
        came = list(_founding(read, org).items())
        numbers, following = numbered.span(len(came), start, limit)
        return [came[number] for number in numbers], following
    names, following = numbered.page(read, name, KeyName, start=start, limit=limit)
    return [(item.key, _listed(read, item.key)) for item in names], following


def _listed(read: Read, key: bytes) -> KeyRow:
    row = load_from(read, KeyRow, key_key(key))
    assert row is not None, "every listed key has its row"
    return row


def active_keys(read: Read, org: str) -> dict[bytes, KeyRow]:
    """Return the signing keys of ``org`` that are in force."""
    found = load_from(read, ActiveKeys, active_key(org))
    if found is not None:
        return {key: _listed(read, key) for key in found.keys}
    return {key: row for key, row in _founding(read, org).items() if row.use == SIGN}


def signing_orgs(context: Context) -> frozenset[str]:
    """Return the institutions that signed this transaction, by whichever key of theirs;
    without those that are suspended."""
    read = context.view.get
    rows = (load_from(read, SignerRow, signer_key(key)) for key in context.keys)
    signed = frozenset(row.org for row in rows if row is not None)
    return frozenset(org for org in signed if read(institution_key(org)) is not None)


def known_key(read: Read, key: bytes) -> bool:
    """Return whether ``key`` belongs, or ever belonged, to anybody on this ledger."""
    places = (key_key(key), signer_key(key), holder_key(key), node_key_key(key))
    return any(read(place) is not None for place in places)


def hold(context: Context, key: bytes, holder: Holder) -> None:
    """Give ``key`` to a person or device; refused unless it is new here and signed too."""
    if known_key(context.view.get, key):
        raise Refused(KEY_KNOWN)
    if not context.signed_by(key):
        raise Refused(KEY_UNSIGNED)
    context.view.save(holder_key(key), holder)


def enlist(view: Overlay, org: str) -> None:
    """Begin the list of keys of ``org`` with those that it came with, if it has none yet."""
    if numbered.length(view.get, keys_name(org)):
        return
    founding = _founding(view.get, org)
    for key, row in founding.items():
        view.save(key_key(key), row)
        numbered.append(view, keys_name(org), KeyName(key))
    signing = tuple(key for key, row in founding.items() if row.use == SIGN)
    view.save(active_key(org), ActiveKeys(signing))


def begin(view: Overlay, key: bytes, row: KeyRow) -> None:
    """Put a key that is new on this ledger in force; the list of its institution has begun."""
    view.save(key_key(key), row)
    numbered.append(view, keys_name(row.org), KeyName(key))
    if row.use == SIGN:
        view.save(signer_key(key), SignerRow(row.org, row.from_height))
        keys = tuple(active_keys(view.get, row.org))
        view.save(active_key(row.org), ActiveKeys((*keys, key)))


def finish(view: Overlay, key: bytes, row: KeyRow) -> None:
    """Take a signing key out of force; ``row`` says how and when it ended."""
    view.save(key_key(key), row)
    view.delete(signer_key(key))
    keys = tuple(item for item in active_keys(view.get, row.org) if item != key)
    view.save(active_key(row.org), ActiveKeys(keys))


def end(moment: Moment, key: bytes, row: KeyRow, status: str) -> None:
    """Take a signing key out of force in this block."""
    height, time_ms = moment.height, moment.time_ms
    ended = replace(row, status=status, retires_ms=None, until_height=height, until_ms=time_ms)
    finish(moment.view, key, ended)


def doubted(moment: Moment, row: KeyRow, since_ms: int | None) -> KeyRow:
    """Return ``row`` with a declaration more, unless it says nothing new."""
    if since_ms is None:
        return row
    if since_ms > moment.time_ms:
        raise Refused(FUTURE)
    earliest = row.compromised_since_ms
    if earliest is not None and earliest <= since_ms:
        return row
    if len(row.doubts) >= DOUBTS_MAX:
        raise Refused(FULL)
    doubt = Doubt(since_ms, moment.height, moment.time_ms)
    return replace(row, doubts=(*row.doubts, doubt))


def replace_all(moment: Moment, org: str, new_key: bytes, since_ms: int | None) -> None:
    """End every signing key of ``org``, put ``new_key`` in force; its list has begun.

    Guardians that wait to come into force never do: whoever held the keys may have named them.
    """
    for key, row in active_keys(moment.view.get, org).items():
        end(moment, key, doubted(moment, row, since_ms), REVOKED)
    begin(moment.view, new_key, KeyRow(org, SIGN, moment.height, moment.time_ms, ACTIVE))
    found = guard(moment.view.get, org)
    current = found.at(moment.time_ms)
    waits = found.pending is not None and found.pending is not current
    if current is not None and waits:
        again = replace(current, set_height=moment.height, set_ms=moment.time_ms)
        set_guard(moment.view, org, Guard(current), again)


def reseal(moment: Moment, org: str, old_key: bytes, new_key: bytes) -> None:
    """Retire the key for sealed boxes of ``org``, put ``new_key`` in force."""
    old = key_row(moment.view.get, old_key)
    if old is not None:  # none: the members gave it another one by vote
        height, time_ms = moment.height, moment.time_ms
        ended = replace(old, status=RETIRED, until_height=height, until_ms=time_ms)
        moment.view.save(key_key(old_key), ended)
    begin(moment.view, new_key, KeyRow(org, SEAL, moment.height, moment.time_ms, ACTIVE))


def set_guard(view: Overlay, org: str, both: Guard, row: GuardRow) -> None:
    view.save(guard_key(org), both)
    numbered.append(view, guards_name(org), row)


def guard(read: Read, org: str) -> Guard:
    return load_from(read, Guard, guard_key(org)) or Guard()

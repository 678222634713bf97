"""The members' network in state: who votes, who follows, under which keys and engine.

A *voter* orders blocks.  An *observer* follows the chain without voting; a *learner* is one
that becomes a voter as soon as it has caught up.  Whoever has none of these seats is an
institution on the ledger and nothing more.  Founding validators are voters without a row.

Every change of voters, of their keys or of the engine begins an era with the next block
(``node.ledger.eras``); further changes of the same block rewrite the row of that era, so one
block begins one era.  Consensus and cosigner keys are an institution's for ever: each has a
row from the first change on, and no key is used twice, by anybody.

State: ``seat/<org>`` -> ``Seat``; ``node-key/<key>`` -> ``keys.NodeKey``,
``node-keys`` -> ``Count``, the institutions whose keys are written down so far;
the rows of ``node.ledger.eras``.
Bounded: ``VOTERS_MAX``, ``OBSERVERS_MAX``.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from consensus import wire
from node.ledger import crypto
from node.ledger.eras import (
    OBSERVERS_KEY,
    OBSERVERS_MAX,
    VOTERS_MAX,
    Era,
    Observers,
    era_from,
    era_key,
    era_of,
    observers_from,
)
from node.ledger.facts import features, governance, keys, numbered
from node.ledger.facts.governance_bodies import Propose
from node.ledger.facts.keys import NodeKey
from node.ledger.genesis import Institution, Voter, Voters
from node.ledger.rules import Context, Moment, Refused, Result
from node.ledger.state import (
    ENGINE_KEY,
    EPOCH_KEY,
    INSTITUTIONS_KEY,
    Institutions,
    Overlay,
    Read,
    institution_at_key,
    institution_key,
    load_from,
    suspended_key,
    voters_key,
)

VOTER: Final = "voter"
LEARNER: Final = "learner"
OBSERVER: Final = "observer"
NONE: Final = "none"
CONSENSUS: Final = "consensus"
COSIGNER: Final = "cosigner"
ROTATE_TAG: Final = b"chartseal/rotate/v1\x00"
NODE_KEYS_KEY: Final = b"node-keys"
VOTER_ALREADY: Final = Result(640, "membership-voter-already", "It is a voter already.")
SEATED_ALREADY: Final = Result(641, "membership-seated-already", "It has that seat already.")
NOT_MEMBER: Final = Result(
    642, "membership-not-member", "It has no seat in the members' network."
)
LAST_VOTER: Final = Result(643, "membership-last-voter", "One voter at least must stay.")
VOTERS_FULL: Final = Result(644, "membership-voters-full", "No more voters fit.")
OBSERVERS_FULL: Final = Result(645, "membership-observers-full", "No more observers fit.")
DEADLOCK: Final = Result(
    646, "membership-deadlock", "The voters left that may act could not decide anything."
)
ENGINE_SAME: Final = Result(647, "membership-engine-same", "That engine is in force.")
NOT_LEARNER: Final = Result(
    648, "membership-not-learner", "The members did not admit it as a future voter."
)
READY_OLD: Final = Result(
    649, "membership-ready-old", "It is not caught up: that height is too far back, or ahead."
)
KEY_TAKEN: Final = Result(
    650, "membership-key-taken", "One of the keys is in use or was used before."
)
KEY_UNPROVEN: Final = Result(
    651, "membership-key-unproven", "One of the new keys did not sign for itself."
)
RESULTS: Final = (
    VOTER_ALREADY,
    SEATED_ALREADY,
    NOT_MEMBER,
    LAST_VOTER,
    VOTERS_FULL,
    OBSERVERS_FULL,
    DEADLOCK,
    ENGINE_SAME,
    NOT_LEARNER,
    READY_OLD,
    KEY_TAKEN,
    KEY_UNPROVEN,
    *features.RESULTS,
)


@dataclass(frozen=True, slots=True)
class Seat:
    """``standing`` since block ``since_height``; a voter votes on the next.

    ``proposal`` decided it; none: it founded the network or moved by itself.  ``ready_*``:
    which block it had when it said that it had caught up, by its own word.
    """

    standing: str
    since_height: int
    proposal: bytes | None = None
    ready_height: int | None = None
    ready_digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a new key signs for itself."""

    network: bytes
    org: str
    role: str
    key: bytes


@dataclass(frozen=True, slots=True)
class Quorum:
    """How many of ``voters`` a block needs, how many may be silent and how many may lie
    without harm.  ``warning``: nobody-may-stop; pbft-below-four (it orders, but no liar is
    tolerated); null when neither holds."""

    engine: str
    voters: int
    quorum: int
    may_stop: int
    may_lie: int
    warning: str | None


def quorum_of(engine: str, voters: int) -> Quorum:
    """Return the arithmetic of ``voters`` (at least one) under ``engine``."""
    liars = (voters - 1) // 3 if engine == "pbft" else 0
    quorum = (voters + liars) // 2 + 1
    stop = voters - quorum
    warning = None
    if engine == "pbft" and voters < 4:
        warning = "pbft-below-four"
    elif stop == 0:
        warning = "nobody-may-stop"
    return Quorum(engine, voters, quorum, stop, liars, warning)


def quorum_after(engine: str, voters: Collection[str], body: Propose) -> Quorum:
    """Return the arithmetic once ``body`` is executed, and the learner it admits is ready."""
    left = set(voters)
    if body.admit is not None and body.admit.votes:
        left.add(body.admit.org)
    left -= {org for org in (body.demote, body.remove) if org is not None}
    return quorum_of(body.engine or engine, max(1, len(left)))


def rotation_statement(network: bytes, org: str, role: str, key: bytes) -> bytes:
    """Return the bytes that a new consensus or cosigner key signs (``membership.rotate``)."""
    return ROTATE_TAG + wire.encode(Rotation(network, org, role, key))


def seat_key(org: str) -> bytes:
    return b"seat/" + org.encode("ascii")


# --- what stands ------------------------------------------------------------------------------


def seat(read: Read, item: Institution) -> Seat:
    """Return the seat of an institution, founders' included."""
    found = load_from(read, Seat, seat_key(item.id))
    return found or Seat(VOTER if item.validator else NONE, 0)


def era_at(read: Read, height: int) -> Era | None:
    """Return the era that ordered, or orders, block ``height``; reads O(log n) rows."""
    low, found = 0, None
    high = era_from(read).epoch + 1
    while low < high:
        middle = (low + high) // 2
        era = era_of(read, middle)
        assert era is not None, "every epoch up to the one in force has its era"
        if era.from_height <= height:
            found, low = era, middle + 1
        else:
            high = middle
    return found


# --- keys -------------------------------------------------------------------------------------


def enlist(view: Overlay) -> None:
    """Write down the node keys of every institution that has no rows yet: all of them once,
    later the newcomers'.  Until then a key in use is found by reading every institution."""
    counted = load_from(view.get, Institutions, INSTITUTIONS_KEY)
    assert counted is not None, "every ledger starts with institutions"
    done = load_from(view.get, numbered.Count, NODE_KEYS_KEY) or numbered.Count(0)
    if done.count == counted.count:
        return
    for number in range(done.count, counted.count):
        raw = view.get(institution_at_key(number))
        assert raw is not None, "every number below the count is taken"
        item = governance.known_institution(view.get, raw.decode("ascii"))
        assert item is not None, "every listed institution has its row"
        pairs = ((item.consensus_key, CONSENSUS), (item.cosigner_key, COSIGNER))
        for key, role in pairs:
            view.save(keys.node_key_key(key), NodeKey(item.id, role, 0))
    view.save(NODE_KEYS_KEY, numbered.Count(counted.count))


def change_node_keys(
    moment: Moment, item: Institution, consensus_key: bytes, cosigner_key: bytes
) -> Institution:
    """Give ``item`` these keys, the same ones or others; return it so.  Every institution's
    keys are enlisted and the new ones are nobody's."""
    view, following = moment.view, moment.height + 1
    pairs = (
        (item.consensus_key, consensus_key, CONSENSUS),
        (item.cosigner_key, cosigner_key, COSIGNER),
    )
    for old_key, new_key, role in pairs:
        if old_key == new_key:
            continue
        old = load_from(view.get, NodeKey, keys.node_key_key(old_key))
        assert old is not None, "every node key is enlisted"
        view.save(keys.node_key_key(old_key), replace(old, until_height=following))
        view.save(keys.node_key_key(new_key), NodeKey(item.id, role, following))
    changed = replace(item, consensus_key=consensus_key, cosigner_key=cosigner_key)
    save_institution(view, changed)
    _reseat_keys(moment, changed)
    return changed


def _reseat_keys(moment: Moment, item: Institution) -> None:
    """Begin an era in which a voter votes with the keys that it has now."""
    era = era_from(moment.view.get)
    voter = Voter(item.id, item.consensus_key, item.cosigner_key)
    members = tuple(voter if other.id == item.id else other for other in era.members)
    if members != era.members:
        begin_era(moment, members=members)


def save_institution(view: Overlay, item: Institution) -> None:
    """Write the row of ``item`` where it stands, suspended or not."""
    away = view.get(suspended_key(item.id)) is not None
    view.save(suspended_key(item.id) if away else institution_key(item.id), item)


# --- seats and eras ---------------------------------------------------------------------------


def begin_era(
    moment: Moment, *, members: tuple[Voter, ...] | None = None, engine: str | None = None
) -> None:
    """Let an era begin with the next block, or change the one that begins there."""
    view, now = moment.view, era_from(moment.view.get)
    following = moment.height + 1
    if now.epoch == 0:
        view.save(era_key(0), now)
    # No era begins twice: what already begins with the next block is changed instead.
    epoch = now.epoch if now.from_height == following else now.epoch + 1
    voters = now.members if members is None else members
    era = Era(epoch, now.engine if engine is None else engine, following, voters)
    view.save(era_key(epoch), era)
    view.save(voters_key(epoch), Voters(epoch, voters))
    view.save(EPOCH_KEY, epoch)
    view.put(ENGINE_KEY, era.engine.encode("ascii"))


def take_seat(moment: Moment, item: Institution, new: Seat) -> None:
    """Put ``item`` into its new seat: rows of voters, observers and the institution agree.

    Refused: the last voter's going, more voters or observers than fit, and a step after which
    those who may act could not decide.
    """
    view = moment.view
    era = era_from(view.get)
    votes = any(other.id == item.id for other in era.members)
    if votes != (new.standing == VOTER):
        _change_voters(moment, item, era, joins=not votes)
    follows = new.standing in (LEARNER, OBSERVER)
    before = observers_from(view.get)
    after = {org for org in before if org != item.id} | ({item.id} if follows else set())
    if len(after) > OBSERVERS_MAX:
        raise Refused(OBSERVERS_FULL)
    if after:
        view.save(OBSERVERS_KEY, Observers(tuple(sorted(after))))
    elif before:
        view.delete(OBSERVERS_KEY)
    view.save(seat_key(item.id), new)


def _change_voters(moment: Moment, item: Institution, era: Era, *, joins: bool) -> None:
    others = [other for other in era.members if other.id != item.id]
    if joins:
        others.append(Voter(item.id, item.consensus_key, item.cosigner_key))
    if not others:
        raise Refused(LAST_VOTER)
    if len(others) > VOTERS_MAX:
        raise Refused(VOTERS_FULL)
    members = tuple(sorted(others, key=lambda other: other.id))
    save_institution(moment.view, replace(item, validator=joins))
    begin_era(moment, members=members)
    if not governance.can_decide(moment.view.get):
        raise Refused(DEADLOCK)


def signed_for_itself(context: Context, role: str, key: bytes, proof: bytes) -> bool:
    """Return whether ``key`` signed to be the author's key for ``role``."""
    said = rotation_statement(context.network, context.org.id, role, key)
    return crypto.verify(key, said, proof)

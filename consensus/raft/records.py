"""What Raft keeps on disk, how it gets there, and how it comes back.

Owns: the key layout under ``raft/`` and the journal that turns log changes into records.
Everything of one turn is one atomic batch, so a crash leaves the state before or after it.

  raft/hard              HardState: term and vote in one record, never one without the other
  raft/base              Base: where the log starts (written at first start, then by compaction)
  raft/members           Members at the base; none: the founders
  raft/commit            commit index; lazy, never synced for its own sake
  raft/log/<be64 index>  Entry
  raft/target            Target: the snapshot that blocks are being fetched for
  raft/synced/<be64 h>   Fetched: a block fetched for it, until the ledger executed it
"""

from collections.abc import Iterable
from typing import Final

from consensus import codec, wire
from consensus.codec import Malformed
from consensus.frozen import dataclass
from consensus.raft.blocks import BlockLog
from consensus.raft.core import HardState
from consensus.raft.log import Base, Entry
from consensus.raft.membership import Members
from consensus.raft.messages import INDEX_MAX, TERM_MAX
from consensus.raft.turn import CoreTurn
from consensus.types import Applied, Delete, DeleteRange, NodeId, Proposal, Put, Record

PREFIX: Final = b"raft/"
HARD_KEY: Final = PREFIX + b"hard"
BASE_KEY: Final = PREFIX + b"base"
COMMIT_KEY: Final = PREFIX + b"commit"
MEMBERS_KEY: Final = PREFIX + b"members"
TARGET_KEY: Final = PREFIX + b"target"
LOG_PREFIX: Final = PREFIX + b"log/"
SYNCED_PREFIX: Final = PREFIX + b"synced/"
RECORD_BYTES_MAX: Final = 1 << 20
CERTIFICATE_BYTES_MAX: Final = 32


class RecordsDamaged(Exception):
    """The stored records contradict themselves or the ledger: the disk is not to be trusted.

    The node must not start; restore it from backup or let it join under a new id.
    """

    code = "raft-records-damaged"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A block taken through ``Engine.synced``, with the certificate it came with."""

    proposal: Proposal
    certificate: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """Where a snapshot leads: fetch blocks up to ``base.height``, then continue at it.

    ``members`` is who belongs to the group there; ``source`` the leader that pointed to it.
    """

    base: Base
    source: NodeId
    members: Members


@dataclass(frozen=True, slots=True)
class Restored:
    hard: HardState
    base: Base
    entries: tuple[Entry, ...]
    commit: int
    fetched: tuple[Fetched, ...]
    members: Members | None  # at the base
    target: Target | None
    stored_last: int  # entries on disk up to here, those that are not believed too
    base_stored: bool


def decode_certificate(certificate: bytes) -> tuple[int, int]:
    """Return (term, index) of a block; raise ``Malformed`` for anything else."""
    value = codec.decode(certificate, size_max=CERTIFICATE_BYTES_MAX)
    if type(value) is not list or len(value) != 2:
        raise Malformed("expected [term, index]")
    term, index = value
    if type(term) is not int or type(index) is not int:
        raise Malformed("expected [term, index]")
    if not (1 <= term <= TERM_MAX and 1 <= index <= INDEX_MAX):
        raise Malformed("term or index out of range")
    return term, index


def log_key(index: int) -> bytes:
    return LOG_PREFIX + index.to_bytes(8, "big")


def synced_key(height: int) -> bytes:
    return SYNCED_PREFIX + height.to_bytes(8, "big")


def base_record(base: Base) -> Record:
    """Return the record that starts a log at ``base``.

    A network that comes to Raft at some height writes this once on every member, with a term
    of at least 1, instead of leaving them with a ledger and no log.
    """
    return Put(BASE_KEY, wire.encode(base))


@dataclass(slots=True)
class _Stored:
    hard: HardState
    base: Base | None
    commit: int
    entries: list[Entry]
    fetched: list[Fetched]
    members: Members | None = None
    target: Target | None = None


def restore(pairs: Iterable[tuple[bytes, bytes]], applied: Applied) -> Restored:
    """Return the state that ``pairs`` hold; pairs outside ``raft/`` are passed over.

    Raises ``RecordsDamaged`` when they cannot be what this module wrote.
    """
    try:
        return _settle(_read(pairs), applied)
    except Malformed as error:
        raise RecordsDamaged("a stored record does not decode") from error


def _read(pairs: Iterable[tuple[bytes, bytes]]) -> _Stored:
    stored = _Stored(HardState(0, None), None, 0, [], [])
    for key, value in sorted(pairs):
        if key == HARD_KEY:
            stored.hard = wire.decode(HardState, value, size_max=RECORD_BYTES_MAX)
        elif key == BASE_KEY:
            stored.base = wire.decode(Base, value, size_max=RECORD_BYTES_MAX)
        elif key == COMMIT_KEY:
            stored.commit = wire.from_value(int, codec.decode(value, size_max=16))
        elif key == MEMBERS_KEY:
            stored.members = wire.decode(Members, value, size_max=RECORD_BYTES_MAX)
        elif key == TARGET_KEY:
            stored.target = wire.decode(Target, value, size_max=RECORD_BYTES_MAX)
        elif key.startswith(LOG_PREFIX):
            stored.entries.append(wire.decode(Entry, value, size_max=RECORD_BYTES_MAX))
        elif key.startswith(SYNCED_PREFIX):
            stored.fetched.append(wire.decode(Fetched, value, size_max=RECORD_BYTES_MAX))
    return stored


def _settle(stored: _Stored, applied: Applied) -> Restored:
    hard, base, entries = stored.hard, stored.base, stored.entries
    if base is None:
        if entries:
            raise RecordsDamaged("a log without its base")
        return _ledger_only(stored, applied, stored_last=0)
    last = base.index + len(entries)
    if [entry.index for entry in entries] != list(range(base.index + 1, last + 1)):
        raise RecordsDamaged(f"the log after index {base.index} has holes")
    if last < applied.position or _overtaken(stored, base, applied):
        # The ledger is ahead of these records: it executed fetched blocks, or an older copy
        # of the records came back.  What they hold beyond is uncommitted, and contradicts
        # what is final: nobody can count on it.
        return _ledger_only(stored, applied, stored_last=last)
    if hard.term < (entries[-1].term if entries else base.term):
        if entries:
            raise RecordsDamaged(f"an entry of a term after {hard.term}")
        hard = HardState(base.term, None)  # a log that just starts, see ``base_record``
    commit = max(stored.commit, base.index, applied.position)
    if commit > last:
        raise RecordsDamaged(f"commit index {commit} is beyond the last entry {last}")
    return Restored(
        hard,
        base,
        tuple(entries),
        commit,
        tuple(stored.fetched),
        stored.members,
        stored.target,
        stored_last=last,
        base_stored=True,
    )


def place_of(pairs: Iterable[tuple[bytes, bytes]], applied: Applied) -> Base | None:
    """Return where the log of ``pairs`` has the block that the ledger applied last.

    None when these records do not tell, or there are none.
    """
    try:
        found = restore(pairs, applied)
    except RecordsDamaged:
        return None
    index, term = applied.position, found.base.term
    if index > found.base.index:
        term = found.entries[index - found.base.index - 1].term
    if index < max(1, found.base.index) or term == 0:
        return None
    return Base(index, term, applied.height, applied.digest)


def _overtaken(stored: _Stored, base: Base, applied: Applied) -> bool:
    """Whether the ledger executed, from a fetched block, another entry than the log has."""
    if stored.target is None or applied.position <= max(stored.commit, base.index):
        return False
    term = _term_of_applied(stored, applied)
    if term == 0:
        return False  # the log brought it
    return stored.entries[applied.position - base.index - 1].term != term


def _term_of_applied(stored: _Stored, applied: Applied) -> int:
    """The term of the block that the ledger executed last; 0 when no record tells."""
    for block in stored.fetched:
        if block.proposal.height == applied.height:
            term, index = decode_certificate(block.certificate)
            return term if index == applied.position else 0
    return 0


def _ledger_only(stored: _Stored, applied: Applied, *, stored_last: int) -> Restored:
    """A first start, or a log that is lost or overtaken: continue from the ledger.

    The term there is known only when the last block was fetched.  So are the members then:
    those of the snapshot that it was fetched for.  They may be ahead of the base; changes in
    between, when they come once more, change nothing.
    """
    term = 0 if stored.target is None else _term_of_applied(stored, applied)
    base = Base(applied.position, term, applied.height, applied.digest)
    members = stored.members if stored.target is None else stored.target.members
    hard = stored.hard if stored.hard.term >= term else HardState(term, None)
    return Restored(
        hard,
        base,
        (),
        applied.position,
        tuple(stored.fetched),
        members,
        stored.target,
        stored_last=stored_last,
        base_stored=False,
    )


class Journal:
    """Collects what changed since the last drain and states it as the fewest records."""

    def __init__(self, restored: Restored) -> None:
        self._hard = restored.hard
        self._commit = restored.commit
        self._stored_last = restored.stored_last
        self._base_dirty = not restored.base_stored
        self._wiped = not restored.base_stored
        self._members: Members | None = None  # at the base, if they are to be written
        self._must_sync = False
        self._extra: list[Record] = []

    def note_compaction(self, members: Members) -> None:
        """The base moved up; needs no sync: a crash leaves the longer log, as good as this."""
        self._base_dirty, self._members = True, members

    def note_base(self, *, wiped: bool, members: Members | None = None) -> None:
        """The base is another one; ``wiped``: and no entry of the old log remains."""
        self._base_dirty = self._must_sync = True
        self._wiped = self._wiped or wiped
        self._members = self._members if members is None else members

    def note_target(self, target: Target | None) -> None:
        """Blocks are fetched for ``target``; None: no longer for any."""
        if target is None:
            self._extra.append(Delete(TARGET_KEY))
        else:
            self._extra.append(Put(TARGET_KEY, wire.encode(target)))

    def note_fetched(self, block: Fetched) -> None:
        self._must_sync = True
        self._extra.append(Put(synced_key(block.proposal.height), wire.encode(block)))

    def forget_fetched(self, height: int) -> None:
        """Fetched blocks up to ``height`` are executed and need not be kept."""
        self._extra.append(DeleteRange(synced_key(0), synced_key(height + 1)))

    @property
    def pending(self) -> bool:
        return bool(self._extra or self._base_dirty)

    def take(
        self, turn: CoreTurn, log: BlockLog
    ) -> tuple[tuple[Record, ...], tuple[Proposal, ...], bool]:
        """Return (records, proposals newly in the log, whether they must be synced)."""
        records: list[Record] = []
        bodies: list[Proposal] = []
        must_sync = self._must_sync or turn.must_sync
        if turn.hard is not None and turn.hard != self._hard:
            records.append(Put(HARD_KEY, wire.encode(turn.hard)))
            self._hard = turn.hard
        if self._base_dirty:
            records += self._base_records(log.base)
        if turn.entries:
            start = turn.entries[0].index
            if start <= self._stored_last:
                records.append(DeleteRange(log_key(start), log_key(self._stored_last + 1)))
            self._stored_last = turn.entries[-1].index
        for entry in turn.entries:
            records.append(Put(log_key(entry.index), wire.encode(entry)))
            if entry.proposal is not None:
                bodies.append(entry.proposal)
        if turn.commit is not None and turn.commit != self._commit:
            self._commit = turn.commit
            records.append(Put(COMMIT_KEY, codec.encode(turn.commit)))
        records += self._extra
        self._must_sync = False
        self._extra.clear()
        return tuple(records), tuple(bodies), must_sync

    def _base_records(self, base: Base) -> list[Record]:
        if self._wiped:
            end = log_key(max(self._stored_last, base.index) + 1)
            self._stored_last = base.index
        else:
            end = log_key(base.index + 1)
        records: list[Record] = [base_record(base), DeleteRange(log_key(0), end)]
        if self._members is not None:
            records.append(Put(MEMBERS_KEY, wire.encode(self._members)))
        self._base_dirty = self._wiped = False
        self._members = None
        return records

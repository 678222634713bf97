"""What Raft keeps on disk, how it gets there, and how it comes back.

Owns: the key layout under ``raft/`` and the journal that turns log changes into records.
Everything of one turn is one atomic batch, so a crash leaves the state before or after it.

  raft/hard              HardState: term and vote in one record, never one without the other
  raft/base              Base: where the log starts (written at first start, then by compaction)
  raft/commit            commit index; lazy, never synced for its own sake
  raft/log/<be64 index>  Entry
  raft/synced/<be64 h>   Fetched: a block fetched below the base, until the ledger executed it
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from consensus import codec, wire
from consensus.codec import Malformed
from consensus.raft.log import Base, Entry, Log
from consensus.types import Applied, DeleteRange, NodeId, Proposal, Put, Record

PREFIX: Final = b"raft/"
HARD_KEY: Final = PREFIX + b"hard"
BASE_KEY: Final = PREFIX + b"base"
COMMIT_KEY: Final = PREFIX + b"commit"
LOG_PREFIX: Final = PREFIX + b"log/"
SYNCED_PREFIX: Final = PREFIX + b"synced/"
RECORD_BYTES_MAX: Final = 1 << 20


class RecordsDamaged(Exception):
    """The stored records contradict themselves or the ledger: the disk is not to be trusted.

    The node must not start; restore it from backup or let it join under a new id.
    """

    code = "raft-records-damaged"


@dataclass(frozen=True, slots=True)
class HardState:
    term: int
    vote: NodeId | None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A block taken through ``Engine.synced``, with the certificate it came with."""

    proposal: Proposal
    certificate: bytes


@dataclass(frozen=True, slots=True)
class Restored:
    hard: HardState
    base: Base
    entries: tuple[Entry, ...]
    commit: int
    fetched: tuple[Fetched, ...]
    base_stored: bool


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
        elif key.startswith(LOG_PREFIX):
            stored.entries.append(wire.decode(Entry, value, size_max=RECORD_BYTES_MAX))
        elif key.startswith(SYNCED_PREFIX):
            stored.fetched.append(wire.decode(Fetched, value, size_max=RECORD_BYTES_MAX))
    return stored


def _settle(stored: _Stored, applied: Applied) -> Restored:
    hard, base, entries = stored.hard, stored.base, stored.entries
    fetched = tuple(stored.fetched)
    if base is None:
        if entries:
            raise RecordsDamaged("a log without its base")
        return _ledger_only(hard, applied, fetched)
    last = base.index + len(entries)
    if [entry.index for entry in entries] != list(range(base.index + 1, last + 1)):
        raise RecordsDamaged(f"the log after index {base.index} has holes")
    if last < applied.position:
        # The ledger is ahead of these records: an older copy of them came back.  Entries up
        # to the ledger's position are final, whatever their terms were.
        return _ledger_only(hard, applied, fetched)
    if hard.term < (entries[-1].term if entries else base.term):
        if entries:
            raise RecordsDamaged(f"an entry of a term after {hard.term}")
        hard = HardState(base.term, None)  # a log that just starts, see ``base_record``
    commit = max(stored.commit, base.index, applied.position)
    if commit > last:
        raise RecordsDamaged(f"commit index {commit} is beyond the last entry {last}")
    return Restored(hard, base, tuple(entries), commit, fetched, base_stored=True)


def _ledger_only(hard: HardState, applied: Applied, fetched: tuple[Fetched, ...]) -> Restored:
    """A first start, or a lost log: continue from the ledger, in a term yet to be learnt."""
    base = Base(applied.position, 0, applied.height, applied.digest)
    return Restored(hard, base, (), applied.position, fetched, base_stored=False)


class Journal:
    """Collects what changed since the last drain and states it as the fewest records."""

    def __init__(self, restored: Restored) -> None:
        self._hard = restored.hard
        self._commit = restored.commit
        self._stored_last = restored.base.index + len(restored.entries)
        self._dirty_from = self._stored_last + 1
        self._base_dirty = not restored.base_stored
        self._wiped = not restored.base_stored
        self._must_sync = False
        self._extra: list[Record] = []

    def note_change(self, index: int) -> None:
        """Entries from ``index`` on were added, dropped or replaced."""
        self._dirty_from = min(self._dirty_from, index)

    def note_compaction(self) -> None:
        """The base moved up; needs no sync: a crash leaves the longer log, as good as this."""
        self._base_dirty = True

    def note_base(self, *, wiped: bool) -> None:
        """The base is another one; ``wiped``: and no entry of the old log remains."""
        self._base_dirty = self._must_sync = True
        self._wiped = self._wiped or wiped

    def note_fetched(self, block: Fetched) -> None:
        self._must_sync = True
        self._extra.append(Put(synced_key(block.proposal.height), wire.encode(block)))

    def forget_fetched(self, height: int) -> None:
        """The ledger executed ``height``: fetched blocks up to it need not be kept."""
        self._extra.append(DeleteRange(synced_key(0), synced_key(height + 1)))

    def pending(self, log: Log, hard: HardState, commit: int) -> bool:
        return bool(
            self._extra
            or self._base_dirty
            or self._dirty_from <= max(self._stored_last, log.last)
            or hard != self._hard
            or commit != self._commit
        )

    def take(
        self, log: Log, hard: HardState, commit: int
    ) -> tuple[tuple[Record, ...], tuple[Proposal, ...], bool]:
        """Return (records, proposals newly in the log, whether they must be synced)."""
        records: list[Record] = []
        bodies: list[Proposal] = []
        must_sync = self._must_sync
        if hard != self._hard:
            records.append(Put(HARD_KEY, wire.encode(hard)))
            must_sync = True
        if self._base_dirty:
            end = log_key(self._stored_last + 1) if self._wiped else log_key(log.base.index + 1)
            records += [base_record(log.base), DeleteRange(log_key(0), end)]
        dirty_from = log.first if self._wiped else max(self._dirty_from, log.first)
        if not self._wiped and dirty_from <= self._stored_last:
            records.append(DeleteRange(log_key(dirty_from), log_key(self._stored_last + 1)))
        for index in range(dirty_from, log.last + 1):
            entry = log.entry(index)
            records.append(Put(log_key(index), wire.encode(entry)))
            must_sync = True
            if entry.proposal is not None:
                bodies.append(entry.proposal)
        if dirty_from <= self._stored_last and not self._wiped:
            must_sync = True
        if commit != self._commit:
            records.append(Put(COMMIT_KEY, codec.encode(commit)))
        records += self._extra
        self._hard, self._commit = hard, commit
        self._stored_last, self._dirty_from = log.last, log.last + 1
        self._base_dirty = self._wiped = self._must_sync = False
        self._extra.clear()
        return tuple(records), tuple(bodies), must_sync

"""Historical mistakes, each one function wide: the simulator has to find every one of them.

A mutant is planted for one run and taken out again.  ``python tests/sim/mutants.py`` prints
how many seeds each of them survives.
"""

import dataclasses
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.sim.world import play  # noqa: E402 - the path comes first

Planting = tuple[object, str, Any]


@dataclass(frozen=True, slots=True)
class Mutant:
    """``plant`` names what to replace.  One of the seeds below ``seeds_max`` finds it; the
    test starts at ``first``."""

    name: str
    engine: str
    seeds_max: int
    plant: Callable[[], list[Planting]]
    first: int = 0
    hard: bool = False  # needs the harsh plans


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    before = []
    try:
        for owner, name, other in mutant.plant():
            before.append((owner, name, getattr(owner, name)))
            setattr(owner, name, other)
        yield
    finally:
        for owner, name, honest in reversed(before):
            setattr(owner, name, honest)


@dataclass(frozen=True, slots=True)
class Found:
    seed: int
    what: str


def hunt(mutant: Mutant, *, first: int | None = None) -> Found | None:
    """Play seeds with ``mutant`` planted until one fails; None when all of them pass."""
    start = mutant.first if first is None else first
    with planted(mutant):
        for seed in range(start, mutant.seeds_max):
            try:
                play(seed, mutant.engine, hard=mutant.hard)
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1].name
                return Found(seed, f"{type(error).__name__} in {where}: {error}"[:80])
    return None


# --- the order of a turn --------------------------------------------------------------------


def promise_before_the_sync() -> list[Planting]:
    """The turn's promises leave, and count, while its records are only in memory."""
    from tests.sim.node import SimNode

    honest = SimNode._write

    def write(node: SimNode, turn: Any) -> None:
        honest(node, dataclasses.replace(turn, must_sync=False, bodies=()))

    return [(SimNode, "_write", write)]


# --- Raft -----------------------------------------------------------------------------------


def commit_entries_of_older_terms() -> list[Planting]:
    """Commit by counting, whatever term an entry is of (Raft paper, figure 8)."""
    from consensus.raft import replication

    def maybe_commit(core: Any) -> bool:
        return bool(core.commit_to(core.tracker.committed()))

    return [(replication, "maybe_commit", maybe_commit)]


def vote_not_written() -> list[Planting]:
    """The vote stays in memory; the guard, which would notice, is switched off."""
    from consensus import wire
    from consensus.guard import SignGuard
    from consensus.raft import records
    from consensus.types import Put

    honest = records.Journal.take

    def take(journal: Any, turn: Any, log: Any) -> Any:
        written, bodies, must_sync = honest(journal, turn, log)
        term = 0 if turn.hard is None else turn.hard.term
        blank = Put(records.HARD_KEY, wire.encode(records.HardState(term, None)))
        kept = [blank if getattr(r, "key", b"") == blank.key else r for r in written]
        return tuple(kept), bodies, must_sync

    return [(records.Journal, "take", take), (SignGuard, "admit", lambda *_: ())]


def vote_for_any_log() -> list[Planting]:
    """A candidate may lack what is committed (Raft paper 5.4.1 dropped)."""
    from consensus.raft import election

    return [(election, "_would_vote", lambda core, message: core.may_vote)]


def truncate_on_a_shorter_append() -> list[Planting]:
    """An old, short append cuts off entries that were acknowledged since."""
    from consensus.raft import following

    def unknown_entries(core: Any, message: Any) -> Any:
        return tuple(entry for entry in message.entries if entry.index > core.commit)

    return [(following, "_unknown_entries", unknown_entries)]


# --- PBFT -----------------------------------------------------------------------------------


def textbook_quorum() -> list[Planting]:
    """2f + 1, which two disjoint honest halves can reach when n is not 3f + 1."""
    from consensus import types
    from consensus.quorum import byzantine_faults_max

    return [(types, "byzantine_quorum", lambda n: 2 * byzantine_faults_max(n) + 1)]


def quorum_of_one_honest() -> list[Planting]:
    """f + 1: one honest member, but not the same one twice."""
    from consensus import types
    from consensus.quorum import weak_quorum

    return [(types, "byzantine_quorum", weak_quorum)]


def new_view_carries_nothing() -> list[Planting]:
    """Prepared certificates in view changes are ignored by the primary and by backups."""
    from consensus.pbft import view_change

    honest = view_change.select

    def select(view_changes: Any) -> Any:
        return dataclasses.replace(honest(view_changes), chosen=())

    return [(view_change, "select", select)]


def _lose_record(name: str) -> list[Planting]:
    from consensus.pbft.records import Keys
    from consensus.types import Put

    return [(Keys, name, lambda *_, **__: Put(b"lost", b""))]


def prepared_certificate_not_written() -> list[Planting]:
    return _lose_record("prepared")


def accepted_proposal_not_written() -> list[Planting]:
    return _lose_record("accepted")


def view_not_written() -> list[Planting]:
    return _lose_record("view")


def votes_for_any_block_count() -> list[Planting]:
    """A quorum of commits is counted without looking at what they commit to."""
    from consensus.pbft.votes import Quorum, VoteBook

    def quorum(book: Any, kind: str, height: int, needed: int) -> Any:
        votes = [v for v in book._now.values() if v.kind == kind and v.height == height]
        if len(votes) < needed:
            return None
        signatures = {vote.signer: vote.signature for vote in votes}
        return Quorum(votes[0].view, votes[0].value, signatures)

    return [(VoteBook, "quorum", quorum)]


def commit_without_prepares() -> list[Planting]:
    """Prepares are counted from anybody for anything: the first phase is dropped."""
    from consensus.pbft.votes import VoteBook

    def agreeing(book: Any, kind: str, height: int, value: bytes) -> dict[str, bytes]:
        return {
            vote.signer: vote.signature
            for vote in book._now.values()
            if vote.kind == kind and vote.height == height
        }

    return [(VoteBook, "agreeing", agreeing)]


MUTANTS = (
    Mutant("promise before the sync", "raft", 20, promise_before_the_sync),
    Mutant("vote not written", "raft", 400, vote_not_written, hard=True),
    Mutant("vote for any log", "raft", 100, vote_for_any_log, first=15),
    Mutant("truncate on a shorter append", "raft", 200, truncate_on_a_shorter_append, first=45),
    Mutant(
        "commit entries of older terms",
        "raft",
        500,
        commit_entries_of_older_terms,
        first=288,
        hard=True,
    ),
    Mutant("quorum of f + 1", "pbft", 20, quorum_of_one_honest),
    Mutant("new view carries nothing over", "pbft", 400, new_view_carries_nothing, first=112),
    Mutant(
        "prepared certificate not written",
        "pbft",
        200,
        prepared_certificate_not_written,
        first=63,
        hard=True,
    ),
    Mutant("accepted proposal not written", "pbft", 100, accepted_proposal_not_written),
    Mutant("view not written", "pbft", 50, view_not_written),
    Mutant("commits for any block count", "pbft", 50, votes_for_any_block_count),
)


def main() -> int:
    missed = 0
    wanted = sys.argv[1:]
    print(f"{'engine':8}{'mutant':40}{'seeds':>6}  found as")
    for mutant in MUTANTS:
        if wanted and not any(word in (mutant.name, mutant.engine) for word in wanted):
            continue
        found = hunt(mutant, first=0)
        missed += found is None
        seeds, what = (found.seed + 1, found.what) if found else ("-", "not found")
        print(f"{mutant.engine:8}{mutant.name:40}{seeds:>6}  {what}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

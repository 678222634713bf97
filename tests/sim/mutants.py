"""Historical mistakes, each one function wide: the simulator has to find every one of them.

A mutant is planted for one run and taken out again.  ``python tests/sim/mutants.py`` prints
how many seeds each of them survives.
"""

import dataclasses
import sys
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
    """``plant`` names what to replace; ``seeds_max``: found within that many seeds."""

    name: str
    engine: str
    seeds_max: int
    plant: Callable[[], list[Planting]]


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
    seeds: int
    what: str


def hunt(mutant: Mutant, *, first: int = 0, seeds_max: int | None = None) -> Found | None:
    """Play seeds with ``mutant`` planted until one fails; None when all of them pass."""
    limit = mutant.seeds_max if seeds_max is None else seeds_max
    with planted(mutant):
        for seed in range(first, first + limit):
            try:
                play(seed, mutant.engine)
            except Exception as error:
                return Found(seed - first + 1, f"{type(error).__name__}: {error}"[:70])
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
        matches = [min(core.durable, core.log.last)]
        matches += [progress.match for progress in core.progress.values()]
        index = sorted(matches, reverse=True)[core.majority - 1]
        if index <= core.commit:
            return False
        core.commit_to(index)
        core.each_peer(replication.send_append)
        return True

    return [(replication, "maybe_commit", maybe_commit)]


def vote_not_written() -> list[Planting]:
    """Term and vote stay in memory; the guard's own record is forgotten with them."""
    from consensus.guard import SignGuard
    from consensus.raft import records

    honest = records.Journal.take

    def take(journal: Any, log: Any, hard: Any, commit: int) -> Any:
        written, bodies, must_sync = honest(journal, log, hard, commit)
        kept = [r for r in written if getattr(r, "key", b"") != records.HARD_KEY]
        return tuple(kept), bodies, must_sync

    return [(records.Journal, "take", take), (SignGuard, "admit", lambda *_: ())]


def vote_for_any_log() -> list[Planting]:
    """A candidate may lack what is committed (Raft paper 5.4.1 dropped)."""
    from consensus.raft import election

    return [(election, "_would_vote", lambda core, message: core.may_vote)]


def append_without_matching() -> list[Planting]:
    """A follower does not compare the term before the entries (Raft paper 5.3 dropped)."""
    from consensus.raft import following

    honest = following._refuse_gap

    def refuse_gap(core: Any, message: Any) -> None:
        if message.prev_index > core.log.last:
            honest(core, message)
        else:
            following.acknowledge(core, message.last_index)

    return [(following, "_refuse_gap", refuse_gap)]


def acknowledge_the_whole_log() -> list[Planting]:
    """Acknowledge what lies beyond the append, too: it may be another leader's."""
    from consensus.raft import following

    honest = following.acknowledge

    def acknowledge(core: Any, index: int) -> None:
        honest(core, max(index, core.log.last))

    return [(following, "acknowledge", acknowledge)]


def truncate_on_a_shorter_append() -> list[Planting]:
    """An old, short append cuts off entries that were acknowledged since."""
    from consensus.raft import following

    def unknown_entries(core: Any, message: Any) -> Any:
        return tuple(entry for entry in message.entries if entry.index > core.commit)

    return [(following, "_unknown_entries", unknown_entries)]


def count_own_entries_at_once() -> list[Planting]:
    """The leader counts itself before its own disk has the entries."""
    from consensus.raft import replication

    def maybe_commit(core: Any) -> bool:
        matches = [core.log.last]
        matches += [progress.match for progress in core.progress.values()]
        index = sorted(matches, reverse=True)[core.majority - 1]
        if index <= core.commit or core.log.term_at(index) != core.term:
            return False
        core.commit_to(index)
        core.each_peer(replication.send_append)
        return True

    return [(replication, "maybe_commit", maybe_commit)]


MUTANTS = (
    Mutant("promise before the sync", "raft", 20, promise_before_the_sync),
    Mutant("commit entries of older terms", "raft", 4000, commit_entries_of_older_terms),
    Mutant("vote not written", "raft", 50, vote_not_written),
    Mutant("vote for any log", "raft", 200, vote_for_any_log),
    Mutant("append without matching", "raft", 200, append_without_matching),
    Mutant("acknowledge the whole log", "raft", 200, acknowledge_the_whole_log),
    Mutant("truncate on a shorter append", "raft", 200, truncate_on_a_shorter_append),
    Mutant("count own entries at once", "raft", 50, count_own_entries_at_once),
)


def main() -> int:
    missed = 0
    print(f"{'engine':8}{'mutant':40}{'seeds':>6}  found as")
    for mutant in MUTANTS:
        found = hunt(mutant)
        missed += found is None
        seeds, what = (found.seeds, found.what) if found else ("-", "not found")
        print(f"{mutant.engine:8}{mutant.name:40}{seeds:>6}  {what}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

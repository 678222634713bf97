"""Families of plans for PBFT: more of what one part of it has to stand.

Each returns the fields in which a plan of the family differs from an ordinary one of the same
seed.  Undirected faults hardly ever bring about what a view change must survive; these aim.
"""

import random
from collections.abc import Callable
from typing import Any

from tests.sim.scripts import (
    EPOCH_LIARS,
    ERA_LIARS,
    SILENT,
    SPLITTERS,
    WHISPERERS,
)

MS = 1000  # microseconds


def _forks(rng: random.Random) -> dict[str, Any]:
    """Liars that can split the others, while views change at the worst moments."""
    members = rng.choice((4, 4, 4, 5, 5, 6, 7))
    seats = range(min(3, members))
    count = rng.randint(1, (members - 1) // 3)
    liars = {place: rng.choice(SPLITTERS) for place in rng.sample(seats, count)}
    return {
        "members": members,
        "spares": 0,
        "member_changes": 0,
        "faults_us": rng.randint(600, 2000) * MS,
        "transactions": rng.randint(6, 20),
        "block_transactions_max": 1,
        "window": rng.choice((1, 2, 4, 8)),
        "rotation_blocks": rng.choice((0, 0, 1)),
        "checkpoint_lag_max": 0,
        "patience": rng.choice((0.5, 0.7)),
        "latency_us": rng.choice((500, 1000, 3000)),
        "loss": rng.choice((0.0, 0.05, 0.15, 0.3)),
        "slow_message": rng.choice((0.0, 0.05, 0.2)),
        "slow_message_us": rng.choice((50, 200)) * MS,
        "partition_us": rng.choice((0, 60, 120)) * MS,
        "partition_stability_us": rng.choice((40, 100, 250)) * MS,
        "cut_point": rng.choice((0.0, 0.02, 0.08)),
        "cut_commit": rng.choice((0.0, 0.1, 0.3)),
        "crash_us": rng.choice((0, 100, 300)) * MS,
        "power_loss": 1.0,
        "down_us": rng.choice((10, 60, 200)) * MS,
        "depose": rng.choice((0.0, 0.5, 0.9)),
        "apply_us": 0,
        "capacity": 0,
        "clog_us": 0,
        "wipe": False,
        "strict": rng.random() < 0.5,
        "byzantine": tuple(sorted(liars.items())),
    }


def _carousel(rng: random.Random) -> dict[str, Any]:
    """One honest member is always away, another each time, and the rest needs its liar.

    Who was away in one view has its say in the next one, with certificates that the others
    never saw.  Undirected faults hardly ever bring two rival certificates together.
    """
    members = rng.choice((4, 4, 4, 4, 7))
    seats = rng.sample(range(members), (members - 1) // 3)
    liars = {place: rng.choice(WHISPERERS) for place in seats}
    return {
        "members": members,
        "spares": 0,
        "member_changes": 0,
        "faults_us": rng.randint(2000, 4000) * MS,
        "transactions": rng.randint(10, 25),
        "block_transactions_max": 1,
        "window": rng.choice((1, 1, 2, 4)),
        "rotation_blocks": 0,
        "checkpoint_lag_max": 0,
        "patience": 0.5,
        "batch_us": rng.choice((0, 300)),
        "latency_us": rng.choice((200, 1000, 3000)),
        "ordered_links": False,
        "loss": rng.choice((0.0, 0.0, 0.05, 0.2)),
        "slow_message": 0.0,
        "duplication": 0.0,
        "capacity": 0,
        "clog_us": 0,
        "partition_us": 0,
        "carousel_us": rng.choice((150, 300, 600)) * MS,
        "cut_commit": rng.choice((0.3, 0.6, 0.9)),
        "crash_us": rng.choice((0, 0, 400)) * MS,
        "crash_point": 0.0,
        "cut_point": 0.0,
        "depose": 0.0,
        "pause_us": 0,
        "apply_us": 0,
        "sync_us": rng.choice((100, 500)),
        "sync_failure": 0.0,
        "disk_full_us": 0,
        "wipe": False,
        "byzantine": tuple(sorted(liars.items())),
    }


def _restarts(rng: random.Random) -> dict[str, Any]:
    """Members that die between any two steps, all the time, while views change."""
    return {
        "members": rng.choice((4, 4, 4, 5)),
        "spares": 0,
        "member_changes": 0,
        "faults_us": rng.randint(800, 2500) * MS,
        "transactions": rng.randint(8, 20),
        "block_transactions_max": 1,
        "checkpoint_lag_max": 0,
        "patience": rng.choice((0.5, 0.7)),
        "latency_us": rng.choice((500, 1000, 3000)),
        "loss": rng.choice((0.0, 0.1, 0.25)),
        "crash_us": rng.choice((40, 80, 160)) * MS,
        "crash_point": rng.choice((0.0, 0.005, 0.02)),
        "power_loss": rng.choice((0.5, 1.0)),
        "down_us": rng.choice((5, 20, 80)) * MS,
        "depose": rng.choice((0.0, 0.5, 0.9)),
        "apply_us": rng.choice((0, 500, 5000)),
        "sync_us": rng.choice((100, 500, 2000)),
        "wipe": False,
    }


def _epochs(rng: random.Random) -> dict[str, Any]:
    """Committees that change while views do, and a member that shows what was true before."""
    return {
        "members": rng.choice((4, 4, 5)),
        "spares": 1,
        "member_changes": rng.randint(2, 5),
        "faults_us": rng.randint(1200, 3000) * MS,
        "transactions": rng.randint(6, 14),
        "patience": rng.choice((0.5, 0.7)),
        "depose": rng.choice((0.3, 0.6, 0.9)),
        "partition_us": rng.choice((0, 150, 300)) * MS,
        "partition_stability_us": rng.randint(40, 150) * MS,
        "loss": rng.choice((0.0, 0.05)),
        "wipe": False,
        "core": "",
        "byzantine": ((rng.randrange(4), rng.choice(EPOCH_LIARS)),),
    }


def _slow_network(rng: random.Random) -> dict[str, Any]:
    """For minutes every message takes longer than any patience; then all is well at once, but
    for one member that stays silent.

    The views that failed meanwhile must not be paid for: nobody waits longer than the cap.
    """
    return {
        "members": 4,
        "spares": 0,
        "member_changes": 0,
        "faults_us": rng.randint(120, 240) * 1000 * MS,
        "transactions": rng.randint(2, 5),
        "patience": 0.5,
        "slow_message": 1.0,
        "slow_message_us": rng.choice((20, 40)) * 1000 * MS,
        "recovery_us": 20_000 * MS,  # eight waits of full length
        "loss": 0.85,
        "duplication": 0.0,
        "ordered_links": rng.random() < 0.5,
        "capacity": 0,
        "clog_us": 0,
        "crash_us": 0,
        "crash_point": 0.0,
        "pause_us": 0,
        "partition_us": 0,
        "unreachable_us": 0,
        "disk_full_us": 0,
        "wall_jump_us": 0,
        "drift_ppm": 0,
        "sync_failure": 0.0,
        "reads_us": 0,
        "cut_point": 0.0,
        "depose": 0.0,
        "cosign_blocks": 0,
        "wipe": False,
        "core": "",
        "byzantine": ((rng.randrange(4), SILENT),),
    }


PBFT: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "forks": _forks,
    "carousel": _carousel,
    "restarts": _restarts,
    "epochs": _epochs,
    "slow network": _slow_network,
}


def eras(rng: random.Random, members: int, *, long: bool) -> dict[str, Any]:
    """Eras that follow one another while everything else goes on as well.

    At most one liar, and then four voters at least: f is 1 in every PBFT era.
    """
    liars: tuple[tuple[int, str], ...] = ()
    if members >= 4 and rng.random() < 0.4:
        liars = ((rng.randrange(members), rng.choice(ERA_LIARS)),)
    return {
        "byzantine": liars,
        "spares": rng.randint(1, 2),
        "member_changes": rng.randint(8, 20) if long else rng.randint(2, 8),
        "founders": rng.choice(("raft", "pbft")),
        "voters_min": rng.choice((1, 2, 3)),
        "wipe": False,
        "core": "",
    }


def _reads_at_barriers(rng: random.Random) -> dict[str, Any]:
    """Readers at members that are late for an era, which others leave in large steps."""
    return {
        "members": rng.choice((3, 3, 4)),
        "spares": rng.randint(0, 2),
        "byzantine": (),
        "voters_min": 1,
        "changes": ("alone",) * 12,
        "member_changes": rng.randint(8, 20),
        "faults_us": rng.randint(500, 1000) * MS,
        "transactions": rng.randint(60, 100),
        "block_transactions_max": 8,
        "window": 1,
        "reads_us": rng.choice((2, 5)) * MS,
        "latency_us": rng.choice((1000, 3000, 8000)),
        "loss": 0.0,
        "slow_message": rng.choice((0.05, 0.15, 0.3)),
        "slow_message_us": rng.choice((50, 200)) * MS,
        "ordered_links": False,
        "partition_us": rng.choice((0, 60, 120)) * MS,
        "partition_stability_us": rng.choice((40, 100)) * MS,
        "crash_us": 0,
        "crash_point": 0.0,
        "apply_us": rng.choice((100, 500)),
        "slow_ledger_us": rng.choice((20, 60, 150)) * MS,
        "sync_us": rng.choice((100, 500)),
        "slow_sync": 0.0,
        "capacity": 0,
        "clog_us": 0,
    }


def _falling_successors(rng: random.Random) -> dict[str, Any]:
    """Members that die in the middle of every change, first leaders above all, and are back
    before anybody else is elected, without what they had sent and not yet written."""
    return {
        "member_changes": rng.randint(8, 20),
        "faults_us": rng.randint(500, 1500) * MS,
        "transactions": rng.randint(15, 40),
        "block_transactions_max": rng.choice((1, 1, 2)),
        "patience": rng.choice((0.7, 1.5, 2.0)),
        "depose": rng.choice((0.5, 0.9)),
        "crash_point": rng.choice((0.01, 0.03, 0.06)),
        "power_loss": 1.0,
        "down_us": rng.choice((2, 5, 20, 100)) * MS,
        "sync_us": rng.choice((500, 2000, 8000)),
        "latency_us": rng.choice((200, 500, 1000)),
        "apply_us": rng.choice((0, 500, 5000)),
        "disk_full_us": 0,
    }


def _left_behind(rng: random.Random) -> dict[str, Any]:
    """One member after the other is away for some eras."""
    return {
        "members": rng.choice((3, 4, 4, 5)),
        "spares": 2,
        "byzantine": (),
        "voters_min": rng.choice((2, 3)),
        "member_changes": rng.randint(10, 25),
        "faults_us": rng.randint(1500, 3000) * MS,
        "transactions": rng.randint(10, 25),
        "carousel_us": rng.choice((150, 300, 600)) * MS,
        "partition_us": 0,
        "crash_us": rng.choice((0, 300)) * MS,
        "log_keep_entries": rng.choice((2, 16)),
    }


ERAS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "reads": _reads_at_barriers,
    "falling": _falling_successors,
    "behind": _left_behind,
}

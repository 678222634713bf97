"""What a seed means: one plan of cluster, load and faults, all drawn from the seed.

Swarm testing: each seed turns on its own subset of the faults and draws their strength, so
that a frequent fault does not hide a rare one.
"""

import random
from dataclasses import dataclass, replace

MS = 1000  # microseconds

SIZES = {"raft": (1, 3, 3, 3, 5), "pbft": (1, 4, 4, 4, 5, 7), "oneleader": (1, 3, 4)}
TWINS, SILENT, GARBAGE, FORGER = "twins", "silent", "garbage", "forger"
BYZANTINE_KINDS = (TWINS, TWINS, TWINS, FORGER, FORGER, SILENT, GARBAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    seed: int
    engine: str
    members: int
    faults_us: int
    transactions: int
    block_transactions_max: int
    window: int
    latency_us: int
    latency_spread_us: int
    loss: float
    duplication: float
    slow_message: float  # share of messages that arrive very late
    partition_us: int  # mean time between partitions; 0: none
    partition_stability_us: int
    crash_us: int  # mean time between crashes; 0: none
    crash_point: float  # chance of a crash at each step of a turn
    power_loss: float  # share of crashes that lose unsynced writes
    down_us: int
    sync_us: int
    slow_sync: float  # share of syncs that take far longer
    apply_us: int
    pause_us: int  # mean time between pauses; 0: none
    depose: float  # chance that a new leader is struck at the start of its round
    skew_ms: int
    step_while_writing: bool
    message_entries_max: int  # Raft: log entries in one append
    inflight_messages_max: int  # Raft: appends under way to one follower
    log_keep_entries: int  # Raft: what compaction leaves
    real_keys: bool
    byzantine: tuple[tuple[int, str], ...]


def draw(seed: int, engine: str) -> Plan:
    """Return the plan of ``seed``; the same arguments give the same plan for ever."""
    rng = random.Random(f"plan/{engine}/{seed}")

    def sometimes(share: float) -> bool:
        return rng.random() < share

    members = rng.choice(SIZES[engine])
    faults_max = (members - 1) // 3
    byzantine: tuple[tuple[int, str], ...] = ()
    if engine == "pbft" and faults_max and sometimes(0.45):
        count = rng.randint(1, faults_max)
        who = sorted(rng.sample(range(members), count))
        byzantine = tuple((index, rng.choice(BYZANTINE_KINDS)) for index in who)
    latency_us = rng.choice((200, 1000, 3000, 10_000))
    return Plan(
        seed=seed,
        engine=engine,
        members=members,
        faults_us=rng.randint(2000, 4500) * MS,
        transactions=rng.randint(8, 36),
        block_transactions_max=rng.choice((1, 1, 2, 3, 8)),
        window=rng.choice((1, 1, 1, 2, 4)) if engine == "raft" else 1,
        latency_us=latency_us,
        latency_spread_us=latency_us * rng.choice((0, 1, 1, 4)),
        loss=rng.uniform(0.0, 0.25) if sometimes(0.5) else 0.0,
        duplication=rng.uniform(0.0, 0.3) if sometimes(0.4) else 0.0,
        slow_message=rng.uniform(0.0, 0.05) if sometimes(0.4) else 0.0,
        partition_us=rng.randint(300, 1500) * MS if sometimes(0.5) else 0,
        partition_stability_us=rng.randint(100, 1200) * MS,
        crash_us=rng.randint(250, 1500) * MS if sometimes(0.55) else 0,
        crash_point=rng.uniform(0.001, 0.02) if sometimes(0.4) else 0.0,
        power_loss=rng.choice((0.0, 0.5, 1.0, 1.0)),
        down_us=rng.randint(20, 800) * MS,
        sync_us=rng.choice((100, 500, 2000, 8000)),
        slow_sync=rng.uniform(0.0, 0.1) if sometimes(0.3) else 0.0,
        apply_us=rng.choice((0, 0, 500, 5000)),
        pause_us=rng.randint(400, 2000) * MS if sometimes(0.25) else 0,
        depose=rng.uniform(0.2, 0.9) if sometimes(0.3) else 0.0,
        skew_ms=rng.choice((0, 0, 50, 400)),
        step_while_writing=sometimes(0.6),
        message_entries_max=1 + seed % 5,
        inflight_messages_max=1 + seed % 4,
        log_keep_entries=(2, 4, 16, 2048)[seed % 4],
        real_keys=engine == "pbft" and seed % 97 == 5,
        byzantine=byzantine,
    )


def harsh(seed: int, engine: str) -> Plan:
    """Return a plan in which leaders fall all the time, for a longer while.

    Faults in the rules about old leaders need several changes of leader in a row, each at a
    bad moment; ordinary plans seldom have them.
    """
    rng = random.Random(f"harsh/{engine}/{seed}")
    latency_us = rng.choice((2000, 5000, 10_000))
    return replace(
        draw(seed, engine),
        members=rng.choice((3, 5)) if engine == "raft" else 4,
        faults_us=12_000 * MS,
        transactions=60,
        block_transactions_max=1,
        latency_us=latency_us,
        latency_spread_us=2 * latency_us,
        loss=rng.choice((0.05, 0.15, 0.25)),
        slow_message=0.02,
        partition_us=500 * MS,
        partition_stability_us=rng.choice((200, 400, 700)) * MS,
        crash_us=rng.choice((120, 500)) * MS,
        crash_point=0.0,
        power_loss=1.0,
        down_us=50 * MS,
        sync_us=500,
        slow_sync=0.0,
        apply_us=0,
        pause_us=0,
        depose=0.95,
        step_while_writing=True,
        message_entries_max=1,
        inflight_messages_max=1,
        log_keep_entries=2,
        real_keys=False,
        byzantine=(),
    )

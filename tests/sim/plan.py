"""What a seed means: one plan of cluster, load and faults, all drawn from the seed.

Swarm testing: each seed turns on its own subset of the faults and draws their strength, so
that a frequent fault does not hide a rare one.  Most seeds are short (a second of faults, a
handful of transactions): mistakes show early or not at all, and short seeds try more of them.
"""

import dataclasses
import random
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.sim import families
from tests.sim.scripts import BYZANTINE_SCRIPTS, OPENER_SCRIPTS, TWINS

MS = 1000  # microseconds

SIZES = {
    "raft": (1, *[3] * 10, 5, 5, 5),
    "pbft": (1, *[4] * 14, 5, 5, 6, 7),
    "oneleader": (1, 3, 3, 4, 4),
    "eras": (1, 2, *[3] * 6, *[4] * 6, 5),
}
LONG_SHARE = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Times in microseconds, shares from 0 to 1; a mean time of 0 means never."""

    seed: int
    engine: str
    members: int
    spares: int  # further nodes that are no members yet
    faults_us: int
    transactions: int
    block_transactions_max: int
    window: int
    rotation_blocks: int
    checkpoint_lag_max: int
    patience: float  # engine timers, relative to the flavour's
    batch_us: int  # how long a process gathers inputs before it looks at them
    latency_us: int
    latency_spread_us: int
    ordered_links: bool  # messages of one link never overtake each other
    loss: float
    duplication: float
    slow_message: float
    slow_message_us: int
    capacity: int  # messages that wait in one link; 0: no bound
    service_us: int  # what a link needs per message, when it has a capacity
    clog_us: int  # mean time between stalls of one link
    clogged_us: int
    partition_us: int  # mean time between partitions
    partition_stability_us: int
    crash_us: int
    crash_point: float  # chance of a crash at each step of a turn
    cut_point: float  # chance that a node is cut off in the middle of what it sends
    power_loss: float  # share of crashes that lose unsynced writes
    torn: float  # share of these that leave half of the first lost write
    down_us: int
    wipe: bool  # once, a crashed disk comes back empty
    sync_us: int
    slow_sync: float
    sync_failure: float
    disk_full_us: int
    apply_us: int
    pause_us: int
    paused_us: int
    depose: float  # chance that a new leader is struck at the start of its round
    depose_candidate: float  # the same for one that has just begun to campaign
    skew_ms: int
    drift_ppm: int
    wall_jump_us: int
    wall_jump_ms: int
    unreachable_us: int  # mean time between broken links that lose nothing
    handover_us: int  # mean time between leaders asked to hand over, or to be forgotten
    reads_us: int
    cosign_blocks: int  # every so many blocks the states are cosigned
    member_changes: int
    core: str  # what heals first: "" everything, "cut" a quorum alone, "deaf" a quorum
    step_while_writing: bool
    message_entries_max: int  # Raft: log entries in one append
    inflight_messages_max: int  # Raft: appends under way to one follower
    log_keep_entries: int  # Raft: what compaction leaves
    check_every: int  # turns between two looks at the engine's own invariants
    strict: bool  # honest messages are decoded and verified like everybody's
    real_keys: bool
    byzantine: tuple[tuple[int, str], ...]
    cut_commit: float = 0.0  # PBFT: chance that a member is cut off as it states a commit
    recovery_us: int = 0  # what recovery may take; 0: what every plan grants
    carousel_us: int = 0  # mean time until another member is cut off in place of the last
    slow_ledger_us: int = 0  # what some members need on top to apply a block
    founders: str = "raft"  # eras: the engine of the first one
    changes: tuple[str, ...] = ()  # eras: kinds of change that come on top of the usual ones
    voters_min: int = 1  # eras: so many voters stay, whatever is asked for


def _cluster(rng: random.Random, engine: str, *, long: bool) -> dict[str, Any]:
    members = rng.choice(SIZES[engine])
    pbft = engine == "pbft"
    return {
        "members": members,
        "spares": 0,
        "faults_us": rng.randint(2500, 4500) * MS if long else rng.randint(200, 700) * MS,
        "transactions": rng.randint(12, 30) if long else rng.randint(2, 7),
        "block_transactions_max": rng.choice((1, 1, 2, 8)),
        "window": rng.choice((1, 1, 1, 2, 4, 8)),
        "rotation_blocks": rng.choice((0, 0, 1, 2)) if pbft else 0,
        "checkpoint_lag_max": rng.choice((0, 0, 8, 16)),
        "patience": rng.choice((0.5, 0.7, 1.0, 1.5)),
        "batch_us": rng.choice((0, 300, 1000, 2000)),
        "message_entries_max": rng.choice((1, 1, 2, 3, 5)),
        "inflight_messages_max": rng.choice((1, 1, 2, 3, 4)),
        "log_keep_entries": rng.choice((2, 2, 4, 16, 2048)),
        "step_while_writing": rng.random() < 0.6,
    }


def _network(rng: random.Random) -> dict[str, Any]:
    latency_us = rng.choice((200, 500, 1000, 3000, 8000))

    def sometimes(share: float) -> bool:
        return rng.random() < share

    return {
        "latency_us": latency_us,
        "latency_spread_us": latency_us * rng.choice((0, 1, 1, 4)),
        "ordered_links": sometimes(0.3),
        "loss": rng.uniform(0.0, 0.3) if sometimes(0.4) else 0.0,
        "duplication": rng.uniform(0.0, 0.4) if sometimes(0.35) else 0.0,
        "slow_message": rng.uniform(0.0, 0.1) if sometimes(0.4) else 0.0,
        "slow_message_us": rng.choice((50, 200, 600)) * MS,
        "capacity": rng.randint(2, 20) if sometimes(0.12) else 0,
        "service_us": rng.choice((20, 100, 1000)),
        "clog_us": rng.randint(30, 300) * MS if sometimes(0.15) else 0,
        "clogged_us": rng.choice((20, 100, 500)) * MS,
        "partition_us": rng.randint(60, 500) * MS if sometimes(0.5) else 0,
        "partition_stability_us": rng.randint(30, 400) * MS,
        "unreachable_us": rng.randint(50, 400) * MS if sometimes(0.2) else 0,
        "handover_us": rng.randint(80, 500) * MS if sometimes(0.2) else 0,
        "cut_point": rng.uniform(0.005, 0.08) if sometimes(0.3) else 0.0,
        "depose": rng.uniform(0.2, 0.9) if sometimes(0.3) else 0.0,
        "depose_candidate": 0.0,
    }


def _processes(rng: random.Random) -> dict[str, Any]:
    def sometimes(share: float) -> bool:
        return rng.random() < share

    return {
        "crash_us": rng.randint(80, 500) * MS if sometimes(0.5) else 0,
        "crash_point": rng.uniform(0.002, 0.03) if sometimes(0.4) else 0.0,
        "power_loss": rng.choice((0.0, 0.5, 1.0, 1.0)),
        "torn": rng.choice((0.0, 0.5, 1.0)),
        "down_us": rng.randint(5, 300) * MS,
        "wipe": sometimes(0.15),
        "sync_us": rng.choice((100, 500, 2000, 8000)),
        "slow_sync": rng.uniform(0.0, 0.15) if sometimes(0.3) else 0.0,
        "sync_failure": rng.uniform(0.0, 0.02) if sometimes(0.12) else 0.0,
        "disk_full_us": rng.randint(200, 900) * MS if sometimes(0.1) else 0,
        "apply_us": rng.choice((0, 0, 0, 500, 5000)),
        "pause_us": rng.randint(100, 600) * MS if sometimes(0.25) else 0,
        "paused_us": rng.choice((30, 150, 500)) * MS,
        "skew_ms": rng.choice((0, 0, 50, 400)),
        "drift_ppm": rng.choice((0, 0, 0, 200, 20_000)),
        "wall_jump_us": rng.randint(100, 500) * MS if sometimes(0.15) else 0,
        "wall_jump_ms": rng.choice((100, 900, 3000)),
        "reads_us": rng.randint(20, 150) * MS if sometimes(0.35) else 0,
        "cosign_blocks": rng.choice((1, 2, 4)) if sometimes(0.25) else 0,
        "core": rng.choice(("cut", "deaf")) if sometimes(0.35) else "",
    }


def _liars(rng: random.Random, members: int) -> tuple[tuple[int, str], ...]:
    faults_max = (members - 1) // 3
    if not faults_max or rng.random() < 0.5:
        return ()
    chosen: dict[int, str] = {}
    for _ in range(rng.randint(1, faults_max)):
        script = TWINS if rng.random() < 0.25 else rng.choice(BYZANTINE_SCRIPTS)
        # Who never opens a view never lies about one: the scripts that do sit early in turn.
        early = script in OPENER_SCRIPTS and rng.random() < 0.7
        chosen[rng.randrange(min(3, members)) if early else rng.randrange(members)] = script
    return tuple(sorted(chosen.items()))


def draw(seed: int, engine: str) -> Plan:
    """Return the plan of ``seed``; the same arguments give the same plan for ever.

    Some of the seeds are of the engine's families, see ``SHARES``.
    """
    place = random.Random(f"family/{engine}/{seed}").random()
    for family, share in SHARES.get(engine, {}).items():
        if place < share:
            return planned(seed, engine, focus=family)
        place -= share
    return _ordinary(seed, engine)


def _ordinary(seed: int, engine: str) -> Plan:
    rng = random.Random(f"plan/{engine}/{seed}")
    long = rng.random() < LONG_SHARE
    parts = _cluster(rng, engine, long=long) | _network(rng) | _processes(rng)
    pbft = engine == "pbft"
    byzantine = _liars(rng, parts["members"]) if pbft else ()
    several = 4 <= parts["members"] <= 5 if pbft else parts["members"] >= 3
    changes = engine in ("raft", "pbft") and several and rng.random() < 0.12
    if len(byzantine) >= (parts["members"] - 1) // 3 or parts["members"] == 1:
        parts["wipe"] = parts["wipe"] and not pbft and parts["members"] > 1
    if changes:
        spares = 1 if pbft else rng.randint(0, 2)
        count = rng.randint(1, 3) if pbft else rng.randint(3, 12)
        parts |= {"spares": spares, "member_changes": count, "wipe": False, "core": ""}
    if engine == "eras":
        parts |= families.eras(rng, parts["members"], long=long)
        byzantine = parts.pop("byzantine")
    if not parts["cosign_blocks"]:
        parts["checkpoint_lag_max"] = 0
    if engine == "oneleader":  # nobody can stand in for its leader
        parts |= {"wipe": False, "core": ""}
    parts.setdefault("member_changes", 0)
    if rng.random() < 0.03:
        parts |= CALM
    return Plan(
        seed=seed,
        engine=engine,
        check_every=1 if rng.random() < 0.05 else 16,
        strict=rng.random() < 0.15,
        real_keys=pbft and rng.random() < 0.01,
        byzantine=byzantine,
        **parts,
    )


CALM: dict[str, Any] = {
    "loss": 0.0, "duplication": 0.0, "slow_message": 0.0, "capacity": 0, "clog_us": 0,
    "partition_us": 0, "unreachable_us": 0, "handover_us": 0, "cut_point": 0.0, "depose": 0.0,
    "depose_candidate": 0.0,
    "crash_us": 0, "crash_point": 0.0, "wipe": False, "slow_sync": 0.0, "sync_failure": 0.0,
    "disk_full_us": 0, "pause_us": 0, "wall_jump_us": 0, "skew_ms": 0, "core": "",
    "cut_commit": 0.0, "carousel_us": 0,
}  # fmt: skip


# --- families: more of what one part of an engine has to stand ------------------------------


def _much_membership(rng: random.Random) -> dict[str, Any]:
    """Small groups that change all the time, under leaders that fall."""
    return {
        "members": rng.choice((1, 2, 3, 3, 3, 4)),
        "spares": rng.randint(1, 2),
        "member_changes": rng.randint(10, 40),
        "faults_us": rng.randint(500, 1500) * MS,
        "transactions": rng.randint(6, 15),
        "wipe": False,
        "core": "",
        "depose": rng.choice((0.0, 0.5, 0.9)),
        "crash_us": rng.choice((0, 100, 300)) * MS,
        "partition_us": rng.choice((0, 80, 200)) * MS,
        "partition_stability_us": rng.randint(60, 300) * MS,
        "apply_us": rng.choice((0, 500, 5000)),
        "patience": rng.choice((0.5, 0.7, 1.0)),
    }


def _many_reads(rng: random.Random) -> dict[str, Any]:
    """Readers everywhere, busy successors, leaders that do not know that they were replaced."""
    return {
        "members": rng.choice((3, 3, 5)),
        "spares": 0,
        "member_changes": 0,
        "faults_us": rng.randint(800, 1500) * MS,
        "transactions": rng.randint(30, 60),
        "block_transactions_max": 1,
        "window": rng.choice((1, 4)),
        "reads_us": rng.choice((3, 10)) * MS,
        "depose": rng.choice((0.0, 0.5, 0.9)),
        "crash_us": rng.choice((0, 0, 300)) * MS,
        "loss": rng.choice((0.0, 0.0, 0.05)),
        "slow_message": rng.choice((0.05, 0.15, 0.3)),
        "slow_message_us": rng.choice((200, 400, 800)) * MS,
        "partition_us": rng.choice((100, 200)) * MS,
        "partition_stability_us": rng.choice((200, 400)) * MS,
        "latency_us": rng.choice((200, 500, 1000)),
        "ordered_links": False,
        "clog_us": 0,
        "capacity": 0,
        "sync_us": rng.choice((100, 500)),
        "slow_sync": 0.0,
        "apply_us": rng.choice((0, 0, 500)),
        "batch_us": rng.choice((0, 300)),
        "patience": rng.choice((0.5, 1.0, 1.5)),
        "handover_us": rng.choice((0, 0, 100)) * MS,
    }


def _many_snapshots(rng: random.Random) -> dict[str, Any]:
    """Logs that keep almost nothing, followers that are away, messages that come twice."""
    return {
        "members": rng.choice((3, 3, 5)),
        "spares": 0,
        "member_changes": 0,
        "faults_us": rng.randint(800, 2000) * MS,
        "transactions": rng.randint(15, 30),
        "block_transactions_max": 1,
        "log_keep_entries": rng.choice((1, 2, 3)),
        "message_entries_max": rng.choice((1, 2)),
        "duplication": rng.choice((0.1, 0.4)),
        "slow_message": rng.choice((0.0, 0.1)),
        "slow_message_us": rng.choice((50, 200, 600)) * MS,
        "partition_us": rng.choice((60, 150)) * MS,
        "partition_stability_us": rng.randint(50, 250) * MS,
        "crash_us": rng.choice((0, 100, 300)) * MS,
        "down_us": rng.choice((20, 100)) * MS,
        "latency_us": rng.choice((200, 500, 1000)),
        "unreachable_us": rng.choice((0, 60, 200)) * MS,
    }


def _many_leaders(rng: random.Random) -> dict[str, Any]:
    """Leaders that fall or hand over at bad moments; then a quorum heals alone."""
    return {
        "members": rng.choice((3, 3, 5)),
        "spares": 0,
        "member_changes": 0,
        "faults_us": rng.randint(600, 2000) * MS,
        "transactions": rng.randint(8, 20),
        "block_transactions_max": 1,
        "depose": rng.choice((0.5, 0.9)),
        "depose_candidate": rng.choice((0.0, 0.3, 0.5)),
        "handover_us": rng.choice((0, 40, 150)) * MS,
        "crash_us": rng.choice((0, 80, 250)) * MS,
        "partition_us": rng.choice((80, 200)) * MS,
        "partition_stability_us": rng.choice((80, 150, 300)) * MS,
        "down_us": rng.choice((25, 100)) * MS,
        "power_loss": rng.choice((0.5, 1.0)),
        "patience": rng.choice((0.5, 0.7)),
        "loss": rng.choice((0.0, 0.05, 0.2)),
        "core": rng.choice(("", "cut", "deaf")),
        "wipe": False,
    }


HARD = "hard"
# How many of all seeds, by family.  The mistakes that a family is after are hunted with its own
# seeds (tests/mutants); among all seeds there are enough of each to notice what is new.
SHARES = {
    "raft": {
        "leaders": 0.03, "membership": 0.03, "reads": 0.015, HARD: 0.015, "snapshots": 0.01,
    },
    "pbft": {
        "forks": 0.03, "carousel": 0.02, "restarts": 0.01, "epochs": 0.01,
        "slow network": 0.001,  # minutes of virtual time
    },
    "eras": {"reads": 0.05, "falling": 0.1, "behind": 0.05},
}  # fmt: skip
FAMILIES: dict[str, dict[str, Callable[[random.Random], dict[str, Any]]]] = {
    "raft": {
        "membership": _much_membership,
        "reads": _many_reads,
        "snapshots": _many_snapshots,
        "leaders": _many_leaders,
    },
    "pbft": families.PBFT,
    "eras": families.ERAS,
}


def focused(seed: int, engine: str, family: str) -> Plan:
    """Return the plan of ``seed`` within ``family``: an ordinary one, bent to a purpose."""
    rng = random.Random(f"{family}/{engine}/{seed}")
    return replace(_ordinary(seed, engine), **FAMILIES[engine][family](rng))


def planned(seed: int, engine: str, *, focus: str = "") -> Plan:
    """Return the plan of ``seed``; ``focus`` names a family; none, the plan of ``draw``."""
    if focus == HARD:
        return harsh(seed, engine)
    return focused(seed, engine, focus) if focus else draw(seed, engine)


def harsh(seed: int, engine: str) -> Plan:
    """Return a plan in which leaders fall all the time, for a longer while.

    Faults in the rules about old leaders need several changes of leader in a row, each at a
    bad moment; ordinary plans seldom have them.
    """
    rng = random.Random(f"harsh/{engine}/{seed}")
    latency_us = rng.choice((1000, 3000, 5000))
    return replace(
        _ordinary(seed, engine),
        members=rng.choice((3, 5)) if engine == "raft" else 4,
        spares=0,
        member_changes=0,
        faults_us=5000 * MS,
        transactions=30,
        block_transactions_max=1,
        patience=0.6,
        latency_us=latency_us,
        latency_spread_us=2 * latency_us,
        loss=rng.choice((0.05, 0.15, 0.25)),
        slow_message=0.02,
        partition_us=200 * MS,
        partition_stability_us=rng.choice((80, 150, 300)) * MS,
        crash_us=rng.choice((60, 250)) * MS,
        crash_point=0.0,
        power_loss=1.0,
        down_us=25 * MS,
        wipe=False,
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


# --- a plan as data, so that later changes of ``draw`` do not change what a file means --------


def dump(plan: Plan) -> str:
    """Return ``plan`` as TOML, one field a line."""
    lines = []
    for field in dataclasses.fields(plan):
        value = getattr(plan, field.name)
        if field.name == "byzantine":
            text = "[" + ", ".join(f'[{index}, "{script}"]' for index, script in value) + "]"
        elif type(value) is tuple:
            text = "[" + ", ".join(f'"{each}"' for each in value) + "]"
        elif type(value) is bool:
            text = str(value).lower()
        else:
            text = f'"{value}"' if type(value) is str else repr(value)
        lines.append(f"{field.name} = {text}\n")
    return "".join(lines)


def load(text: str) -> Plan:
    """Inverse of ``dump``.  A field that is newer than the file keeps its calm value."""
    fields = tomllib.loads(text)
    fields.setdefault("founders", "raft")
    fields["changes"] = tuple(fields.get("changes", ()))
    fields["byzantine"] = tuple((index, script) for index, script in fields["byzantine"])
    newer = {
        field.name: CALM.get(field.name, 0)
        for field in dataclasses.fields(Plan)
        if field.name not in fields
    }
    return Plan(**fields, **newer)

"""What the machine under a node does to it: disk, memory, descriptors, clock, certificates.

Owns: the thresholds below.  Pure, like every rule: an observation in, causes out.
"""

from collections.abc import Iterator
from statistics import median_low
from typing import Final

from node.why.causes import Cause
from node.why.making import ago, cause
from node.why.observation import Observation

LOOP_LATE_MS: Final = 1_000
SLOW_WRITE_MS: Final = 500
DESCRIPTORS_LEFT: Final = 64
MEMORY_LEFT_BYTES: Final = 128 << 20
CLOCK_MS: Final = 10_000  # members' rules bear seconds; the ways between them add some
CERTIFICATE_MS: Final = 21 * 86_400_000


def disk(o: Observation) -> Iterator[Cause]:
    free = f"{o.disk_free_bytes >> 20} MiB free, {o.disk_min_bytes >> 20} MiB wanted"
    facts = {"free_bytes": o.disk_free_bytes, "min_free_bytes": o.disk_min_bytes}
    if o.store_failure is not None:
        yield cause(o, "store-failed", f"a write failed: {o.store_failure}", facts)
    if o.disk_free_bytes < 1 << 20:
        yield cause(o, "disk-full", f"the disk is full: {free}", facts)
    elif o.disk_low:
        yield cause(o, "disk-low", f"clients' writes are refused: {free}", facts)
    if o.slow_write_ms >= SLOW_WRITE_MS:
        say = f"a write of votes took {o.slow_write_ms} ms within the last minute"
        yield cause(o, "slow-disk", say, {"slowest_ms": o.slow_write_ms})


def process(o: Observation) -> Iterator[Cause]:
    if o.loop_late_ms >= LOOP_LATE_MS:
        say = f"the event loop stood still for {o.loop_late_ms} ms"
        facts = {"late_ms": o.loop_late_ms, "ago_ms": o.loop_late_ago_ms}
        yield cause(o, "event-loop-blocked", say, facts, ago_ms=o.loop_late_ago_ms)
    left = o.descriptors_max - o.descriptors
    if left < DESCRIPTORS_LEFT:
        say = f"{o.descriptors} of {o.descriptors_max} file descriptors are open"
        facts = {"open": o.descriptors, "limit": o.descriptors_max}
        yield cause(o, "descriptors-low", say, facts)
    if o.memory_left_bytes < MEMORY_LEFT_BYTES:
        say = f"{o.memory_left_bytes >> 20} MiB of memory are left, this node has "
        say += f"{o.memory_bytes >> 20} MiB"
        facts = {"left_bytes": o.memory_left_bytes, "resident_bytes": o.memory_bytes}
        yield cause(o, "memory-low", say, facts)
    if o.stopping:
        yield cause(o, "stopping", "the node was told to stop", {})


def clock(o: Observation) -> Iterator[Cause]:
    """Judge by the others: where most of them agree against us, it is our clock."""
    told = {p.id: p.clock_ahead_ms for p in o.peers if p.clock_ahead_ms is not None}
    if not told:
        return
    middle = median_low(told.values())
    facts = {"members_ahead_ms": told}
    off = [member for member, ahead in told.items() if abs(ahead) >= CLOCK_MS]
    if 2 * len(off) > len(told) and abs(middle) >= CLOCK_MS:
        word = "behind" if middle > 0 else "ahead of"
        say = f"this machine's clock is {ago(abs(middle))} {word} the other members'"
        yield cause(o, "clock-here", say, facts)
        return
    for member in off:
        ahead = told[member]
        word = "ahead of" if ahead > 0 else "behind"
        say = f"the clock of {member} is {ago(abs(ahead))} {word} ours"
        yield cause(o, "clock-member", say, {"ahead_ms": ahead}, member=member)


def certificates(o: Observation) -> Iterator[Cause]:
    for item in o.certificates:
        facts = {"certificate": item.name, "left_ms": item.left_ms}
        if item.left_ms <= 0:
            say = f"{item.name} ended {ago(-item.left_ms)} ago"
            yield cause(o, "certificate-expired", say, facts, ago_ms=-item.left_ms)
        elif item.left_ms < CERTIFICATE_MS:
            say = f"{item.name} ends in {ago(item.left_ms)}"
            yield cause(o, "certificate-expires", say, facts)


def clients(o: Observation) -> Iterator[Cause]:
    if o.suspended:
        yield cause(o, "institution-suspended", f"{o.node} is suspended on the ledger", {})
    elif not o.signer_known and o.institution:
        yield cause(o, "signer-unknown", f"no key of this node may act for {o.node}", {})
    full = next((item for item in o.refused if item[0] == "mempool-full"), None)
    if full or o.pool >= o.pool_max or o.pool_bytes >= o.pool_bytes_max:
        say = f"{o.pool} of {o.pool_max} transactions wait, {o.pool_bytes >> 10} KiB"
        facts = {"waiting": o.pool, "bytes": o.pool_bytes, "oldest_ms": o.oldest_ms}
        refused = 0 if full is None else full[1]
        yield cause(o, "mempool-full", say, {**facts, "refused": refused})
    if o.tokens_unreadable:
        yield cause(o, "tokens-unreadable", "the tokens file was refused as a whole", {})
    if o.token_expired_ago_ms is not None:
        say = f"an expired token was shown {ago(o.token_expired_ago_ms)} ago"
        yield cause(o, "token-expired", say, {}, ago_ms=o.token_expired_ago_ms)
    rules = [item for item in o.refused if item[0] not in ("mempool-full", "disk-full")]
    if rules:
        code, count, last = max(rules, key=lambda item: item[1])
        say = f"{count} transactions were refused lately with {code}"
        codes = {"codes": {name: number for name, number, _ in rules}}
        yield cause(o, "transactions-refused", say, codes, ago_ms=last)

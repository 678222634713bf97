"""Why no block comes although enough members are there, or comes here late."""

from collections.abc import Iterator
from typing import Final

from node.why.causes import Cause, Severity
from node.why.making import ago, cause
from node.why.observation import Observation
from node.why.rules_network import missing

BEHIND_BLOCKS: Final = 16
STUCK_MS: Final = 10_000
UNCERTIFIED_BLOCKS: Final = 24  # three times the distance between two cosigned heights
UNCERTIFIED_MS: Final = 6_000
WINDOW_BLOCKS: Final = 4_096  # so far an engine runs ahead of what is certified


def standing(o: Observation) -> Iterator[Cause]:
    """This node's own place: in the network, in which era."""
    if not o.institution or (o.node not in o.voters and not o.observer):
        say = f"{o.node} is not among the voters {', '.join(o.voters)}"
        yield cause(o, "not-a-member", say, {"voters": list(o.voters)})
    if not o.keys_taken:
        say = f"the ledger still names the voting keys that {o.node} gave up; it only follows"
        yield cause(o, "rejoining", say, {"height": o.height, "known_final": o.committed})
    if o.epoch < o.ledger_epoch:
        say = f"the engine is in era {o.epoch}, the ledger in era {o.ledger_epoch}"
        yield cause(o, "epoch-behind", say, {"engine": o.epoch, "ledger": o.ledger_epoch})
    if o.transfer_to is not None:
        yield cause(o, "leader-transfer", f"waiting for {o.transfer_to} to lead", {})


def here(o: Observation) -> int:
    """Return how many voters are there, this node included."""
    return len(o.voters) - sum(1 for p in o.peers if p.voter and missing(o, p) is not None)


def progress(o: Observation) -> Iterator[Cause]:
    if here(o) < o.quorum or o.stopping:
        return
    behind = o.committed - o.height
    asked = o.asked_blocks_ago_ms is not None and o.asked_blocks_ago_ms < STUCK_MS
    facts = {"height": o.height, "known_final": o.committed, "backlog": o.backlog}
    still_ms = o.up_ms if o.applied_ago_ms is None else o.applied_ago_ms
    if asked and still_ms >= STUCK_MS and not o.backlog:
        last = o.got_blocks_ago_ms
        got = "none has come since the start" if last is None else f"none came for {ago(last)}"
        say = f"height {o.height}, {o.committed} is final; blocks are asked for and {got}"
        yield cause(o, "stuck-behind", say, facts, ago_ms=still_ms)
        return
    if behind > BEHIND_BLOCKS or (asked and behind > 0) or o.backlog > BEHIND_BLOCKS:
        say = f"height {o.height} of {o.committed}, {o.backlog} blocks wait to be applied"
        yield cause(o, "catching-up", say, facts)
        return
    yield from _still(o, still_ms)


def _still(o: Observation, still_ms: int) -> Iterator[Cause]:
    patience = max(3_000, 2 * o.patience_ms)
    waits = o.oldest_ms is not None and o.oldest_ms > patience
    if not waits or still_ms < patience:
        return
    facts = {
        "oldest_ms": o.oldest_ms,
        "waiting": o.pool,
        "leader": o.leader,
        "round": o.round,
        "role": o.role,
    }
    if o.certified + WINDOW_BLOCKS <= o.height + o.in_flight:
        say = f"height {o.height} is {WINDOW_BLOCKS} blocks ahead of what is certified"
        yield cause(o, "window-full", say, facts, ago_ms=still_ms)
    elif o.leader is None or o.role in ("view-change", "candidate", "pre-candidate"):
        say = f"round {o.round} has no leader; {o.pool} transactions wait"
        yield cause(o, "no-leader", say, facts, ago_ms=o.round_ago_ms)
    else:
        say = f"{o.leader} leads in round {o.round} and no block came for {ago(still_ms)}; "
        say += f"{o.pool} transactions wait"
        yield cause(o, "no-progress", say, facts, ago_ms=still_ms, member=o.leader)


def certifying(o: Observation) -> Iterator[Cause]:
    """Blocks come, and their tree heads are not cosigned by enough."""
    short = o.height - o.certified
    still_ms = o.up_ms if o.applied_ago_ms is None else o.applied_ago_ms
    if here(o) < o.quorum or short <= 0 or o.up_ms < UNCERTIFIED_MS:
        return
    if short > UNCERTIFIED_BLOCKS or still_ms > UNCERTIFIED_MS:
        silent = [
            peer.id
            for peer in o.peers
            if peer.voter and (peer.kind_ago_ms("cosignatures") or 1 << 60) > UNCERTIFIED_MS
        ]
        say = f"height {o.height} is applied, {o.certified} is certified; "
        say += f"no cosignature lately from {', '.join(silent) or 'nobody in particular'}"
        facts = {"height": o.height, "certified": o.certified, "silent": silent}
        severe = short > WINDOW_BLOCKS // 2
        severity = Severity.STOPPED if severe else None
        yield cause(o, "cosignatures-missing", say, facts, severity=severity)

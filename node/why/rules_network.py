"""What keeps members from one another: who is missing, since when, why, and if that is enough.

Owns: the reading of a member's trace.  The same member may fail in several ways; what was told
by a handshake says more than a closed connection, and that more than silence.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from node.why.causes import Cause, Severity
from node.why.making import ago, cause
from node.why.observation import Observation, PeerFacts

SILENT_MS: Final = 9_000  # pings come every 5 s
SETTLE_MS: Final = 8_000  # a node that has just started is still connecting
LATELY_MS: Final = 30_000  # redials come at least every 10 s
MUTE_MS: Final = 6_000
FRESH_MS: Final = 3_000
RTT_MS: Final = 500
ONE_WAY_MS: Final = 12_000


class Missing(NamedTuple):
    """A member that is not there: the cause's id, its words, and since when."""

    kind: str
    words: str
    ago_ms: int | None


# What the handshake with whoever claims the name said.
_REFUSED: Final = {
    "wrong-network": ("member-wrong-network", "runs with another genesis"),
    "version": ("member-version", "speaks another protocol version"),
    "bad-proof": ("member-wrong-key", "does not prove the key that the ledger has for it"),
}
# What dialling it said.
_DIALLED: Final = {
    "refused": ("member-down", "does not listen at its address"),
    "silent": ("member-unreachable", "does not answer at its address"),
    "no-route": ("member-unreachable", "cannot be reached: no route to its address"),
    "unknown-name": ("member-name", "has a host name that is unknown"),
    "stuck": ("member-unresponsive", "takes connections and does not answer"),
    "ping-timeout": ("member-unresponsive", "does not answer pings"),
    "write-stall": ("member-unresponsive", "does not read what we send"),
    "wrong-network": _REFUSED["wrong-network"],
    "version": _REFUSED["version"],
    "bad-proof": _REFUSED["bad-proof"],
    "wrong-peer": ("member-address", "is not who answers at its address"),
    "reflected": ("member-address", "has the address of this node"),
    "tls": ("member-address", "is not what answers at its address"),
    "malformed": ("member-address", "is not what answers at its address"),
    "hung-up": ("member-hangs-up", "hangs up before it proves itself"),
    "closed": ("member-hangs-up", "ended the connection"),
}


def missing(o: Observation, peer: PeerFacts) -> Missing | None:
    """Return why ``peer`` counts as absent; None while it is there."""
    silent = peer.heard_ago_ms is None or peer.heard_ago_ms > SILENT_MS
    if peer.sending:
        if silent and (peer.linked_ago_ms or 0) > SILENT_MS:
            return Missing("member-unresponsive", "is connected and silent", peer.heard_ago_ms)
        if not peer.receiving and (peer.linked_ago_ms or 0) > ONE_WAY_MS:
            return Missing("member-one-way", "does not reach us", peer.linked_ago_ms)
        return None
    if peer.address is None:
        return None if peer.receiving else Missing("member-unset", "has no address here", None)
    since = peer.parted_ago_ms
    if since is None and o.up_ms < SETTLE_MS and peer.dial is None:
        return None
    if peer.refused in _REFUSED and (peer.refused_ago_ms or 0) < LATELY_MS:
        return Missing(*_REFUSED[peer.refused], since or o.up_ms)
    if peer.dial in ("refused", "silent", "no-route") and peer.receiving and not silent:
        return Missing(
            "member-path", "reaches us and is not reached from here", since or o.up_ms
        )
    if peer.dial in ("hung-up", "closed") and peer.receiving and not silent:
        # It reaches us and proves itself, so it is well: we dial the wrong place.
        return Missing("member-address", "is not who answers at its address", o.up_ms)
    kind, words = _DIALLED.get(peer.dial or "", ("member-hangs-up", "cannot be reached"))
    return Missing(kind, words, since or o.up_ms)


def members(o: Observation) -> Iterator[Cause]:
    """Yield what is wrong with each member, and what that means for all."""
    gone = {peer.id: found for peer in o.peers if (found := missing(o, peer)) is not None}
    if o.stopping:
        return
    lost = [peer.id for peer in o.peers if peer.voter and peer.id in gone]
    here = len(o.voters) - len(lost)
    fresh = o.up_ms < SETTLE_MS and all(p.linked_ago_ms is None for p in o.peers)
    others = [peer for peer in o.peers if peer.voter]
    if fresh and lost:
        yield cause(o, "starting", f"started {ago(o.up_ms)} ago, still connecting", {})
        return
    if others and len(lost) == len(others) > 1:
        yield _alone(o, gone)
    elif here < o.quorum:
        yield _no_quorum(o, lost, gone, here)
    for peer in o.peers:
        if peer.id not in gone:
            continue
        found = gone[peer.id]
        spare = max(0, here - o.quorum)
        say = f"{peer.id} {found.words}"
        if peer.voter and here >= o.quorum:
            say += f"; {here} of {len(o.voters)} voters are there, {o.quorum} are needed, "
            say += f"{spare} more may be lost"
        facts = {
            "address": peer.address,
            "dial": peer.dial,
            "refused": peer.refused,
            "heard_ago_ms": peer.heard_ago_ms,
            "quorum": o.quorum,
            "voters_here": here,
        }
        milder = None if peer.voter else Severity.WARNING
        yield cause(
            o, found.kind, say, facts, ago_ms=found.ago_ms, severity=milder, member=peer.id
        )


def _alone(o: Observation, gone: dict[str, Missing]) -> Cause:
    """Nobody is there: if they all say the same of us, it is what is wrong with us."""
    kinds = {found.kind for found in gone.values()}
    since = min((f.ago_ms for f in gone.values() if f.ago_ms is not None), default=None)
    facts = {"missing": {member: found.words for member, found in gone.items()}}
    if kinds == {"member-wrong-network"}:
        say = f"all {len(gone)} other members run with another genesis than this node"
        return cause(o, "wrong-network", say, facts, ago_ms=since)
    if kinds == {"member-version"}:
        say = f"all {len(gone)} other members speak another protocol version"
        return cause(o, "version-here", say, facts, ago_ms=since)
    listed = ", ".join(f"{member} ({found.words})" for member, found in sorted(gone.items()))
    say = f"none of the {len(gone)} other members is there: {listed}"
    return cause(o, "isolated", say, facts, ago_ms=since)


def _no_quorum(o: Observation, lost: list[str], gone: dict[str, Missing], here: int) -> Cause:
    ages = [found.ago_ms for m in lost if (found := gone[m]).ago_ms is not None]
    words = []
    for member in lost:
        found = gone[member]
        since = "" if found.ago_ms is None else f", since {ago(found.ago_ms)}"
        words.append(f"{member} ({found.words}{since})")
    # The quorum was lost with the last of those that were needed.
    spare = len(o.voters) - o.quorum
    since_ms = sorted(ages, reverse=True)[min(spare, len(ages) - 1)] if ages else None
    say = f"{here} of {len(o.voters)} voters are there, {o.quorum} are needed; "
    say += f"missing: {', '.join(words)}"
    facts = {
        "quorum": o.quorum,
        "voters": list(o.voters),
        "missing": {member: gone[member].words for member in lost},
        "last_evidence": None if o.evidence is None else o.evidence.member,
    }
    return cause(o, "no-quorum", say, facts, ago_ms=since_ms)


def behaviour(o: Observation) -> Iterator[Cause]:
    """Members that are there and lie, contradict themselves, or are slow."""
    for peer in o.peers:
        if peer.evidence:
            last = o.evidence if o.evidence and o.evidence.member == peer.id else None
            where = "" if last is None else f", the last at height {last.height} ({last.kind})"
            say = f"{peer.id} contradicted itself {peer.evidence} times{where}"
            since = None if last is None else last.ago_ms
            facts = {"recorded": peer.evidence, "kind": None if last is None else last.kind}
            yield cause(o, "member-equivocated", say, facts, ago_ms=since, member=peer.id)
        if peer.paused_left_ms > 0 or (peer.fault and (peer.fault_ago_ms or 0) < 60_000):
            say = f"{peer.id} broke the protocol {peer.faults} times, last: {peer.fault}"
            if peer.paused_left_ms > 0:
                say += f"; it is not listened to for {ago(peer.paused_left_ms)}"
            facts = {"faults": peer.faults, "last": peer.fault}
            yield cause(o, "member-lies", say, facts, ago_ms=peer.fault_ago_ms, member=peer.id)
        if peer.sending and peer.rtt_ms is not None and peer.rtt_ms >= RTT_MS:
            say = f"an answer of {peer.id} takes {peer.rtt_ms} ms"
            yield cause(o, "slow-link", say, {"rtt_ms": peer.rtt_ms}, member=peer.id)
    yield from _mute(o)
    if o.frames_dropped:
        worst = max(o.peers, key=lambda peer: peer.queued_bytes, default=None)
        name = None if worst is None else worst.id
        say = f"{o.frames_dropped} frames were dropped within a minute, most wait for {name}"
        yield cause(o, "frames-dropped", say, {"dropped": o.frames_dropped}, member=name)


def _mute(o: Observation) -> Iterator[Cause]:
    """Who answers pings and says nothing about blocks while others do."""
    told = {p.id: p.kind_ago_ms("consensus") for p in o.peers if p.voter and p.sending}
    fresh = [m for m, age in told.items() if age is not None and age < FRESH_MS]
    if len(fresh) < 2:
        return
    for member, age in told.items():
        peer = o.peer(member)
        assert peer is not None, "told comes from the peers"
        quiet_ms = peer.linked_ago_ms if age is None else age
        if quiet_ms is None or quiet_ms < MUTE_MS or missing(o, peer) is not None:
            continue
        leads = ", and leads" if member == o.leader else ""
        say = f"{member} is connected{leads}, and said nothing about blocks for "
        say += ago(quiet_ms)
        facts = {"consensus_ago_ms": quiet_ms, "heard_ago_ms": peer.heard_ago_ms}
        yield cause(o, "member-mute", say, facts, ago_ms=quiet_ms, member=member)

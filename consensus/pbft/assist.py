"""Lost messages heal by comparison: each member says what it holds, peers send what it lacks.

Theory of operation (status messages of Castro's thesis, chapter 2; assists of SmartBFT).  Every
``status_ms`` a member announces, for each open height, which proposal it accepted and whose
prepares and commits it holds, as bitmaps over the committee; in a view change, whose view
changes.  A peer in the same view sends exactly the signed messages that are missing: its own
unless they are brand new, those of other authors when it hears twice in a row that nothing
moved.  So nothing is
broadcast again blindly, a message reaches a member although its author is gone, and the two
words of a member that says one thing here and another there come to meet.  For the same end a
member tells of odd votes that no height or view waits for any more.

Only messages that were signed, and durable with their author, before are sent: this promises
nothing.  Announcements are hints: a lie in one earns the liar copies of what is public anyway.
Invariant: one answer per peer and half ``status_ms``, of at most ``MESSAGES_MAX`` messages, of
which ``PROPOSALS_MAX`` proposals and ``CHANGES_MAX`` view changes.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from consensus.effects import Envelope
from consensus.pbft.messages import (
    WINDOW_MAX,
    Commit,
    Held,
    NewView,
    Prepare,
    PrePrepare,
    Signed,
    Status,
)
from consensus.pbft.state import State
from consensus.pbft.votes import Vote
from consensus.types import Committee, NodeId

MESSAGES_MAX: Final = 64
PROPOSALS_MAX: Final = 2
CHANGES_MAX: Final = 4
ODD_VOTES_MAX: Final = 8


def bitmap(committee: Committee, signers: Iterable[str]) -> bytes:
    """Return who is among ``signers``: committee positions, least significant bit first.

    Empty when nobody is.
    """
    bits = 0
    for signer in signers:
        position = committee.index(signer)
        if position is not None:
            bits |= 1 << position
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def _lacks(peer_has: bytes, committee: Committee, signer: str) -> bool:
    position = committee.index(signer)
    assert position is not None, "only votes of members are kept"
    return not int.from_bytes(peer_has, "little") >> position & 1


def mark_of(new_view: NewView | None) -> bytes:
    """Return eight bytes that tell one signed NewView from another; empty without one."""
    return b"" if new_view is None else hashlib.sha256(new_view.signature).digest()[:8]


# --- what we hold ---------------------------------------------------------------------------


def status(state: State) -> Status:
    """Return where we stand and what we hold for the open heights of the view in force."""
    committee = state.config.committee
    lines = []
    for height in range(state.next, state.next + WINDOW_MAX):
        line = _held(state, height)
        if line is not None:
            lines.append(line)
    suspects = [s.signer for s in state.suspects.values() if s.height == state.next]
    changes = [c.signer for c in state.view_changes.values() if c.view == state.view]
    return Status(
        state.epoch,
        state.view,
        state.active,
        state.delivered,
        tuple(lines),
        bitmap(committee, suspects),
        bitmap(committee, changes),
        mark_of(state.new_view) if state.active else b"",
    )


def _held(state: State, height: int) -> Held | None:
    """Return what counts here at ``height``: votes for the proposal we accepted, or any."""
    prepares, commits = state.votes.held("prepare", height), state.votes.held("commit", height)
    proposal, content = state.accepted_at(height), b""
    if proposal is not None:
        content = state.slots[height].content
        prepares = _useful(state, prepares, content)
        commits = _useful(state, commits, proposal.digest)
    elif not prepares and not commits:
        return None
    committee = state.config.committee
    return Held(height, content, bitmap(committee, prepares), bitmap(committee, commits))


def _useful(state: State, votes: Mapping[str, Vote], value: bytes) -> dict[str, Vote]:
    """Leave out votes for something else, except of a member that was caught with two."""
    caught = state.watch.caught
    return {
        signer: vote
        for signer, vote in votes.items()
        if vote.value == value or signer in caught
    }


# --- what a peer lacks ----------------------------------------------------------------------


def answer(state: State, peer: NodeId, theirs: Status, before: Status | None) -> None:
    """Send ``peer`` what its status shows missing; ``before`` is its status of last time."""
    if state.observes or peer == state.me:
        return
    if (theirs.view, theirs.active) < (state.view, state.active):
        show_view(state, peer, below=theirs.view < state.view)
        return
    if theirs.view != state.view or not _due(state, peer):
        return
    if (
        theirs.opened
        and state.new_view is not None
        and theirs.opened != mark_of(state.new_view)
    ):
        show_view(state, peer, below=False)  # two NewViews of one view: each side must see both
    stuck = before is not None and (before.view, before.active, before.height) == (
        theirs.view,
        theirs.active,
        theirs.height,
    )
    authors = _from_us(state) if stuck else [state.me]
    rule = _votes if state.active else _changes
    sent = 0
    for message in rule(state, theirs, authors):
        if stuck or (message.signer == state.me and not _on_its_way(state, message)):
            state.out.send_now.append(Envelope(peer, message))
            sent += 1
            if sent == MESSAGES_MAX:
                return


def _on_its_way(state: State, message: Signed) -> bool:
    """Do we work on that height for so short a time that first copies may still arrive?"""
    match message:
        case PrePrepare():
            height = message.proposal.height
        case Prepare() | Commit():
            height = message.height
        case _:
            return False
    slot = state.slots.get(height)
    return slot is not None and state.now_ms < slot.accepted_ms + state.config.status_ms // 2


def _due(state: State, peer: NodeId) -> bool:
    last = state.assisted_ms.get(peer)
    if last is not None and state.now_ms < last + state.config.status_ms // 2:
        return False
    state.assisted_ms[peer] = state.now_ms
    return True


def show_view(state: State, peer: NodeId, *, below: bool) -> None:
    """Show ``peer`` the signed proof of the view in force, or why we left those ``below``.

    At most once per resend pause.
    """
    proof: Signed | None = state.new_view if state.active else None
    if not state.active and below:
        proof = state.view_changes.get(state.me)
    last = state.shown_ms.get(peer)
    if proof is None or (last is not None and state.now_ms < last + state.config.resend_ms):
        return
    state.shown_ms[peer] = state.now_ms
    state.out.send_now.append(Envelope(peer, proof))


def _from_us(state: State) -> list[NodeId]:
    """Members in committee order, beginning with us: each peer helps with others first."""
    ids = state.config.committee.ids
    start = ids.index(state.me)
    return [*ids[start:], *ids[:start]]


def _changes(state: State, theirs: Status, authors: list[NodeId]) -> Iterator[Signed]:
    committee, sent = state.config.committee, 0
    for signer in authors:
        change = state.view_changes.get(signer)
        if change is None or change.view != state.view or sent == CHANGES_MAX:
            continue
        if _lacks(theirs.changes, committee, signer):
            sent += 1
            yield change


def _votes(state: State, theirs: Status, authors: list[NodeId]) -> Iterator[Signed]:
    committee = state.config.committee
    lines = {line.height: line for line in theirs.held}
    proposals = 0
    # Neither of us keeps votes beyond its own window.
    top = min(state.height_max, theirs.height + state.height_max - state.delivered)
    for height in range(state.next, top + 1):
        line = lines.get(height)
        proposal = _proposal(state, height, b"" if line is None else line.content)
        if proposal is not None and proposals < PROPOSALS_MAX:
            proposals += 1
            yield proposal
        for kind in ("prepare", "commit"):
            held = state.votes.held(kind, height)
            if not held:
                continue
            theirs_hold = b""
            if line is not None:
                theirs_hold = line.prepares if kind == "prepare" else line.commits
            for signer in authors:
                if signer in held and _lacks(theirs_hold, committee, signer):
                    yield _message(state, held[signer])
    if theirs.height == state.delivered:
        for signer in authors:
            suspect = state.suspects.get(signer)
            wanted = suspect is not None and suspect.height == state.next
            if suspect is not None and wanted and _lacks(theirs.suspects, committee, signer):
                yield suspect


def _proposal(state: State, height: int, content: bytes) -> PrePrepare | None:
    """Return the signed proposal that we accepted at ``height`` when the peer has another or
    none.  What a NewView carried over comes with the NewView."""
    slot = state.slots.get(height)
    if slot is None or state.accepted_at(height) is None or slot.content == content:
        return None
    assert slot.accepted is not None
    proposer = state.primary_at(height)
    vote = state.votes.held("prepare", height).get(proposer)
    if not slot.accepted.fresh or vote is None or vote.value != slot.content:
        return None
    proposal = slot.accepted.proposal
    return PrePrepare(state.epoch, state.view, proposal, proposer, vote.signature)


def _message(state: State, vote: Vote) -> Prepare | Commit:
    """Return the message that ``vote`` came in; a PrePrepare's signature is a prepare's."""
    kind = Prepare if vote.kind == "prepare" else Commit
    return kind(state.epoch, vote.view, vote.height, vote.value, vote.signer, vote.signature)


def tell_odd_votes(state: State) -> None:
    """Tell everyone of votes that stand alone where nothing waits for votes any more."""
    state.watch.move(view=state.view, delivered=state.delivered)
    for odd in state.watch.tell(ODD_VOTES_MAX):
        kind = Prepare if odd.kind == "prepare" else Commit
        message = kind(odd.epoch, odd.view, odd.height, odd.digest, odd.signer, odd.signature)
        state.out.send_now.append(Envelope(None, message))

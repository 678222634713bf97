"""Every verified message is compared with what its author said before.

Owns the step from the memory of statements (``watch``) to proven contradictions (``evidence``)
in the outbox.  It runs before the rules of the protocol and changes nothing they see: a vote
that convicts its author may still count, once.
Invariant: what is reported here, ``evidence.prove`` accepts anywhere.
"""

from typing import Any

from consensus.certs import proposal_hash
from consensus.effects import Contradiction
from consensus.pbft import evidence
from consensus.pbft.evidence import SignedStatement, signed_statement
from consensus.pbft.messages import Commit, NewView, Prepare, PrePrepare, ViewChange
from consensus.pbft.state import State


def see(state: State, message: Any) -> None:
    """Compare a verified ``message`` with what its author said before."""
    state.watch.move(view=state.view, delivered=state.delivered)
    match message:
        case PrePrepare():
            content = proposal_hash(message.proposal)
            _vote(state, "prepare", message, message.proposal.height, content)
        case Prepare():
            _vote(state, "prepare", message, message.height, message.content)
        case Commit():
            said = _vote(state, "commit", message, message.height, message.digest)
            if said is not None:
                _recall(state, said)
        case ViewChange():
            _whole(state, message)
        case NewView():
            if _whole(state, message):
                for change in message.view_changes:
                    _whole(state, change)
                _report(state, evidence.wrong_choice(message))
        case _:
            pass


def _report(state: State, found: Contradiction | None) -> None:
    if found is not None and state.watch.catch(found):
        state.out.evidence.append(found)


def _note(state: State, said: SignedStatement) -> None:
    earlier = state.watch.note(said)
    if earlier is not None:
        _report(state, evidence.conflicting(earlier, said))


def _vote(
    state: State, kind: str, message: Any, height: int, digest: bytes
) -> SignedStatement | None:
    if height > state.height_max or not message.signature:
        return None
    epoch, view, signer = message.epoch, message.view, message.signer
    said = SignedStatement(kind, epoch, view, height, digest, signer, message.signature)
    _note(state, said)
    return said


def _whole(state: State, message: ViewChange | NewView) -> bool:
    """Note a view change or new view; False when this very message was seen before."""
    kind = "view-change" if isinstance(message, ViewChange) else "new-view"
    slot = (kind, message.view, 0)
    if not message.signature or state.watch.holds(slot, message.signer, message.signature):
        return False
    said = signed_statement(message, state.config.network)
    assert said is not None
    _note(state, said)
    if isinstance(message, ViewChange):
        signer, above = message.signer, message.height
        for commit in state.watch.commits_below(message.view, signer=signer, above=above):
            _report(state, evidence.forgotten(commit, message))
    return True


def _recall(state: State, commit: SignedStatement) -> None:
    """Compare a commit with the view changes of its author that are at hand."""
    changes = list(state.view_changes.values())
    if state.new_view is not None and commit.view < state.new_view.view:
        changes += state.new_view.view_changes
    for change in changes:
        if change.signer == commit.signer:
            _report(state, evidence.forgotten(commit, change))

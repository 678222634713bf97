"""NEW-VIEW acceptance against an independent predicate in the manner of QBFT.

With one height in flight our view change decides what QBFT's justified proposal decides: a
quorum of round changes, each with its prepared certificate, allows the value prepared in the
highest round, or any value when nothing is prepared.  The predicate below says that in its own
words over plain data (``Opening``); the engine gets the same case as signed messages.  Neither
side uses the other's code: the quorum here is QBFT's formula, not ours.

Of our own there are three rules that QBFT does not have: certificates and openings carry
exactly one quorum; round changes may come from members that are one height behind; and "any
value" is proposed after the view is open, so the opening itself then carries nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import certs, wire
from consensus.certs import CommitCert, PreparedCert, SuspectCert
from consensus.pbft.dialect import DIALECT
from consensus.pbft.messages import NewView, ViewChange
from consensus.types import Committee, NodeId, Proposal
from tests.consensus.pbft.harness import (
    NETWORK,
    Disk,
    World,
    block,
    committee_of,
    fake_sign,
    signed,
)

STRANGER = 9


@dataclass(frozen=True)
class Votes:
    """Signatures on one statement: by how many members, and whether one of them is false."""

    by: int
    forged: bool = False


@dataclass(frozen=True)
class Prepared:
    """A claim that ``value`` was prepared in ``view``; ``linked``: on the final block."""

    view: int
    value: str
    votes: Votes
    linked: bool = True


@dataclass(frozen=True)
class RoundChange:
    """``final``: the member has block 1 and shows ``proof``; otherwise it has none."""

    signer: int
    view: int
    final: bool
    proof: Votes | None
    prepared: Prepared | None = None
    forged: bool = False


@dataclass(frozen=True)
class Opening:
    members: int
    view: int
    author: int
    changes: tuple[RoundChange, ...]
    chosen: str  # values of the blocks proposed again, lowest first


# --- the predicate --------------------------------------------------------------------------


def quorum(members: int) -> int:
    return (2 * members - 1) // 3 + 1


def proven(votes: Votes, members: int) -> bool:
    return votes.by == quorum(members) and not votes.forged


def valid_round_change(change: RoundChange, opening: Opening) -> bool:
    """A member's own word for this round, with proof of all that it claims."""
    n = opening.members
    if change.signer >= n or change.forged or change.view != opening.view:
        return False
    if change.final != (change.proof is not None):
        return False
    if change.proof is not None and not proven(change.proof, n):
        return False
    claim = change.prepared
    return claim is None or (
        claim.view < opening.view and claim.linked and proven(claim.votes, n)
    )


def highest_prepared(opening: Opening) -> set[str]:
    """Values prepared in the highest round at the height that is open in this change."""
    final = any(change.final for change in opening.changes)
    claims = [c.prepared for c in opening.changes if c.prepared and c.final == final]
    top = max((claim.view for claim in claims), default=None)
    return {claim.value for claim in claims if claim.view == top}


def justified(opening: Opening) -> bool:
    n = opening.members
    signers = [change.signer for change in opening.changes]
    if opening.author != opening.view % n or len(signers) != quorum(n):
        return False
    if signers != sorted(set(signers)):
        return False
    if not all(valid_round_change(change, opening) for change in opening.changes):
        return False
    return opening.chosen in (highest_prepared(opening) or {""})


# --- the same case for the engine -----------------------------------------------------------


@cache
def started(members: int) -> tuple[World, NodeId, Disk]:
    """Return a world whose last member has block 1, and what is on that member's disk."""
    world = World(members, request_ms=10_000_000, status_ms=10_000_000)
    world.grow(1)
    world.run(100)
    node = world.ids[-1]
    for each in world.ids:
        world.crash(each)
        world.liars.add(each)
    return world, node, world.disks[node]


def bundle(
    votes: Votes, statement: bytes, committee: Committee
) -> tuple[bytes, tuple[bytes, ...]]:
    keys = [member.key for member in committee.members[: votes.by]]
    signatures = [fake_sign(key, statement) for key in keys]
    if votes.forged:
        signatures[-1] = bytes(64)
    return ((1 << len(keys)) - 1).to_bytes(1, "little"), tuple(signatures)


def final_proof(opening: Opening, votes: Votes, final: Proposal) -> bytes:
    committee = committee_of(opening.members)
    stated = certs.commit_bytes(NETWORK, epoch=1, view=0, height=1, digest=final.digest)
    return wire.encode(CommitCert(1, 0, 1, final.digest, *bundle(votes, stated, committee)))


def prepared_proof(opening: Opening, claim: Prepared, proposal: Proposal) -> PreparedCert:
    committee = committee_of(opening.members)
    stated = certs.prepare_bytes(
        NETWORK,
        epoch=1,
        view=claim.view,
        height=proposal.height,
        content=certs.proposal_hash(proposal),
    )
    return PreparedCert(1, claim.view, proposal, *bundle(claim.votes, stated, committee))


def view_change(opening: Opening, change: RoundChange, final: Proposal) -> ViewChange:
    committee = committee_of(opening.members)
    height, tip = (1, final.digest) if change.final else (0, NETWORK)
    shown: tuple[PreparedCert, ...] = ()
    if change.prepared is not None:
        parent = tip if change.prepared.linked else bytes(32)
        proposal = block(height + 1, parent, change.prepared.value)
        shown = (prepared_proof(opening, change.prepared, proposal),)
    proof = b"" if change.proof is None else final_proof(opening, change.proof, final)
    stated = certs.suspect_bytes(NETWORK, epoch=1, view=0, height=2)
    full = Votes(quorum(opening.members))
    lineage = SuspectCert(1, 0, 2, *bundle(full, stated, committee))
    signer = f"m{change.signer:02d}"
    unsigned = ViewChange(1, change.view, height, tip, proof, shown, lineage, signer)
    whole: ViewChange = signed(unsigned)
    return replace(whole, signature=bytes(64)) if change.forged else whole


def new_view(opening: Opening, final: Proposal) -> NewView:
    changes = tuple(view_change(opening, each, final) for each in opening.changes)
    tip, height = NETWORK, 0
    if any(each.final for each in opening.changes):
        tip, height = final.digest, 1
    chosen: list[Proposal] = []
    for value in opening.chosen:
        chosen.append(block(height + 1, tip, value))
        tip, height = chosen[-1].digest, height + 1
    author = f"m{opening.author:02d}"
    whole: NewView = signed(NewView(1, opening.view, changes, tuple(chosen), author))
    return whole


def entered(opening: Opening) -> bool:
    """Does a member that has block 1 enter the view?"""
    world, name, disk = started(opening.members)
    world.disks[name] = replace(disk, pairs=dict(disk.pairs), chain=list(disk.chain))
    node = world.start(name)
    node.pump()
    message = new_view(opening, disk.chain[0][0])
    node.receive(message.signer, DIALECT.encode(message))
    node.pump()
    status = node.engine.status()
    return status.round == opening.view and status.role != "view-change"


# --- cases ----------------------------------------------------------------------------------


def agree(opening: Opening) -> None:
    verdict = entered(opening)
    if verdict:
        assert justified(opening)
    elif justified(opening):
        # Two values prepared in one round: more than f members lied.  QBFT lets the primary
        # pick; ours has every member pick the same one.
        values = highest_prepared(opening)
        assert len(values) > 1
        assert sum(entered(replace(opening, chosen=value)) for value in values) == 1


@st.composite
def votes(draw: st.DrawFn, members: int, odds: int) -> Votes:
    need = quorum(members)
    by = draw(st.sampled_from([need] * odds + [need - 1, min(need + 1, members)]))
    return Votes(by, draw(rarely(odds)))


def rarely(odds: int) -> st.SearchStrategy[bool]:
    """True once in ``odds``."""
    return st.sampled_from([False] * (odds - 1) + [True])


@st.composite
def round_changes(
    draw: st.DrawFn, members: int, view: int, signer: int, odds: int
) -> RoundChange:
    final = draw(st.booleans())
    claim = None
    if draw(st.booleans()):
        claim = Prepared(
            draw(st.sampled_from([*range(view)] * odds + [view])),
            draw(st.sampled_from("ab")),
            draw(votes(members, odds)),
            not draw(rarely(odds)),
        )
    proof = draw(votes(members, odds)) if final != draw(rarely(odds)) else None
    at = draw(st.sampled_from([view] * odds + [view + 1, max(view - 1, 1)]))
    return RoundChange(signer, at, final, proof, claim, draw(rarely(odds)))


@st.composite
def openings(draw: st.DrawFn) -> Opening:
    members = draw(st.sampled_from([4, 5, 6, 7]))
    odds = draw(st.sampled_from([20, 1000]))  # of a lie, at each place where one can be
    view = draw(st.integers(1, 4))
    size = draw(st.sampled_from([quorum(members)] * 10 + [quorum(members) - 1, members]))
    signers = draw(st.permutations(range(members)))[:size]
    signers = signers if draw(rarely(odds)) else sorted(signers)
    if draw(rarely(odds)):
        signers[-1] = draw(st.sampled_from([signers[0], STRANGER]))
    changes = tuple(draw(round_changes(members, view, signer, odds)) for signer in signers)
    author = view + 1 if draw(rarely(odds)) else view
    opening = Opening(members, view, author % members, changes, "")
    right = sorted(highest_prepared(opening)) or [""]
    chosen = draw(st.sampled_from(right * 6 + ["", "a", "b", "ab"]))
    return replace(opening, chosen=chosen)


@settings(max_examples=200, deadline=None)
@given(openings())
def test_the_engine_enters_exactly_what_the_predicate_justifies(opening: Opening) -> None:
    agree(opening)


def whole(members: int = 4) -> Opening:
    """Two members prepared "a" in view 0, one "b" in view 1; view 2 carries over "b"."""
    need = quorum(members)
    full = Votes(need)
    claims = [Prepared(0, "a", full)] * (need - 1) + [Prepared(1, "b", full)]
    changes = tuple(RoundChange(i, 2, True, full, claim) for i, claim in enumerate(claims))
    return Opening(members, 2, 2, changes, "b")


def with_last(opening: Opening, **fields: object) -> Opening:
    *first, last = opening.changes
    return replace(opening, changes=(*first, replace(last, **fields)))  # type: ignore[arg-type]


def with_claim(opening: Opening, **fields: object) -> Opening:
    claim = opening.changes[-1].prepared
    assert claim is not None
    return with_last(opening, prepared=replace(claim, **fields))  # type: ignore[arg-type]


LIES: dict[str, Callable[[Opening], Opening]] = {
    "the value of a lower round": lambda o: replace(o, chosen="a"),
    "no value although one is prepared": lambda o: replace(o, chosen=""),
    "a block more than is prepared": lambda o: replace(o, chosen="ba"),
    "an opening by another member": lambda o: replace(o, author=1),
    "a round change too few": lambda o: replace(o, changes=o.changes[1:]),
    "one member twice": lambda o: replace(o, changes=(o.changes[0], *o.changes[:2])),
    "members out of order": lambda o: replace(o, changes=o.changes[::-1]),
    "a stranger": lambda o: with_last(o, signer=STRANGER),
    "a round change to another round": lambda o: with_last(o, view=3),
    "a round change nobody signed": lambda o: with_last(o, forged=True),
    "a final block without proof": lambda o: with_last(o, proof=None),
    "a proof short of a quorum": lambda o: with_last(o, proof=Votes(quorum(o.members) - 1)),
    "a proof with a false signature": lambda o: with_last(
        o, proof=Votes(quorum(o.members), forged=True)
    ),
    "prepared in the round itself": lambda o: with_claim(o, view=2),
    "prepared beside the final block": lambda o: with_claim(o, linked=False),
    "prepared short of a quorum": lambda o: with_claim(o, votes=Votes(quorum(o.members) - 1)),
    "prepared with a false signature": lambda o: with_claim(
        o, votes=Votes(quorum(o.members), forged=True)
    ),
}


@pytest.mark.parametrize("members", [4, 5, 6, 7])
def test_both_take_the_highest_round_and_both_take_an_empty_start(members: int) -> None:
    full = whole(members)
    empty = tuple(replace(change, prepared=None) for change in full.changes)
    for opening in (full, replace(full, changes=empty, chosen="")):
        assert justified(opening)
        assert entered(opening)


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("members", [4, 5, 7])
def test_both_refuse_each_single_lie(lie: str, members: int) -> None:
    opening = LIES[lie](whole(members))
    assert not justified(opening)
    assert not entered(opening)


def test_a_claim_about_a_height_already_final_counts_for_neither() -> None:
    opening = with_last(whole(), final=False, proof=None)
    assert not justified(opening)
    assert not entered(opening)
    opening = replace(opening, chosen="a")
    assert justified(opening)
    assert entered(opening)


@pytest.mark.parametrize("members", range(1, 40))
def test_the_quorum_formula_of_the_predicate_is_another_form_of_ours(members: int) -> None:
    assert committee_of(members).byzantine_quorum == quorum(members)

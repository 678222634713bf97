"""Family evidence: what proves a contradiction, what does not, and how often it is recorded."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import codec, wire
from consensus.effects import Contradiction
from consensus.pbft import evidence as pbft
from consensus.pbft.dialect import signed_bytes
from consensus.pbft.evidence import SignedStatement, conflicting
from node.ledger import checkpoint as checkpoints
from node.ledger import registry, rules
from node.ledger.checkpoint import Checkpoint
from node.ledger.eras import Era, era_key
from node.ledger.families import evidence
from node.ledger.families.evidence import EvidenceRow, Heads, Place, Votes
from node.ledger.genesis import voters_of
from node.ledger.rules import Context, Refused
from node.ledger.state import EPOCH_KEY, Overlay, genesis_state, voters_key
from node.ledger.transaction import Op
from node.queries import Queries
from tests.support.ledger import Chain, digest, genesis, institution, key

PBFT = genesis("pbft")


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    with Chain(tmp_path, PBFT) as made:
        yield made


# --- what a liar signs ---------------------------------------------------------------------


def said(
    what: str,
    *,
    kind: str = "prepare",
    member: str = "birch",
    view: int = 3,
    height: int = 7,
    epoch: int = 0,
    signer: str | None = None,
) -> SignedStatement:
    message = signed_bytes(
        kind, PBFT.network, epoch=epoch, view=view, height=height, digest=digest(what)
    )
    signature = key(f"{signer or member} consensus").sign(message)
    return SignedStatement(kind, epoch, view, height, digest(what), member, signature)


def contradiction(**fields: object) -> Contradiction:
    found = conflicting(said("this", **fields), said("that", **fields))  # type: ignore[arg-type]
    assert found is not None
    return found


def votes(**fields: object) -> Op:
    return Op("evidence.votes", wire.to_value(Votes(pbft.encode(contradiction(**fields)))))


def note(root: str, *members: str, size: int = 9, signer: str | None = None) -> bytes:
    head = Checkpoint(PBFT.origin, size, digest(root))
    lines = [
        checkpoints.cosign(
            head,
            name=checkpoints.cosigner_name(PBFT.origin, member),
            signer=key(f"{signer or member} cosigner"),
            time_s=7,
        )
        .note_signature()
        .line()
        for member in members
    ]
    return head.text() + b"\n" + "".join(lines).encode()


def heads(head: bytes, against: bytes, *, member: str = "birch", epoch: int = 0) -> Op:
    return Op("evidence.heads", wire.to_value(Heads(member, epoch, head, against)))


QUORUM = ("alder", "cedar", "dogwood")


def outcome(chain: Chain, op: Op, *, org: str = "alder") -> str:
    done = chain.commit(chain.tx(op, org=org))
    return registry.result_of(done.codes[0]).code


# --- recorded ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["prepare", "commit", "view-change", "new-view"])
def test_two_signatures_for_one_place_are_recorded_with_their_reporter(
    chain: Chain, kind: str
) -> None:
    height = 7 if kind in ("prepare", "commit") else 0
    op = votes(kind=kind, height=height)
    done = chain.commit(chain.tx(op, org="cedar"))
    place = Place("birch", kind, 0, 3, height)
    assert done.codes == (0,)
    assert done.evidence == (evidence.evidence_key(place),)
    (row,), following = Queries(chain.store, chain.book).evidence(0, 10)
    assert following is None
    assert (row.member, row.kind, row.round, row.height) == ("birch", kind, 3, height)
    assert (row.reporter, row.txid, row.recorded_height) == ("cedar", done.txids[0], 1)
    assert evidence.count_of(Overlay(chain.book.read), "birch") == 1


def test_an_institution_without_a_role_may_report_too(chain: Chain) -> None:
    assert outcome(chain, votes(), org="payer") == "applied"


def test_one_contradiction_is_recorded_once_whatever_bytes_bring_it(chain: Chain) -> None:
    assert outcome(chain, votes()) == "applied"
    assert outcome(chain, votes(), org="cedar") == "evidence-exists"
    other = conflicting(said("this"), said("third"))
    assert other is not None
    again = Op("evidence.votes", wire.to_value(Votes(pbft.encode(other))))
    assert outcome(chain, again) == "evidence-exists"
    for more in ({"view": 4}, {"height": 8}, {"kind": "commit"}, {"member": "cedar"}):
        assert outcome(chain, votes(**more)) == "applied"
    assert evidence.count_of(Overlay(chain.book.read), "birch") == 4


def test_a_head_against_a_certified_one_and_two_heads_of_ones_own(chain: Chain) -> None:
    against = note("right", *QUORUM)
    assert outcome(chain, heads(note("wrong", "birch"), against)) == "applied"
    assert outcome(chain, heads(note("wrong", "birch"), against)) == "evidence-exists"
    own = heads(note("one", "birch", size=10), note("two", "birch", size=10))
    assert outcome(chain, own) == "applied"
    rows, _ = Queries(chain.store, chain.book).evidence(0, 10)
    assert [(row.kind, row.height) for row in rows] == [("checkpoint", 9), ("checkpoint", 10)]


# --- refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "op",
    [
        votes(signer="cedar"),  # somebody else's key
        votes(epoch=1),  # an epoch that has not begun
        votes(member="payer"),  # no voter
        Op("evidence.votes", [b"\x00"]),
        heads(note("wrong", "birch"), note("right", *QUORUM[:2])),  # no quorum against it
        heads(note("wrong", "birch"), note("right", *QUORUM, size=8)),  # another size
        heads(note("same", "birch"), note("same", *QUORUM)),
        heads(note("wrong", "birch", signer="cedar"), note("right", *QUORUM)),
        heads(note("wrong", "cedar"), note("right", *QUORUM)),  # accuses another
        heads(note("wrong", "birch"), note("right", *QUORUM), epoch=1),
        heads(note("wrong", "birch"), note("right", *QUORUM), member="payer"),
        heads(b"no note", note("right", *QUORUM)),
    ],
)
def test_what_proves_nothing_is_refused_and_leaves_nothing(chain: Chain, op: Op) -> None:
    assert outcome(chain, op) == "evidence-unproven"
    assert Queries(chain.store, chain.book).evidence(0, 10) == ([], None)


def test_foreign_networks_prove_nothing_here(tmp_path: Path) -> None:
    with Chain(tmp_path, genesis("pbft", request_ms=999)) as other:
        assert outcome(other, votes()) == "evidence-unproven"
        wrong = heads(note("wrong", "birch"), note("right", *QUORUM))
        assert outcome(other, wrong) == "evidence-unproven"


def test_a_liar_fills_no_disk(chain: Chain) -> None:
    ops = [votes(view=view) for view in range(evidence.OF_ONE_MEMBER_MAX)]
    done = chain.commit(*[chain.tx(op) for op in ops])
    assert set(done.codes) == {0}
    assert outcome(chain, votes(view=999)) == "evidence-enough"
    assert outcome(chain, votes(member="cedar")) == "applied"


# --- age: at the rule itself, a chain of that length would take too long --------------------


def judge(
    op: Op, *, height: int = 1, epoch: int = 0, more: dict[bytes, bytes] | None = None
) -> str:
    state = dict(genesis_state(PBFT))
    state[EPOCH_KEY] = codec.encode(epoch)
    for later in range(1, epoch + 1):
        state[voters_key(later)] = wire.encode(voters_of(later, PBFT.validators))
    state |= more or {}
    context = Context(
        view=Overlay(state.get),
        network=PBFT.network,
        height=height,
        time_ms=0,
        org=institution("alder"),
        keys=(),
        txid=bytes(32),
        leaf_index=0,
    )
    operation = registry.OPERATIONS[op.kind]
    try:
        operation.apply(context, wire.from_value(operation.body, op.body))
    except Refused as refusal:
        return refusal.result.code
    return rules.APPLIED.code


def test_evidence_about_long_ago_is_refused() -> None:
    oldest = 7 + evidence.AGE_BLOCKS_MAX
    assert judge(votes(height=7), height=oldest) == "applied"
    assert judge(votes(height=7), height=oldest + 1) == "evidence-too-old"
    whole_view = votes(kind="view-change", height=0)
    assert judge(whole_view, height=oldest + 1) == "applied"


def test_evidence_of_epochs_long_ago_is_refused() -> None:
    assert genesis_state(PBFT)[EPOCH_KEY] == codec.encode(0)
    for later in (1, evidence.AGE_EPOCHS_MAX):
        assert judge(votes(epoch=0), epoch=later) == "applied"
        assert judge(votes(epoch=later), epoch=later) == "applied"
    assert judge(votes(epoch=0), epoch=evidence.AGE_EPOCHS_MAX + 1) == "evidence-unproven"
    wrong = heads(note("wrong", "birch"), note("right", *QUORUM))
    assert judge(wrong, epoch=evidence.AGE_EPOCHS_MAX + 1) == "evidence-too-old"


@pytest.mark.parametrize(
    ("engine", "code"), [("raft", "applied"), ("pbft", "evidence-unproven")]
)
def test_a_head_is_judged_by_the_quorum_of_the_engine_of_its_time(
    engine: str, code: str
) -> None:
    five = voters_of(0, (*PBFT.validators, institution("elder")))
    era = Era(0, engine, 1, five.members)
    rows = {voters_key(0): wire.encode(five), era_key(0): wire.encode(era)}
    said = heads(note("wrong", "birch"), note("right", *QUORUM))
    assert judge(said, epoch=1, more=rows) == code, "three of five: a majority, no more"


# --- totality ------------------------------------------------------------------------------


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_are_judged_without_a_fault(raw: bytes) -> None:
    assert judge(Op("evidence.votes", [raw])) == "evidence-unproven"
    assert judge(Op("evidence.heads", ["birch", 0, raw, raw])) == "evidence-unproven"


@settings(max_examples=60)
@given(at=st.integers(0, 400), byte=st.integers(0, 255))
def test_a_changed_proof_is_no_proof(at: int, byte: int) -> None:
    raw = bytearray(pbft.encode(contradiction()))
    at %= len(raw)
    before, raw[at] = raw[at], byte
    code = judge(Op("evidence.votes", [bytes(raw)]))
    assert code == ("applied" if before == byte else "evidence-unproven")


def test_rows_are_canonical_records() -> None:
    row = EvidenceRow("birch", "prepare", 0, 3, 7, "alder", bytes(32), 1, 2)
    assert wire.decode(EvidenceRow, wire.encode(row), size_max=1 << 12) == row

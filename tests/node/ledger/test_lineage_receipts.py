"""Receipts and answers of any era, verified with nothing but what the founders published."""

import base64
import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from tlog_scales import signing, tlog

from node.ledger import answers, lineage, sealed
from node.ledger import checkpoint as heads
from node.ledger import receipt as receipts
from node.ledger.lineage import Lineage, Link, Trust
from node.ledger.receipt import Reason, Receipt, ReceiptInvalid, ReceiptMalformed
from tests.support.eras import Eras, founded, lived, quorum
from tests.vectors import make_answer
from tests.vectors import make_lineage as maker

VECTORS = Path(__file__).parents[2] / "vectors"
LIVED = lived()
LINKS = tuple(LIVED.links)
ENDS = [heads.parse_note(link.note)[0].size for link in LINKS]
FOUNDERS = Trust.of(LIVED.policy(0), quorum=quorum)
GENESIS = Trust.of(LIVED.genesis, quorum=quorum)


def told(receipt: Receipt, links: tuple[Link, ...] = LINKS) -> Receipt:
    return replace(receipt, lineage=links)


def reason_of(receipt: Receipt, trust: lineage.Trusted = FOUNDERS) -> str:
    with pytest.raises(ReceiptInvalid) as caught:
        receipts.verify_receipt(receipt, trust)
    return str(caught.value)


# --- what holds ---------------------------------------------------------------------------


@pytest.mark.parametrize("trust", [FOUNDERS, GENESIS], ids=["policy", "genesis"])
@pytest.mark.parametrize("height", range(1, LIVED.height + 1))
def test_the_founders_are_enough_for_a_receipt_of_any_block_under_any_later_head(
    height: int, trust: Trust
) -> None:
    """Three changes of members, to PBFT and back: every block under every certified head."""
    barrier_heads = [size for size in ENDS if size >= LIVED.size_at(height)]
    for size in (*barrier_heads, LIVED.size):
        epoch = sum(1 for end in ENDS if end < size)
        receipt = told(LIVED.receipt(height, size=size, epoch=epoch))
        proven = receipts.verify_receipt(receipt, trust)
        assert (proven.height, proven.epoch) == (height, epoch)
        assert set(proven.signers) == {member for member, _ in LIVED.policy(epoch).members}


def test_the_lineage_may_come_apart_from_the_receipt() -> None:
    bare = LIVED.receipt(LIVED.height)
    assert reason_of(bare).startswith("quorum-missing: 0 valid cosigners")
    trust = FOUNDERS.extended(LINKS)
    assert receipts.verify_receipt(bare, trust).epoch == 5
    assert receipts.verify_receipt(told(bare), trust).epoch == 5
    assert receipts.verify_receipt(told(bare), FOUNDERS.extended(LINKS[:2])).epoch == 5


@pytest.mark.parametrize("epoch", range(6))
def test_the_policy_of_any_era_before_is_enough(epoch: int) -> None:
    trust = Trust.of(LIVED.policy(epoch), quorum=quorum)
    assert receipts.verify_receipt(told(LIVED.receipt(LIVED.height)), trust).epoch == 5


def test_the_policy_of_today_needs_no_lineage() -> None:
    bare = LIVED.receipt(LIVED.height)
    assert receipts.verify_receipt(bare, LIVED.policy(5)).epoch is None
    assert receipts.verify_receipt(bare, Trust.of(LIVED.policy(5), quorum=quorum)).code == 0
    assert receipts.verify_receipt(told(bare), LIVED.policy(5)).epoch is None


def test_a_later_policy_does_not_vouch_for_heads_before_its_time() -> None:
    old = told(LIVED.receipt(1, size=ENDS[0], epoch=0))
    later = Trust.of(LIVED.policy(5), quorum=quorum)
    assert reason_of(old, later).startswith("quorum-missing")


# --- edges: which era may sign which size -------------------------------------------------


@pytest.mark.parametrize("at", range(5))
def test_neither_the_era_before_nor_the_one_after_may_sign_beyond_its_barrier(at: int) -> None:
    """The same bytes, cosigned by the wrong era: one leaf decides."""
    height = next(h for h in range(1, LIVED.height + 1) if LIVED.size_at(h) == ENDS[at])
    on = told(LIVED.receipt(height, size=ENDS[at], epoch=at))
    assert receipts.verify_receipt(on, FOUNDERS).epoch == at
    members = {name for name, _ in LIVED.policy(at).members}
    after = {name for name, _ in LIVED.policy(at + 1).members}
    if not len(members & after) >= LIVED.policy(at).quorum:
        early = told(LIVED.receipt(height, size=ENDS[at], epoch=at + 1))
        assert reason_of(early).startswith("quorum-missing")
    if not len(members & after) >= LIVED.policy(at + 1).quorum:
        late = told(LIVED.receipt(height, size=ENDS[at] + 1, epoch=at))
        assert reason_of(late).startswith("quorum-missing")


def test_after_a_switch_to_pbft_a_majority_is_not_enough_and_after_the_way_back_it_is() -> None:
    five = ("alder", "birch", "cedar", "dogwood", "elm")
    made = Eras(founded("raft", five))
    made.block()
    made.barrier(five, "pbft")
    pbft = made.block()
    made.barrier(five, "raft")
    raft = made.block()
    trust = Trust.of(made.policy(0), quorum=quorum).extended(made.links)

    def signed_by_three(height: int) -> Receipt:
        size = made.size_at(height)
        return replace(made.receipt(height, size=size), checkpoint=made.note(size, signers=3))

    assert receipts.verify_receipt(signed_by_three(raft), trust).epoch == 2
    assert reason_of(signed_by_three(pbft), trust) == (
        "quorum-missing: 3 valid cosigners, 4 needed"
    )
    assert receipts.verify_receipt(signed_by_three(1), trust).epoch == 0


# --- lineages that do not hold ------------------------------------------------------------


def other_link() -> Link:
    made = Eras(founded(name="other"))
    made.block(2)
    return made.barrier(("alder", "birch", "cedar", "dogwood"))


def weak(at: int) -> Link:
    few = LIVED.policy(at).quorum - 1
    return replace(LINKS[at], note=LIVED.note(ENDS[at], epoch=at, signers=few))


@pytest.mark.parametrize("trust", [FOUNDERS, GENESIS], ids=["policy", "genesis"])
@pytest.mark.parametrize(
    ("links", "reason"),
    [
        ((LINKS[1], LINKS[0], *LINKS[2:]), "epoch-order: link to epoch 2"),
        (LINKS[1:], "epoch-order: link to epoch 2"),
        ((*LINKS[:2], *LINKS[3:]), "epoch-order: link to epoch 4"),
        ((other_link(), *LINKS[1:]), "wrong-log: link to epoch 1"),
        ((weak(0), *LINKS[1:]), "quorum-missing: link to epoch 1"),
        ((*LINKS[:3], weak(3), LINKS[4]), "quorum-missing: link to epoch 4"),
        (
            (*LINKS[:4], replace(LINKS[4], era=replace(LINKS[4].era, engine="pbft"))),
            "era-mismatch: link to epoch 5",
        ),
        ((replace(LINKS[0], path=()), *LINKS[1:]), "seal-mismatch: link to epoch 1"),
        ((replace(LINKS[0], seal=LINKS[1].seal), *LINKS[1:]), "height-mismatch: link to"),
    ],
    ids=[
        "wrong order",
        "first missing",
        "middle missing",
        "foreign",
        "few signatures at first",
        "few signatures later",
        "forged era",
        "no path",
        "seal of another barrier",
    ],
)
def test_a_lineage_that_does_not_hold_makes_the_receipt_worthless_and_says_why(
    links: tuple[Link, ...], reason: str, trust: Trust
) -> None:
    receipt = LIVED.receipt(LIVED.height)
    assert reason_of(told(receipt, links), trust).startswith(f"lineage-invalid: {reason}")


def test_a_lineage_that_ends_too_early_leaves_the_signers_unknown() -> None:
    receipt = told(LIVED.receipt(LIVED.height), LINKS[:3])
    assert reason_of(receipt) == "quorum-missing: 3 valid cosigners, 4 needed"


def test_a_lineage_file_that_knows_more_refuses_what_an_ended_era_signed_later() -> None:
    """Keys of founders, taken long after they left: who keeps a newer lineage is not fooled."""
    forged = Eras()
    forged.block(2)
    for _ in range(20):
        forged.block()
    receipt = forged.receipt(forged.height)
    assert receipts.verify_receipt(receipt, FOUNDERS).code == 0, "alone they look like today"
    assert reason_of(receipt, FOUNDERS.extended(LINKS)).startswith("quorum-missing")
    future = Eras()
    future.block(2)
    future.barrier(("alder", "oak", "pine"))
    lie = replace(future.receipt(1, epoch=0), lineage=tuple(future.links))
    assert receipts.verify_receipt(lie, FOUNDERS).epoch == 0
    assert reason_of(lie, FOUNDERS.extended(LINKS)).startswith("lineage-invalid: conflict")


# --- encodings ----------------------------------------------------------------------------


def test_the_golden_receipt_of_version_2_verifies_with_the_founders_policy() -> None:
    policy = heads.Policy.from_text((VECTORS / "lineage-policy.json").read_text())
    text = receipts.from_text((VECTORS / "receipt-v2.tlog-proof").read_bytes())
    plain = receipts.from_json((VECTORS / "receipt-v2.json").read_text())
    assert text == plain
    assert maker.files()["receipt-v2.json"] == (VECTORS / "receipt-v2.json").read_text()
    made = maker.files()["receipt-v2.tlog-proof"].encode()
    assert made == (VECTORS / "receipt-v2.tlog-proof").read_bytes() == receipts.to_text(text)
    assert receipts.verify_receipt(text, Trust.of(policy, quorum=quorum)).epoch == 2


def test_a_receipt_without_a_lineage_stays_version_1() -> None:
    bare = LIVED.receipt(1, size=ENDS[0], epoch=0)
    assert json.loads(receipts.to_json(bare))["format"] == "chartseal/receipt/v1"
    assert "lineage" not in json.loads(receipts.to_json(bare))
    full = told(bare, LINKS[:1])
    for back in (
        receipts.from_text(receipts.to_text(full)),
        receipts.from_json(receipts.to_json(full)),
    ):
        assert back == full
        assert receipts.to_text(replace(back, lineage=())) == receipts.to_text(bare)


def test_versions_are_not_mixed() -> None:
    bare, full = LIVED.receipt(1), told(LIVED.receipt(1))
    one, two = json.loads(receipts.to_json(bare)), json.loads(receipts.to_json(full))
    for wrong in (
        {**one, "format": "chartseal/receipt/v2"},
        {**two, "format": "chartseal/receipt/v1"},
        {**one, "lineage": []},
        {**two, "lineage": []},
        {**two, "lineage": None},
    ):
        with pytest.raises(ReceiptMalformed):
            receipts.from_json(json.dumps(wrong))
    with pytest.raises(ReceiptMalformed, match="newer software"):
        receipts.from_json(json.dumps({**two, "format": "chartseal/receipt/v3"}))


def test_a_text_of_a_later_version_asks_for_newer_software() -> None:
    text = receipts.to_text(told(LIVED.receipt(1)))
    first, extra, rest = text.split(b"\n", 2)
    raw = bytearray(base64.b64decode(extra[6:]))

    def with_extra(changed: bytes) -> bytes:
        return b"\n".join((first, b"extra " + base64.b64encode(changed), rest))

    assert raw[:2] == b"\x98\x02"
    with pytest.raises(ReceiptMalformed, match="newer software"):
        receipts.from_text(with_extra(b"\x98\x03" + raw[2:]))
    with pytest.raises(ReceiptMalformed):
        receipts.from_text(with_extra(b"\x98\x01" + raw[2:]))
    with pytest.raises(ReceiptMalformed):
        receipts.from_text(with_extra(b"\x90"))
    empty = receipts.to_text(LIVED.receipt(1)).split(b"\n", 2)[1]
    bare = base64.b64decode(empty[6:])
    assert bare[:2] == b"\x97\x01"
    with pytest.raises(ReceiptMalformed, match="without a lineage"):
        receipts.from_text(with_extra(b"\x98\x02" + bare[2:] + b"\x90"))


def test_a_lineage_too_long_to_travel_within_a_receipt_is_refused() -> None:
    link = LINKS[0]
    many = (link,) * (sealed.LINEAGE_BYTES_MAX // len(lineage.encode(Lineage((link,)))) + 1)
    assert not sealed.fits(many)
    assert sealed.fits(many[: len(many) // 2])
    with pytest.raises(ReceiptMalformed, match="lineage beyond"):
        told(LIVED.receipt(1), many)
    largest = told(LIVED.receipt(1), many[:-2])
    assert receipts.from_text(receipts.to_text(largest)) == largest
    assert receipts.from_json(receipts.to_json(largest)) == largest


def test_an_independent_tool_still_reads_the_text_and_accepts_the_signers_of_that_era() -> None:
    head, _, note = (
        receipts.to_text(told(LIVED.receipt(LIVED.height))).decode().partition("\n\n")
    )
    lines = head.split("\n")
    assert (lines[0], lines[1][:6]) == ("c2sp.org/tlog-proof@v1", "extra ")
    theirs = tlog.Checkpoint.from_text(note)
    keys = signing.VkeySet(
        *[signing.Vkey.from_string(vkey.text()) for _, vkey in LIVED.policy(5).members]
    )
    assert len(keys.verify(theirs.signatures, theirs)) == 3
    index, path = int(lines[2][6:]), [base64.b64decode(line) for line in lines[3:]]
    leaf = sha256(b"\x00" + LIVED.raws[-1][0]).digest()
    tlog.InclusionProof(index, theirs.size, path).check(leaf, theirs.root_hash)


# --- proven answers -----------------------------------------------------------------------


def answered() -> tuple[Eras, answers.Answer]:
    """The golden answer, moved under a ledger whose members changed."""
    golden = make_answer.golden_answer()
    made = Eras(founded("raft", ("alder", "birch")))
    made.barrier(("birch", "cedar"))
    seal = replace(sealed.decode_seal(golden.seal), first_index=made.size, count=0).encode()
    made.seals.append(seal)
    made.leaves.append(sha256(b"\x00" + seal).digest())
    moved = replace(
        golden, seal=seal, seal_path=made.path(made.size - 1), checkpoint=made.note()
    )
    return made, moved


def test_a_proven_answer_of_a_later_era_needs_the_founders_policy_only() -> None:
    made, bare = answered()
    trust = Trust.of(made.policy(0), quorum=quorum)
    full = replace(bare, lineage=tuple(made.links))
    assert answers.verify(full, trust).epoch == 1
    assert answers.verify(bare, trust.extended(made.links)).epoch == 1
    assert answers.verify(bare, made.policy(1)).epoch is None
    with pytest.raises(answers.AnswerInvalid) as caught:
        answers.verify(bare, trust)
    assert caught.value.reason is answers.Reason.QUORUM_MISSING
    with pytest.raises(answers.AnswerInvalid) as caught:
        answers.verify(replace(bare, lineage=LINKS), trust)
    assert caught.value.reason is answers.Reason.LINEAGE_INVALID
    assert "wrong-log" in str(caught.value)


def test_both_versions_of_an_answer_are_read_and_never_mixed() -> None:
    made, bare = answered()
    full = replace(bare, lineage=tuple(made.links))
    one, two = json.loads(answers.to_json(bare)), json.loads(answers.to_json(full))
    assert (one["format"], two["format"]) == ("chartseal/answer/v1", "chartseal/answer/v2")
    for item in (bare, full):
        assert answers.from_json(answers.to_json(item)) == item
    for wrong in (
        {**one, "format": "chartseal/answer/v2"},
        {**two, "format": "chartseal/answer/v1"},
        {**one, "lineage": []},
        {**two, "lineage": []},
    ):
        with pytest.raises(answers.AnswerMalformed):
            answers.from_json(json.dumps(wrong))
    with pytest.raises(answers.AnswerMalformed, match="newer software"):
        answers.from_json(json.dumps({**two, "format": "chartseal/answer/v3"}))
    with pytest.raises(answers.AnswerMalformed, match="lineage beyond"):
        replace(bare, lineage=LINKS * 100)
    assert Reason.LINEAGE_INVALID.value == answers.Reason.LINEAGE_INVALID.value

"""Lineage: eras proven from the founders on, every way a chain may fail, every bit of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger import checkpoint as heads
from node.ledger import lineage
from node.ledger.block import decode_seal
from node.ledger.eras import Era
from node.ledger.genesis import Genesis
from node.ledger.lineage import (
    Lineage,
    LineageInvalid,
    LineageMalformed,
    Link,
    Reason,
    Step,
    Trust,
)
from tests.support.eras import Eras, founded, lived, quorum, voter
from tests.vectors import make_lineage as maker

VECTORS = Path(__file__).parents[2] / "vectors"
LIVED = lived()
LINKS = tuple(LIVED.links)


def follow(
    links: tuple[Link, ...], start: Genesis | heads.Policy | None = None
) -> tuple[Step, ...]:
    return lineage.follow(start or LIVED.genesis, links, quorum=quorum)


def reason_of(
    links: tuple[Link, ...], start: Genesis | heads.Policy | None = None
) -> tuple[Reason, int]:
    with pytest.raises(LineageInvalid) as caught:
        follow(links, start)
    assert str(caught.value).startswith(caught.value.reason.value)
    return caught.value.reason, caught.value.epoch


# --- what holds ---------------------------------------------------------------------------


def test_the_founders_lead_to_the_members_of_today() -> None:
    steps = follow(LINKS)
    assert [step.era for step in steps] == LIVED.eras
    assert [step.epoch for step in steps] == [0, 1, 2, 3, 4, 5]
    assert [step.policy.quorum for step in steps] == [2, 3, 3, 4, 3, 2]
    assert [member for member, _ in steps[-1].policy.members] == ["dogwood", "elm", "fir"]
    ends = [heads.parse_note(link.note)[0] for link in LINKS]
    assert [(step.upto, step.root) for step in steps[:-1]] == [(e.size, e.root) for e in ends]
    assert (steps[-1].upto, steps[-1].root) == (None, None)


def test_without_a_link_the_founders_are_the_members() -> None:
    (only,) = follow(())
    assert only.policy == LIVED.policy(0)
    assert only.era == lineage.founding_era(LIVED.genesis)
    (bare,) = follow((), LIVED.policy(3))
    assert (bare.policy, bare.epoch, bare.era) == (LIVED.policy(3), None, None)


@pytest.mark.parametrize("epoch", range(6))
def test_the_policy_of_any_era_is_a_start(epoch: int) -> None:
    """It begins as early as it can vouch: the founders are a quorum of the four of epoch 1."""
    steps = follow(LINKS, LIVED.policy(epoch))
    first = {1: 0, 2: 0}.get(epoch, epoch)
    assert steps[0].policy == LIVED.policy(epoch)
    assert [step.policy for step in steps[1:]] == [LIVED.policy(n) for n in range(first + 1, 6)]
    assert [step.epoch for step in steps] == list(range(first, 6))


def test_the_order_of_members_in_a_policy_does_not_matter() -> None:
    shuffled = replace(LIVED.policy(3), members=LIVED.policy(3).members[::-1])
    assert follow(LINKS, shuffled)[0].epoch == 3


def test_a_network_that_returns_to_its_founders_is_followed_from_the_beginning() -> None:
    made = Eras()
    made.barrier(("alder", "birch", "cedar"), "pbft")
    made.barrier(("alder", "birch", "cedar"), "raft")
    steps = follow(tuple(made.links), made.policy(0))
    assert [step.epoch for step in steps] == [0, 1, 2]
    assert steps[0].policy == steps[2].policy


# --- which policy for which tree head -----------------------------------------------------


def test_the_size_of_a_tree_head_says_which_era_vouches_for_it() -> None:
    trust = Trust.of(LIVED.genesis, quorum=quorum).extended(LINKS)
    ends = [heads.parse_note(link.note)[0].size for link in LINKS]
    for epoch, end in enumerate(ends):
        assert trust.step_at(end - 1).epoch == epoch
        assert trust.step_at(end).epoch == epoch, "the barrier is cosigned by whom it ends"
        assert trust.step_at(end + 1).epoch == epoch + 1
    assert trust.step_at(0).epoch == 0
    assert trust.policy_at(1 << 62) == LIVED.policy(5)
    assert (trust.origin, trust.network) == (LIVED.origin, LIVED.network)


def test_the_era_that_orders_a_block_vouches_for_the_log_after_it() -> None:
    trust = Trust.of(LIVED.genesis, quorum=quorum).extended(LINKS)
    for epoch, era in enumerate(LIVED.eras):
        assert trust.policy_after(era.from_height) == LIVED.policy(epoch)
        if epoch:
            assert trust.policy_after(era.from_height - 1) == LIVED.policy(epoch - 1)
    assert trust.policy_after(1 << 62) == LIVED.policy(5)
    later = Trust.of(LIVED.policy(3), quorum=quorum).extended(LINKS)
    assert later.policy_after(1) == LIVED.policy(3), "before its start there is nobody else"
    assert later.policy_after(1 << 62) == LIVED.policy(5)


def test_the_longer_of_two_lineages_counts() -> None:
    bare = Trust.of(LIVED.genesis, quorum=quorum)
    short, long = bare.extended(LINKS[:2]), bare.extended(LINKS)
    assert short.extended(LINKS).steps == long.extended(LINKS[:2]).steps == long.steps
    assert short.policy_at(LIVED.size) == LIVED.policy(2)
    assert Trust.of(LIVED.policy(0), quorum=quorum).extended(LINKS).policy_at(
        LIVED.size
    ) == LIVED.policy(5)


def test_two_lineages_that_contradict_each_other_are_both_refused() -> None:
    """Founders who sign two futures: whoever sees both believes neither."""
    other = Eras()
    other.block(2)
    other.barrier(("alder", "birch", "elm"))
    trust = Trust.of(LIVED.genesis, quorum=quorum).extended(LINKS[:1])
    with pytest.raises(LineageInvalid) as caught:
        trust.extended(other.links)
    assert (caught.value.reason, caught.value.epoch) == (Reason.CONFLICT, 0)
    later = Eras()
    later.block(3)
    later.barrier(("alder", "birch", "cedar", "dogwood"))
    with pytest.raises(LineageInvalid, match="conflict"):
        trust.extended(later.links)


def test_a_bare_policy_counts_for_every_tree_head() -> None:
    policy = LIVED.policy(0)
    assert lineage.policy_for(policy, 1 << 40) is policy
    assert lineage.widened(policy, LINKS) is policy
    trust = Trust.of(LIVED.genesis, quorum=quorum)
    assert lineage.widened(trust, ()) is trust
    assert lineage.policy_for(lineage.widened(trust, LINKS), LIVED.size) == LIVED.policy(5)


# --- what does not hold -------------------------------------------------------------------


def test_links_in_another_order_are_refused() -> None:
    a, b, c = LINKS[:3]
    assert reason_of((b, a, c)) == (Reason.EPOCH_ORDER, 2)
    assert reason_of((a, a)) == (Reason.EPOCH_ORDER, 1)
    assert reason_of((a, c)) == (Reason.EPOCH_ORDER, 3)
    assert reason_of((b,)) == (Reason.EPOCH_ORDER, 2)


def test_links_of_another_network_are_refused() -> None:
    other = Eras(founded(name="other"))
    other.block(2)
    other.barrier(("alder", "birch", "cedar", "dogwood"))
    assert reason_of((other.links[0],)) == (Reason.WRONG_LOG, 1)
    assert reason_of((other.links[0],), LIVED.policy(0)) == (Reason.WRONG_LOG, 1)
    assert reason_of((*LINKS[:1], replace(LINKS[1], note=other.links[0].note))) == (
        Reason.WRONG_LOG,
        2,
    )


@pytest.mark.parametrize("at", range(5))
def test_a_link_needs_a_quorum_of_the_era_before_it(at: int) -> None:
    size = heads.parse_note(LINKS[at].note)[0].size
    needed = LIVED.policy(at).quorum

    def with_note(note: bytes) -> tuple[Link, ...]:
        return (*LINKS[:at], replace(LINKS[at], note=note), *LINKS[at + 1 :])

    few = LIVED.note(size, epoch=at, signers=needed - 1)
    assert reason_of(with_note(few)) == (Reason.QUORUM_MISSING, at + 1)
    enough = LIVED.note(size, epoch=at, signers=needed)
    assert follow(with_note(enough)) == follow(LINKS)


def test_the_era_that_begins_cannot_vouch_for_its_own_beginning() -> None:
    made = Eras()
    link = made.barrier(("dogwood", "elm", "fir"))
    own = replace(link, note=made.note(epoch=1))
    assert reason_of((own,), made.genesis) == (Reason.QUORUM_MISSING, 1)


FORGED: list[tuple[str, Callable[[Era], Era], Reason]] = [
    (
        "a member more",
        lambda e: replace(e, members=(*e.members, voter("zelkova"))),
        Reason.ERA_MISMATCH,
    ),
    ("a member less", lambda e: replace(e, members=e.members[1:]), Reason.ERA_MISMATCH),
    (
        "another key",
        lambda e: replace(
            e, members=(replace(e.members[0], cosigner_key=bytes(32)), *e.members[1:])
        ),
        Reason.ERA_MISMATCH,
    ),
    ("another engine", lambda e: replace(e, engine="pbft"), Reason.ERA_MISMATCH),
    ("from later", lambda e: replace(e, from_height=e.from_height + 1), Reason.HEIGHT_MISMATCH),
]


@pytest.mark.parametrize(
    ("change", "reason"), [item[1:] for item in FORGED], ids=[i[0] for i in FORGED]
)
def test_a_forged_era_is_refused(change: Callable[[Era], Era], reason: Reason) -> None:
    link = LINKS[0]
    assert reason_of((replace(link, era=change(link.era)),)) == (reason, 1)


def test_a_forged_seal_is_refused() -> None:
    link, seal = LINKS[1], decode_seal(LINKS[1].seal)

    def broken(**fields: object) -> tuple[Link, ...]:
        return (LINKS[0], replace(link, seal=replace(seal, **fields).encode()))

    assert reason_of(broken(time_ms=1)) == (Reason.SEAL_MISMATCH, 2)
    assert reason_of(broken(members_digest=bytes(32))) == (Reason.ERA_MISMATCH, 2)
    assert reason_of(broken(height=seal.height + 1)) == (Reason.HEIGHT_MISMATCH, 2)
    assert reason_of(broken(first_index=seal.first_index - 1)) == (Reason.SEAL_NOT_LAST, 2)
    assert reason_of((LINKS[0], replace(link, seal=link.seal[1:]))) == (
        Reason.SEAL_MALFORMED,
        2,
    )
    assert reason_of((LINKS[0], replace(link, path=link.path[:-1]))) == (
        Reason.SEAL_MISMATCH,
        2,
    )
    assert reason_of((LINKS[0], replace(link, note=link.note[:-1]))) == (
        Reason.NOTE_MALFORMED,
        2,
    )


def test_a_barrier_that_is_not_the_last_leaf_is_refused() -> None:
    """The era that ended cosigned more than its barrier: nobody may lead an era from there."""
    made = Eras()
    link = made.barrier(("alder", "birch", "elm"))
    made.block(1)
    late = replace(link, note=made.note(epoch=0), path=made.path(made.size_at(1) - 1))
    assert reason_of((late,), made.genesis) == (Reason.SEAL_NOT_LAST, 1)


def test_a_quorum_that_goes_back_in_its_own_log_is_refused() -> None:
    """Only members who lie together can sign this; the order of sizes would break."""
    made = Eras()
    made.block(9)
    first = made.barrier(("alder", "birch", "cedar"), "pbft")
    twin = Eras()
    twin.eras.append(first.era)
    lower = twin.barrier(("alder", "birch", "elm"))
    assert reason_of((first, lower), made.genesis) == (Reason.HEIGHT_ORDER, 2)
    short = Eras()
    short.eras.append(first.era)
    for _ in range(3):
        short.block(0)
    below = short.barrier(("alder", "birch", "elm"))
    assert reason_of((first, below), made.genesis) == (Reason.SIZE_ORDER, 2)


def test_an_era_whose_members_share_a_key_is_refused() -> None:
    made = Eras()
    twins = (voter("alder"), replace(voter("alder"), id="elm"))
    era = Era(1, "raft", 2, twins)
    made.block(begins=era)
    link = Link(made.note(), made.seals[-1], made.path(made.size - 1), era)
    assert reason_of((link,), made.genesis) == (Reason.ERA_MALFORMED, 1)
    assert reason_of((link,), LIVED.policy(5)) == (Reason.ERA_MALFORMED, 1)


def test_a_policy_that_has_nothing_to_do_with_a_lineage_proves_nothing_with_it() -> None:
    stranger = Eras(founded("raft", ("oak", "pine")))
    odd = heads.Policy(
        LIVED.origin,
        LIVED.network,
        tuple(
            (name, heads.VerifierKey(heads.cosigner_name(LIVED.origin, name), vkey.key))
            for name, vkey in stranger.policy(0).members
        ),
        2,
    )
    assert reason_of(LINKS, odd) == (Reason.QUORUM_MISSING, 1)
    broken = (replace(LINKS[0], note=b""), *LINKS[1:])
    assert reason_of(broken, odd) == (Reason.NOTE_MALFORMED, 1)


# --- encodings ----------------------------------------------------------------------------


def test_the_golden_files_are_read_and_hold() -> None:
    text = (VECTORS / "lineage.json").read_text()
    raw = bytes.fromhex((VECTORS / "lineage.hex").read_text())
    told = lineage.from_json(text)
    assert lineage.decode(raw) == told == Lineage(tuple(maker.golden().links))
    assert maker.files()["lineage.json"] == text
    assert lineage.encode(told) == raw
    start = heads.Policy.from_text((VECTORS / "lineage-policy.json").read_text())
    steps = follow(told.links, start)
    assert [step.policy.quorum for step in steps] == [2, 3, 4]


def test_both_encodings_give_the_lineage_back() -> None:
    for told in (Lineage(()), Lineage(LINKS)):
        assert lineage.decode(lineage.encode(told)) == told
        assert lineage.from_json(lineage.to_json(told)) == told


@pytest.mark.parametrize(
    "change",
    [
        {"format": "chartseal/lineage/v2"},
        {"surplus": 1},
        {"links": None},
        {"links": [{}]},
    ],
)
def test_json_in_any_other_form_is_refused(change: dict[str, object]) -> None:
    plain = {**json.loads(lineage.to_json(Lineage(LINKS))), **change}
    with pytest.raises(LineageMalformed):
        lineage.from_json(json.dumps(plain))
    upper = lineage.to_json(Lineage(LINKS)).replace(
        LINKS[0].seal.hex(), LINKS[0].seal.hex().upper()
    )
    for text in ("", "[]", "{", "null", upper):
        with pytest.raises(LineageMalformed):
            lineage.from_json(text)


def test_bytes_of_another_version_are_refused() -> None:
    raw = lineage.encode(Lineage(LINKS))
    assert raw[:2] == b"\x92\x01"
    with pytest.raises(LineageMalformed, match="version 2"):
        lineage.decode(b"\x92\x02" + raw[2:])
    for wrong in (b"", raw[:-1], raw + b"\x00"):
        with pytest.raises(LineageMalformed):
            lineage.decode(wrong)
    with pytest.raises(LineageMalformed):
        lineage.decode(raw, size_max=len(raw) - 1)


def test_sizes_are_bounded() -> None:
    link = LINKS[0]
    for fields in (
        {"note": bytes(heads.NOTE_BYTES_MAX + 1)},
        {"seal": bytes(2_000)},
        {"path": (bytes(32),) * 64},
        {"path": (bytes(31),)},
    ):
        with pytest.raises(LineageMalformed):
            replace(link, **fields)
    with pytest.raises(LineageMalformed):
        Lineage((link,) * (lineage.LINKS_MAX + 1))


@given(st.binary(max_size=120))
def test_no_bytes_make_the_parsers_raise_anything_else(raw: bytes) -> None:
    with pytest.raises(LineageMalformed):
        lineage.decode(raw)
    with pytest.raises(LineageMalformed):
        lineage.from_json(raw.decode("latin-1"))


# --- every bit ----------------------------------------------------------------------------


@cache
def small() -> tuple[Eras, Lineage]:
    made = Eras(founded("raft", ("alder", "birch", "cedar")))
    made.barrier(("alder", "elm"))
    return made, Lineage(tuple(made.links))


def test_every_flipped_bit_is_refused_or_changes_nothing() -> None:
    """Harmless is only what silences one cosigner while a quorum is left."""
    made, told = small()
    raw = lineage.encode(told)
    want = lineage.follow(made.genesis, told.links, quorum=quorum)
    harmless = 0
    for at in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[at // 8] ^= 1 << at % 8
        try:
            found = lineage.decode(bytes(flipped))
            steps = lineage.follow(made.genesis, found.links, quorum=quorum)
        except (LineageMalformed, LineageInvalid):
            continue
        harmless += 1
        assert steps == want
        (link,) = found.links
        assert replace(link, note=told.links[0].note) == told.links[0], (
            "only the note may differ"
        )
        assert len(heads.count_valid(link.note, made.policy(0))) == 2
    lines = told.links[0].note.partition(b"\n\n")[2]
    assert 0 < harmless < 8 * len(lines)

"""One dialect for all eras: bytes, who is understood, whose keys and certificates count."""

from dataclasses import replace
from typing import Any

import pytest

from consensus import codec
from consensus.codec import Malformed
from consensus.pbft.dialect import DIALECT as PBFT
from consensus.pbft.messages import Prepare, PrePrepare, Status
from consensus.raft.dialect import DIALECT as RAFT
from consensus.raft.log import Base
from consensus.raft.messages import PreVoteRequest, VoteRequest
from consensus.standing import PEERS_MAX, Ended, Foreign, Pace, Standing
from consensus.succession_dialect import InForce, SuccessionDialect
from consensus.types import NodeId
from tests.consensus.eras import era
from tests.consensus.pbft.harness import FRAME_BYTES_MAX, NETWORK, block

A, Z = NodeId("a"), NodeId("z")
BLOCK = block(1, NETWORK)
ENDED = Ended(3, Base(17, 2, 9, bytes(32)))


def dialect(epoch: int, engine: str, founders: str = "raft") -> SuccessionDialect:
    return SuccessionDialect(InForce(era(epoch, engine, "abc")), founders=founders)


def asking(epoch: int) -> PreVoteRequest:
    return PreVoteRequest(epoch, 4, A, 7, 3)


def preparing(epoch: int) -> Prepare:
    return Prepare(epoch, 2, 5, bytes(32), "a", bytes(64))


def both_ways(it: SuccessionDialect, message: Any) -> Any:
    return it.decode(it.encode(message), size_max=FRAME_BYTES_MAX)


@pytest.mark.parametrize(
    ("engine", "message", "bare"),
    [("raft", asking(0), RAFT), ("pbft", preparing(0), PBFT)],
)
def test_the_founders_messages_keep_their_bytes(engine: str, message: Any, bare: Any) -> None:
    it = dialect(0, engine, founders=engine)
    assert it.encode(message) == bare.encode(message)
    assert both_ways(it, message) == message


@pytest.mark.parametrize(("engine", "message"), [("raft", asking(5)), ("pbft", preparing(5))])
def test_messages_of_the_era_in_force_come_back(engine: str, message: Any) -> None:
    it = dialect(5, engine)
    raw = it.encode(message)
    assert raw[0] == 1
    assert int.from_bytes(raw[1:9], "big") == 5
    assert both_ways(it, message) == message


@pytest.mark.parametrize("standing", [Standing(4, 17), Standing(4, 17, ENDED)])
def test_a_standing_is_read_in_any_era(standing: Standing) -> None:
    for it in (dialect(0, "raft"), dialect(9, "pbft")):
        assert it.encode(standing)[0] == 2
        assert both_ways(it, standing) == standing
        assert it.statement(standing, NETWORK) is None
        assert (
            it.checks(
                standing, sender=Z, committee=era(0, "raft", "a").committee, network=NETWORK
            )
            == ()
        )


@pytest.mark.parametrize(
    ("epoch", "engine", "message"),
    [
        (5, "raft", asking(0)),
        (5, "raft", asking(4)),
        (5, "raft", asking(6)),
        (5, "raft", preparing(5)),
        (5, "pbft", asking(5)),
        (0, "raft", preparing(1)),
    ],
)
def test_what_is_of_another_era_or_engine_is_not_parsed_and_not_refused(
    epoch: int, engine: str, message: Any
) -> None:
    it = dialect(epoch, engine)
    assert both_ways(it, message) == Foreign(message.epoch)
    raw = it.encode(message)
    if message.epoch:
        garbled = raw[:10] + bytes(30)
        assert it.decode(garbled, size_max=FRAME_BYTES_MAX) == Foreign(message.epoch)
    foreign = Foreign(message.epoch)
    committee = era(epoch, engine, "abc").committee
    assert it.checks(foreign, sender=Z, committee=committee, network=NETWORK) == ()
    assert it.proposals(foreign) == ()
    assert not it.is_fresh(foreign)


def test_an_engine_of_the_future_is_foreign_too() -> None:
    it = dialect(5, "raft")
    raw = bytearray(it.encode(asking(5)))
    raw[9] = 200
    assert it.decode(bytes(raw), size_max=FRAME_BYTES_MAX) == Foreign(5)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01",
        b"\x01" + bytes(8),
        b"\x01" + bytes(8) + b"\x01" + RAFT.encode(asking(0)),  # a head that says epoch 0
        b"\x01" + (5).to_bytes(8, "big") + b"\x01" + RAFT.encode(asking(4)),
        b"\x01" + (5).to_bytes(8, "big") + b"\x01" + bytes(9),
        b"\x01" + b"\xff" * 8 + b"\x01",
        b"\x02",
        b"\x02" + codec.encode([1, 2]),
        b"\x02" + codec.encode([1, 2, [3, [0, 0, 1, bytes(32)]]]),
        b"\x02" + codec.encode([1 << 63, 2, None]),
    ],
)
def test_what_no_member_of_any_era_sends_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        dialect(5, "raft").decode(raw, size_max=FRAME_BYTES_MAX)


def test_the_limit_on_a_frame_holds_for_foreign_ones() -> None:
    it = dialect(5, "raft")
    with pytest.raises(Malformed):
        it.decode(b"\x01" + (6).to_bytes(8, "big") + bytes(100), size_max=50)


def test_checks_are_made_with_the_committee_in_force_whatever_the_caller_holds() -> None:
    it = dialect(5, "pbft")
    old = era(4, "pbft", "xyz").committee
    (check,) = it.checks(preparing(5), sender=Z, committee=old, network=NETWORK)
    assert check.key == era(5, "pbft", "abc").committee.key("a")
    with pytest.raises(Malformed):
        it.checks(replace(preparing(5), signer="x"), sender=Z, committee=old, network=NETWORK)


def test_a_message_read_before_the_era_began_is_not_checked_after() -> None:
    in_force = InForce(era(0, "pbft", "abc"))
    it = SuccessionDialect(in_force, founders="pbft")
    message = both_ways(it, preparing(0))
    in_force.era = era(1, "raft", "abc", after=3)
    assert it.checks(message, sender=A, committee=in_force.era.committee, network=NETWORK) == ()


def test_statements_signatures_and_proposals_are_the_engines_own() -> None:
    it = dialect(5, "raft")
    proposal = PrePrepare(5, 0, BLOCK, "a")
    assert it.statement(proposal, NETWORK) == PBFT.statement(proposal, NETWORK)
    assert it.with_signature(proposal, bytes(64)) == replace(proposal, signature=bytes(64))
    assert it.proposals(proposal) == (BLOCK,)
    assert it.is_fresh(proposal)
    vote = VoteRequest(5, 4, A, 7, 3, False)
    assert it.statement(vote, NETWORK) == RAFT.statement(vote, NETWORK)
    assert it.statement(Status(5, 0, active=True, height=1), NETWORK) is None


def test_a_certificate_counts_in_its_own_era_only() -> None:
    place = codec.encode([1, 1])
    raft = era(5, "raft", "abc")

    def checks(it: SuccessionDialect, of: Any) -> Any:
        return it.certificate_checks(
            place, proposal=BLOCK, committee=of.committee, network=NETWORK
        )

    assert checks(dialect(5, "raft"), raft) == ()
    for it, of in (
        (dialect(5, "pbft"), raft),
        (dialect(5, "raft"), era(4, "raft", "abc")),
        (dialect(5, "raft"), era(5, "raft", "abd")),
        (SuccessionDialect(InForce(era(5, "raft", "abc", after=1)), founders="raft"), raft),
    ):
        with pytest.raises(Malformed):
            checks(it, of)


def test_one_peer_is_told_once_per_pause_and_the_table_is_bounded() -> None:
    pace = Pace(100)
    assert pace.admits(A, 0)
    assert not pace.admits(A, 99)
    assert pace.admits(A, 100)
    admitted = [pace.admits(NodeId(f"p{n}"), 100) for n in range(3 * PEERS_MAX)]
    assert sum(admitted) == PEERS_MAX - 1
    assert pace.admits(NodeId("late"), 300)
    assert len(pace.plain()) <= PEERS_MAX

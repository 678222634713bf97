"""Proposals: every rule an honest member keeps is a refusal when broken."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consensus.types import Proposal
from node.bodies import (
    PIN_BYTES_MAX,
    RECENT_MAX,
    Bodies,
    Body,
    BodyRefused,
    check_proposal,
    check_time,
    split_txids,
)
from node.ledger import block as blocks
from node.ledger.block import Header
from node.ledger.genesis import Parameters
from tests.support.ledger import Chain, digest, proposal_of


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    with Chain(tmp_path) as made:
        yield made


def check(chain: Chain, proposal: Proposal, **parameters: Any) -> Header:
    return check_proposal(
        proposal,
        network=chain.network,
        parameters=Parameters(**parameters),
        committee=chain.committee,
    )


def test_a_good_proposal_gives_its_header(chain: Chain) -> None:
    body = chain.body(chain.tx(), chain.tx())
    assert check(chain, proposal_of(body)) == body.header


def test_ids_are_split_every_32_bytes() -> None:
    assert split_txids(b"") == []
    assert split_txids(bytes(32) + bytes([1] * 32)) == [bytes(32), bytes([1] * 32)]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"height": 2}, "height differs"),
        ({"parent": digest("other")}, "parent differs"),
        ({"digest": digest("other")}, "digest is not the header's"),
        ({"txids": b""}, "ids do not give"),
        ({"txids": digest("other")}, "ids do not give"),
        ({"header": b"\xc0"}, "header"),
    ],
)
def test_a_proposal_that_differs_from_its_header_is_refused(
    chain: Chain, fields: dict[str, Any], why: str
) -> None:
    proposal = proposal_of(chain.body(chain.tx()))
    with pytest.raises(BodyRefused, match=why):
        check(chain, replace(proposal, **fields))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"network": digest("other")}, "another network"),
        ({"proposer": "payer"}, "not a member"),
        ({"proposer": "nobody"}, "not a member"),
    ],
)
def test_a_header_that_breaks_a_rule_is_refused(
    chain: Chain, fields: dict[str, Any], why: str
) -> None:
    with pytest.raises(BodyRefused, match=why):
        check(chain, proposal_of(chain.body(chain.tx(), **fields)))


def test_an_empty_block_is_refused(chain: Chain) -> None:
    with pytest.raises(BodyRefused, match="empty"):
        check(chain, proposal_of(chain.body()))


def test_a_transaction_stands_once(chain: Chain) -> None:
    tx = chain.tx()
    with pytest.raises(BodyRefused, match="twice"):
        check(chain, proposal_of(chain.body(tx, tx)))


def test_a_block_has_a_limit_of_transactions(chain: Chain) -> None:
    proposal = proposal_of(chain.body(chain.tx(), chain.tx()))
    check(chain, proposal, block_transactions_max=2)
    with pytest.raises(BodyRefused, match="too many"):
        check(chain, proposal, block_transactions_max=1)


@pytest.mark.parametrize(
    ("time_ms", "why"),
    [(1000, "does not advance"), (999, "does not advance"), (7001, "ahead of this node")],
)
def test_the_time_rule(chain: Chain, time_ms: int, why: str) -> None:
    header = chain.body(chain.tx(), time_ms=time_ms).header
    parameters = Parameters(clock_drift_ms_max=5000)
    with pytest.raises(BodyRefused, match=why):
        check_time(header, parent_time_ms=1000, now_ms=2000, parameters=parameters)


@pytest.mark.parametrize("time_ms", [1001, 7000])
def test_the_edges_of_the_time_rule(chain: Chain, time_ms: int) -> None:
    header = chain.body(chain.tx(), time_ms=time_ms).header
    parameters = Parameters(clock_drift_ms_max=5000)
    check_time(header, parent_time_ms=1000, now_ms=2000, parameters=parameters)


def test_recent_bodies_stay_others_come_from_the_store(chain: Chain) -> None:
    body = chain.body(chain.tx())
    on_disk: dict[bytes, Body] = {digest("old"): body}
    asked: list[bytes] = []

    def load(name: bytes) -> Body | None:
        asked.append(name)
        return on_disk.get(name)

    held = Bodies(load)
    assert held.get(digest("none")) is None
    assert held.get(digest("old")) is held.get(digest("old")) is body
    assert asked == [digest("none"), digest("old")]
    for number in range(RECENT_MAX):
        held.put(digest(str(number)), body)
    assert len(held._recent) == RECENT_MAX
    held.get(digest("old"))
    assert asked[-1] == digest("old")  # it had made room


def test_a_pinned_body_outlives_a_flood_until_its_height_has_passed(chain: Chain) -> None:
    body = chain.body(chain.tx())
    held = Bodies(lambda _: None)
    assert not held.pin(digest("mine"), "birch")  # nothing there to keep
    held.put(digest("mine"), body)
    assert held.pin(digest("mine"), "birch")
    for number in range(RECENT_MAX + 1):
        held.put(digest(str(number)), body)
    assert held.get(digest("mine")) is body
    held.passed(body.header.height - 1)
    assert digest("mine") in held._pins
    held.passed(body.header.height)
    assert (held._pins, held._pinned) == ({}, {})
    for number in range(RECENT_MAX):
        held.put(digest(str(number)), body)
    assert held.get(digest("mine")) is None


def test_one_peers_pins_do_not_take_anothers_share(chain: Chain) -> None:
    body = chain.body(chain.tx())
    big = replace(body, raw=bytes(PIN_BYTES_MAX // 2 + 1))
    held = Bodies(lambda _: None)
    for name in ("a", "b"):
        held.put(digest(name), big)
    assert held.pin(digest("a"), "birch")
    assert held.pin(digest("a"), "birch")  # once is enough
    assert not held.pin(digest("b"), "birch")
    assert held.pin(digest("b"), "cedar")
    held.unpin(digest("a"))
    held.unpin(digest("a"))
    assert held.pin(digest("a"), "birch")


def test_the_digest_is_the_headers(chain: Chain) -> None:
    body = chain.body(chain.tx())
    assert proposal_of(body).digest == blocks.body_digest(body.header.encode())

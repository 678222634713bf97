"""GET /v1/evidence: pages of recorded contradictions."""

from consensus import wire
from consensus.pbft import evidence as pbft
from consensus.pbft.dialect import signed_bytes
from consensus.pbft.evidence import SignedStatement, conflicting
from node.ledger.families.evidence import Votes
from node.ledger.transaction import Op, txid_of
from tests.node.http.conftest import Client
from tests.support.ledger_fixture import Ledger, key


def votes(ledger: Ledger, view: int, *, member: str = "birch") -> Op:
    """Return the operation that shows two prepares of ``member`` in one place."""
    halves = []
    for digest in (bytes(32), bytes(range(32))):
        message = signed_bytes(
            "prepare", ledger.network, epoch=0, view=view, height=7, digest=digest
        )
        signature = key(f"{member} consensus").sign(message)
        halves.append(SignedStatement("prepare", 0, view, 7, digest, member, signature))
    found = conflicting(*halves)
    assert found is not None
    return Op("evidence.votes", wire.to_value(Votes(pbft.encode(found))))


async def test_no_contradictions_are_an_empty_page(client: Client, ledger: Ledger) -> None:
    assert await client.json("/v1/evidence") == {
        "evidence": [], "next_cursor": None, "as_of_height": 0,
    }  # fmt: skip


async def test_pages_of_contradictions_join_and_name_their_transactions(
    client: Client, ledger: Ledger
) -> None:
    raws = [ledger.sign(votes(ledger, view)) for view in range(3)]
    raws.append(ledger.sign(votes(ledger, 3), votes(ledger, 4), org="cedar"))
    ledger.commit(*raws)
    seen, cursor = [], "0"
    while cursor is not None:
        page = await client.json(f"/v1/evidence?from={cursor}&limit=2")
        seen += page["evidence"]
        cursor = page["next_cursor"]
    assert [row["round"] for row in seen] == [0, 1, 2, 3, 4]
    assert [row["tx_id"] for row in seen] == [txid_of(raws[at]).hex() for at in (0, 1, 2, 3, 3)]
    assert [row["reporter"] for row in seen] == ["alder"] * 3 + ["cedar"] * 2
    assert {(row["member"], row["kind"], row["height"]) for row in seen} == {
        ("birch", "prepare", 7)
    }
    content = await client.json(f"/v1/transactions/{seen[0]['tx_id']}/content")
    assert content["transaction"]["ops"][0]["kind"] == "evidence.votes"
    assert (await client.json("/v1/evidence?limit=0", status=400))["code"] == "bad-request"

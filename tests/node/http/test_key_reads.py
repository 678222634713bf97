"""What a key touched, and state as of a height, over HTTP."""

from node.ledger import smt
from node.ledger.facts.records import record_key
from node.ledger.smt import StateProof
from node.ledger.transaction import txid_of
from tests.node.http.conftest import Client
from tests.support.ledger_fixture import Ledger, key

ALDER = key("alder identity").public_key.hex()


async def test_pages_of_what_a_key_signed_join_to_the_whole(
    client: Client, ledger: Ledger
) -> None:
    wanted = []
    for _ in range(3):
        mine = [ledger.sign(), ledger.sign()]
        ledger.commit(*mine, ledger.sign(org="birch"))
        wanted += [txid_of(raw).hex() for raw in mine]
    seen, path = [], f"/v1/keys/{ALDER}/touched?limit=4"
    page = await client.json(path)
    assert (page["from_height"], page["looked_to"], page["next_cursor"]) == (1, 2, "3.0")
    seen += page["transactions"]
    page = await client.json(f"{path}&cursor=3.0")
    assert (page["looked_to"], page["next_cursor"], page["as_of_height"]) == (3, None, 3)
    seen += page["transactions"]
    assert [item["tx_id"] for item in seen] == wanted
    assert {(item["code"], item["author"]) for item in seen} == {("applied", True)}
    assert all(len(item["commitments"]) == 1 for item in seen)
    middle = seen[2]["time_ms"]
    page = await client.json(f"/v1/keys/{ALDER}/touched?from_ms={middle}&until_ms={middle + 1}")
    assert [item["height"] for item in page["transactions"]] == [2, 2]


async def test_a_walk_is_asked_for_in_order_or_not_at_all(
    client: Client, ledger: Ledger
) -> None:
    ledger.commit(ledger.sign())
    for query, code in (
        ("cursor=here", "cursor-invalid"),
        ("cursor=0.0", "cursor-invalid"),
        ("limit=501", "bad-request"),
        ("from_ms=9&until_ms=8", "bad-request"),
        ("until=8", "unknown-parameter"),
    ):
        found = await client.json(f"/v1/keys/{ALDER}/touched?{query}", status=400)
        assert found["code"] == code
    await client.json("/v1/keys/abcd/touched", status=400)


async def test_state_is_read_and_proven_as_of_a_height(client: Client, ledger: Ledger) -> None:
    commitment = ledger.commitment()
    ledger.commit(ledger.sign())
    before = ledger.book.tip.state_root
    ledger.commit(ledger.sign(ledger.anchor(commitment)))
    name = record_key(commitment)
    for height, there, root in (
        (1, False, before),
        (2, True, ledger.book.tip.state_root),
    ):
        found = await client.json(f"/v1/state/{name.hex()}?height={height}")
        assert (found["height"], found["value"] is not None) == (height, there)
        assert found["state_root"] == root.hex()
        value = None if found["value"] is None else bytes.fromhex(found["value"])
        proof = StateProof.decode(bytes.fromhex(found["proof"]))
        assert smt.verify_state(root, name, value, proof)
    for height, status in ((3, 404), (0, 400)):
        await client.json(f"/v1/state/{name.hex()}?height={height}", status=status)

"""Reading: blocks, records, proofs, members, policy, status, problems."""

import itertools
import re
from typing import Any

from consensus import wire
from node import errors
from node.ledger import lineage, merkle, smt
from node.ledger.checkpoint import Policy, count_valid, parse_note
from node.ledger.facts.records import record_key
from node.ledger.families.record import Retract
from node.ledger.lineage import Lineage
from node.ledger.smt import StateProof
from node.ledger.transaction import Op, txid_of
from tests.node.http.conftest import Client
from tests.support.eras import lived
from tests.support.ledger_fixture import Ledger, key


async def test_pages_of_blocks_join_to_the_whole_ledger(client: Client, ledger: Ledger) -> None:
    for _ in range(7):
        ledger.commit(ledger.sign())
    seen: list[Any] = []
    path: str | None = "/v1/blocks?limit=3"
    while path is not None:
        async with client.get(path) as answer:
            page = await answer.json()
            link = answer.headers.get("Link")
        assert page["as_of_height"] == 7
        assert (link is None) == (page["next_cursor"] is None)
        seen += page["blocks"]
        path = None if link is None else re.findall(r"<(.*)>; rel=\"next\"", link)[0]
    assert [block["height"] for block in seen] == list(range(1, 8))
    for before, after in itertools.pairwise(seen):
        assert after["parent"] == before["digest"]
    assert (await client.json("/v1/blocks?from=8"))["blocks"] == []


async def test_a_block_names_its_transactions_and_never_changes(
    client: Client, ledger: Ledger
) -> None:
    commitment = ledger.commitment()
    first, second = (ledger.sign(ledger.anchor(commitment)) for _ in range(2))
    ledger.commit(first, second)
    async with client.get("/v1/blocks/1") as answer:
        block = await answer.json()
        assert "immutable" in answer.headers["Cache-Control"]
    assert block["transaction_ids"] == [
        {"tx_id": txid_of(first).hex(), "code": "applied"},
        {"tx_id": txid_of(second).hex(), "code": "record-exists"},
    ]
    async with client.get("/v1/blocks/latest") as answer:
        assert await answer.json() == block
        assert answer.headers["Cache-Control"] == "no-store"


async def test_a_block_that_repeats_a_transaction_gives_it_no_second_outcome(
    client: Client, ledger: Ledger
) -> None:
    raw = ledger.sign()
    ledger.commit(raw)
    ledger.commit(raw)
    block = await client.json("/v1/blocks/2")
    assert block["transaction_ids"] == [{"tx_id": txid_of(raw).hex(), "code": None}]


async def test_a_records_story(client: Client, ledger: Ledger) -> None:
    commitment, tag = ledger.commitment(), bytes(range(16))
    anchor = ledger.sign(ledger.anchor(commitment, tag=tag))
    ledger.commit(anchor)
    retract = Op("record.retract", wire.to_value(Retract(commitment)))
    ledger.commit(ledger.sign(retract))
    found = await client.json(f"/v1/records/{commitment.hex()}")
    assert (found["status"], found["version"]) == ("retracted", 1)
    assert [item["kind"] for item in found["occurrences"]] == ["anchor", "retract"]
    assert found["occurrences"][0]["tx_id"] == txid_of(anchor).hex()
    expected = {"tag": tag.hex(), "commitments": [commitment.hex()]}
    assert await client.json(f"/v1/records?tag={tag.hex()}") == expected
    other = "ff" * 16
    body = {"tags": [other, tag.hex()]}
    async with client.post("/v1/records:by-tags", json=body) as answer:
        found = (await answer.json())["records"]
    assert found == [{"tag": other, "commitments": []}, expected]
    async with client.post("/v1/records:by-tags", json={"tags": [other] * 101}) as answer:
        assert answer.status == 400


async def test_the_lineage_is_open_to_auditors_and_a_receipt_comes_without_it_on_demand(
    client: Client, ledger: Ledger
) -> None:
    async with client.get("/v1/lineage", token=None) as answer:
        assert lineage.from_json(await answer.text()).links == ()
    made = lived()
    ledger.service.lineage = lambda: lineage.to_json(Lineage(tuple(made.links)))
    async with client.get("/v1/lineage", token=None) as answer:
        assert lineage.from_json(await answer.text()).links == tuple(made.links)
    tx = ledger.sign()
    ledger.commit(tx, *(ledger.sign() for _ in range(5)))
    for link in made.links:
        ledger.store.save_links([(link.era.epoch, wire.encode(link))])
    assert parse_note(made.links[0].note)[0].size < 7 < parse_note(made.links[1].note)[0].size
    path = f"/v1/transactions/{txid_of(tx).hex()}/receipt"
    headers = {"Accept": "application/json"}
    full = await client.json(path, headers=headers)
    assert (full["format"], len(full["lineage"])) == ("chartseal/receipt/v2", 1)
    bare = await client.json(f"{path}?lineage=none", headers=headers)
    assert bare["format"] == "chartseal/receipt/v1"
    assert "lineage" not in bare
    refused = await client.json(f"{path}?lineage=half", status=400)
    assert refused["code"] == "bad-request"


async def test_the_checkpoint_and_its_consistency_are_open_to_auditors(
    client: Client, ledger: Ledger
) -> None:
    heads = []
    for _ in range(3):
        ledger.commit(ledger.sign(), ledger.sign())
        async with client.get("/v1/checkpoint", token=None) as answer:
            note = await answer.read()
        heads.append(parse_note(note)[0])
    async with client.get("/v1/policy", token=None) as answer:
        policy = Policy.from_text(await answer.text())
    assert policy == ledger.publisher.policy
    assert count_valid(note, policy) == {"alder", "birch"}
    old, new = heads[0], heads[2]
    path = f"/v1/checkpoint/consistency?old={old.size}&new={new.size}"
    proof = (await client.json(path, token=None))["path"]
    assert merkle.verify_consistency(
        old_size=old.size,
        new_size=new.size,
        old_root=old.root,
        new_root=new.root,
        path=[bytes.fromhex(item) for item in proof],
    )


async def test_state_is_proven_present_and_absent(client: Client, ledger: Ledger) -> None:
    commitment = ledger.commitment()
    ledger.commit(ledger.sign(ledger.anchor(commitment)))
    for name, present in ((record_key(commitment), True), (b"nothing", False)):
        found = await client.json(f"/v1/state/{name.hex()}")
        value = found["value"]
        assert (value is not None) == present
        root, proof = bytes.fromhex(found["state_root"]), bytes.fromhex(found["proof"])
        assert root == ledger.book.tip.state_root
        shown = None if value is None else bytes.fromhex(value)
        assert smt.verify_state(root, name, shown, StateProof.decode(proof))


async def test_members_show_public_keys_and_the_quorum(client: Client, ledger: Ledger) -> None:
    found = await client.json("/v1/members")
    assert (found["network"], found["engine"], found["quorum"]) == ("fixture", "raft", 2)
    assert found["network_digest"] == ledger.network.hex()
    names = [item["id"] for item in found["institutions"] if item["validator"]]
    assert names == ["alder", "birch", "cedar"]
    assert found["institutions"][0]["identity_key"] == key("alder identity").public_key.hex()


async def test_status_says_where_the_node_stands(client: Client, ledger: Ledger) -> None:
    ledger.commit(ledger.sign())
    await client.submit(ledger.sign())
    found = await client.json("/v1/status")
    assert (found["node"], found["height"], found["peers"]) == ("alder", 1, ["birch"])
    assert found["log_root"] == ledger.book.tip.log_root.hex()
    assert found["mempool"]["transactions"] == 1
    assert (found["engine"]["name"], found["engine"]["role"]) == ("raft", "leader")


async def test_every_code_has_a_page_for_people_and_one_for_programs(client: Client) -> None:
    table = await client.json("/v1/problems", token=None)
    codes = [item["code"] for item in table["problems"]]
    assert codes == [entry.code for entry in errors.all_codes()]
    accept = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    async with client.get("/v1/problems", headers=accept, token=None) as answer:
        page = await answer.text()
    assert all(f"/v1/problems/{code}" in page for code in codes)
    entry = await client.json("/v1/problems/receipt-pending")
    assert entry["retryable"] is True
    async with client.get("/v1/problems/receipt-pending", headers=accept) as answer:
        assert answer.content_type == "text/html"
        assert entry["hint"].split(";")[0] in await answer.text()

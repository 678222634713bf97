"""Submit, follow, read, prove: each outcome of a transaction has one HTTP answer."""

from node.ledger import transaction
from node.ledger.receipt import from_json, from_text, verify_receipt


async def test_a_submitted_transaction_waits_commits_and_is_proven(client, ledger) -> None:
    commitment = ledger.commitment()
    raw = ledger.sign(ledger.anchor(commitment))
    txid = transaction.txid_of(raw)
    status, headers, body = await client.submit(raw)
    assert (status, body["state"], body["tx_id"]) == (202, "pending", txid.hex())
    assert headers["Location"] == f"/v1/transactions/{txid.hex()}"
    assert headers["Chartseal-Height"] == "0"
    assert headers["X-Request-Id"]
    assert ledger.admitted == [txid]
    assert ledger.commit() == 1
    body = await client.json(headers["Location"])
    assert (body["state"], body["height"], body["leaf_index"]) == ("committed", 1, 0)
    async with client.get(f"{headers['Location']}/receipt") as answer:
        assert answer.content_type == "text/plain"
        receipt = from_text(await answer.read())
    verified = verify_receipt(receipt, ledger.publisher.policy)
    assert (verified.txid, verified.code, verified.height) == (txid, 0, 1)
    accept = {"Accept": "application/json"}
    async with client.get(f"{headers['Location']}/receipt", headers=accept) as answer:
        assert from_json(await answer.text()) == receipt

"""Submit, follow, read, prove: each outcome of a transaction has one HTTP answer."""

import asyncio
import base64

from consensus import wire
from node.ledger import merkle, transaction
from node.ledger.families.record import Batch
from node.ledger.receipt import from_json, from_text, verify_receipt
from node.ledger.transaction import Op
from tests.node.http.conftest import Client, arrival
from tests.support.ledger_fixture import Ledger, key

JSON = {"Accept": "application/json"}


async def test_a_submitted_transaction_waits_commits_and_is_proven(
    client: Client, ledger: Ledger
) -> None:
    raw = ledger.sign(ledger.anchor())
    txid = transaction.txid_of(raw)
    status, headers, body = await client.submit(raw)
    assert (status, body["state"], body["tx_id"]) == (202, "pending", txid.hex())
    assert body["submitted_height"] == 0
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
    async with client.get(f"{headers['Location']}/receipt", headers=JSON) as answer:
        assert from_json(await answer.text()) == receipt


async def test_prefer_wait_answers_201_as_soon_as_it_is_committed(
    client: Client, ledger: Ledger
) -> None:
    asking = asyncio.create_task(client.submit(ledger.sign(), wait=20))
    await arrival(ledger)
    ledger.commit()
    status, headers, body = await asking
    assert (status, body["state"], body["height"]) == (201, "committed", 1)
    assert headers["Preference-Applied"] == "wait=20"


async def test_prefer_wait_answers_202_when_time_is_up(client: Client, ledger: Ledger) -> None:
    status, _, body = await client.submit(ledger.sign(), wait=1)
    assert (status, body["state"]) == (202, "pending")


async def test_the_same_bytes_again_answer_200_with_the_status(
    client: Client, ledger: Ledger
) -> None:
    raw = ledger.sign()
    assert (await client.submit(raw))[0] == 202
    status, _, body = await client.submit(raw)
    assert (status, body["state"]) == (200, "pending")
    ledger.commit()
    status, _, body = await client.submit(raw)
    assert (status, body["state"], body["height"]) == (200, "committed", 1)


async def test_repeating_a_committed_one_after_its_expiry_is_no_refusal(
    client: Client, ledger: Ledger
) -> None:
    raw = ledger.sign(expires_height=1)
    await client.submit(raw)
    ledger.commit()
    status, _, body = await client.submit(raw)
    assert (status, body["state"]) == (200, "committed")


async def test_one_that_a_rule_refused_is_a_problem_and_has_a_receipt(
    client: Client, ledger: Ledger
) -> None:
    commitment = ledger.commitment()
    ledger.commit(ledger.sign(ledger.anchor(commitment)))
    raw = ledger.sign(ledger.anchor(commitment))
    asking = asyncio.create_task(client.submit(raw, wait=20))
    await arrival(ledger)
    ledger.commit()
    status, headers, body = await asking
    assert (status, body["code"], body["tx_height"]) == (409, "record-exists", 2)
    assert headers["Content-Type"] == "application/problem+json"
    status, _, body = await client.submit(raw)
    assert (status, body["state"]) == (200, "rejected")
    txid = transaction.txid_of(raw).hex()
    async with client.get(f"/v1/transactions/{txid}/receipt") as answer:
        receipt = from_text(await answer.read())
    assert verify_receipt(receipt, ledger.publisher.policy).code == 100


async def test_content_is_what_a_client_may_send_again(client: Client, ledger: Ledger) -> None:
    raw = ledger.sign()
    txid = transaction.txid_of(raw).hex()
    await client.submit(raw)
    waiting = await client.json(f"/v1/transactions/{txid}/content")
    assert (waiting["state"], waiting["height"]) == ("pending", None)
    ledger.commit()
    found = await client.json(f"/v1/transactions/{txid}/content")
    assert (found["state"], found["height"]) == ("committed", 1)
    shown = found["transaction"]
    assert shown == waiting["transaction"]
    for op in shown["ops"]:
        assert op.pop("raw")
    async with client.post("/v1/transactions", json=shown) as answer:
        assert (answer.status, (await answer.json())["tx_id"]) == (200, txid)
    octets = {"Accept": "application/octet-stream"}
    async with client.get(f"/v1/transactions/{txid}/content", headers=octets) as answer:
        assert await answer.read() == raw


async def test_a_transaction_in_base64_counts_the_same(client: Client, ledger: Ledger) -> None:
    raw = ledger.sign()
    body = {"transaction": base64.b64encode(raw).decode()}
    async with client.post("/v1/transactions", json=body) as answer:
        assert answer.status == 202
        assert (await answer.json())["tx_id"] == transaction.txid_of(raw).hex()


async def test_what_was_never_seen_is_unknown(client: Client) -> None:
    body = await client.json(f"/v1/transactions/{'ab' * 32}")
    assert body["state"] == "unknown"
    for part in ("content", "receipt"):
        body = await client.json(f"/v1/transactions/{'ab' * 32}/{part}", status=404)
        assert body["code"] == "not-found"


async def test_an_expired_one_says_so(client: Client, ledger: Ledger) -> None:
    raw = ledger.sign(expires_height=2)
    await client.submit(raw)
    asking = asyncio.create_task(
        client.json(f"/v1/transactions/{transaction.txid_of(raw).hex()}?wait=20")
    )
    ledger.mempool.expire(3)
    ledger.service.expired([transaction.txid_of(raw)])
    assert (await asking)["state"] == "expired"


async def test_a_receipt_is_pending_until_a_quorum_cosigned(
    client: Client, ledger: Ledger
) -> None:
    raw = ledger.sign()
    path = f"/v1/transactions/{transaction.txid_of(raw).hex()}/receipt"
    await client.submit(raw)
    async with client.get(path) as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, "receipt-pending")
        assert answer.headers["Retry-After"] == "1"
    ledger.commit(certified=False)
    assert (await client.json(path, status=404))["code"] == "receipt-pending"
    asking = asyncio.create_task(client.json(path + "?wait=20", headers=JSON))
    await client.json("/livez")
    ledger.certify()
    assert (await asking)["leaf_index"] == 0


async def test_a_batch_item_has_a_receipt_of_its_own(client: Client, ledger: Ledger) -> None:
    items = [ledger.commitment() for _ in range(5)]
    root = merkle.root([merkle.leaf_hash(item) for item in items])
    op = Op("record.batch", wire.to_value(Batch(root, 5, b"".join(items))))
    raw = ledger.sign(op)
    ledger.commit(raw)
    path = f"/v1/transactions/{transaction.txid_of(raw).hex()}/receipt"
    async with client.get(f"{path}?commitment={items[3].hex()}") as answer:
        receipt = from_text(await answer.read())
    assert verify_receipt(receipt, ledger.publisher.policy).commitment == items[3]
    body = await client.json(f"{path}?commitment={'00' * 32}", status=404)
    assert body["code"] == "not-found"


async def test_the_node_signs_operations_with_its_own_key(
    client: Client, ledger: Ledger
) -> None:
    anchor = {"commitment": "11" * 32, "tag": "22" * 16, "canon": 2}
    body = {"ops": [{"kind": "record.anchor", "body": anchor}], "expires_in": 10}
    async with client.post("/v1/operations", json=body) as answer:
        assert answer.status == 202
        txid = (await answer.json())["tx_id"]
    ledger.commit()
    found = (await client.json(f"/v1/transactions/{txid}/content"))["transaction"]
    assert (found["org"], found["expires_height"]) == ("alder", 10)
    assert found["signers"][0]["key"] == key("alder identity").public_key.hex()
    assert (await client.json(f"/v1/records/{'11' * 32}"))["status"] == "live"


async def test_an_idempotency_key_makes_one_transaction_of_many_requests(
    client: Client, ledger: Ledger
) -> None:
    def send(commitment: str) -> object:
        anchor = {"commitment": commitment * 32, "tag": "22" * 16, "canon": 2}
        body = {"ops": [{"kind": "record.anchor", "body": anchor}]}
        return client.post("/v1/operations", json=body, headers={"Idempotency-Key": "k-1"})

    async def ids() -> tuple[int, str]:
        async with send("11") as answer:
            return answer.status, (await answer.json()).get("tx_id")

    first, *others = sorted(await asyncio.gather(*(ids() for _ in range(5))), reverse=True)
    assert first[0] == 202
    assert set(others) == {(200, first[1])}
    assert len(ledger.mempool) == 1
    async with send("33") as answer:
        assert (answer.status, (await answer.json())["code"]) == (422, "idempotency-key-reused")
    assert len(ledger.mempool) == 1

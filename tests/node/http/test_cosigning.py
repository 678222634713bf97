"""Two steps to a co-signed transaction: prepared here, signed elsewhere, sent from here."""

import asyncio
from typing import Any

import pytest

from node.ledger import transaction
from tests.node.http.conftest import Client, arrival
from tests.support.ledger_fixture import Ledger, key

ANCHOR = {"commitment": "ab" * 32, "tag": "cd" * 16, "canon": 2}
OPS = [{"kind": "record.anchor", "body": ANCHOR}]
PATIENT, GUARDIAN = key("patient"), key("guardian")


async def prepare(client: Client, *signers: Any) -> dict[str, Any]:
    asked = {"ops": OPS, "cosigners": [item.public_key.hex() for item in signers]}
    async with client.post("/v1/operations:prepare", json=asked) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


def signatures(prepared: dict[str, Any], *signers: Any) -> list[dict[str, str]]:
    message = bytes.fromhex(prepared["message"])
    return [
        {"key": item.public_key.hex(), "signature": item.sign(message).hex()}
        for item in signers
    ]


async def send(client: Client, payload: str, rows: list[dict[str, str]]) -> tuple[int, Any]:
    body = {"payload": payload, "cosigners": rows}
    async with client.post("/v1/operations:cosigned", json=body) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_co_signed_transaction_bears_every_key_in_order(
    client: Client, ledger: Ledger
) -> None:
    prepared = await prepare(client, PATIENT, GUARDIAN)
    rows = signatures(prepared, PATIENT, GUARDIAN)
    sending = asyncio.create_task(send(client, prepared["payload"], rows))
    await arrival(ledger)
    status, body = await sending
    assert (status, body["state"]) == (202, "pending")
    ledger.commit()
    async with client.get(f"/v1/transactions/{body['tx_id']}/content") as answer:
        said = (await answer.json())["transaction"]
    assert [item["key"] for item in said["signers"]] == [
        prepared["author"],
        PATIENT.public_key.hex(),
        GUARDIAN.public_key.hex(),
    ]
    assert said["ops"][0]["body"]["commitment"] == ANCHOR["commitment"]
    assert (await client.json(f"/v1/transactions/{body['tx_id']}"))["state"] == "committed"


async def test_the_message_is_what_every_signer_can_make_from_the_rest(client: Client) -> None:
    prepared = await prepare(client, PATIENT)
    keys = [bytes.fromhex(item) for item in (prepared["author"], *prepared["cosigners"])]
    message = transaction.signed_message(bytes.fromhex(prepared["payload"]), keys)
    assert prepared["message"] == message.hex()


async def test_a_wrong_signature_is_refused_and_nothing_is_admitted(
    client: Client, ledger: Ledger
) -> None:
    prepared = await prepare(client, PATIENT)
    rows = signatures(prepared, GUARDIAN)
    rows[0]["key"] = PATIENT.public_key.hex()
    status, body = await send(client, prepared["payload"], rows)
    assert (status, body["code"]) == (403, "bad-signature")
    assert ledger.admitted == []


async def test_signatures_for_another_set_of_keys_do_not_count(
    client: Client, ledger: Ledger
) -> None:
    prepared = await prepare(client, PATIENT)
    rows = signatures(prepared, PATIENT, GUARDIAN)
    status, body = await send(client, prepared["payload"], rows)
    assert (status, body["code"]) == (403, "bad-signature")
    assert ledger.admitted == []


async def test_the_node_lends_its_key_to_its_own_payloads_only(
    client: Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks before it signs: no signature over another's payload is ever made."""
    monkeypatch.setattr(ledger.service, "_signers", ())
    foreign = transaction.encode_payload(
        transaction.parse(ledger.sign(ledger.anchor(), org="birch")).payload
    )
    rows = [{"key": PATIENT.public_key.hex(), "signature": "00" * 64}]
    status, body = await send(client, foreign.hex(), rows)
    assert (status, body["code"]) == (400, "transaction-malformed")
    status, body = await send(client, "ffff", rows)
    assert (status, body["code"]) == (400, "transaction-malformed")
    assert ledger.admitted == []

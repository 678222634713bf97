"""Bad input: each has its own stable code, and nothing of it is kept."""

import copy
import json
from typing import Any

import pytest

from node.ledger import transaction
from tests.node.http.conftest import Client
from tests.support.ledger_fixture import Ledger, key

KIND = {"Content-Type": "application/json"}


def numbered(rows: list[Any]) -> list[str]:
    return [f"{at}-{row[0]}" for at, row in enumerate(rows)]


def structured(ledger: Ledger) -> dict[str, Any]:
    """Return a good transaction in members."""
    raw = ledger.sign()
    tx, frame = transaction.parse(raw), transaction.slice_frame(raw)
    commitment, tag, canon = tx.payload.ops[0].body[:3]
    anchor = {"commitment": commitment.hex(), "tag": tag.hex(), "canon": canon}
    return {
        "version": 1,
        "network": tx.payload.network.hex(),
        "org": tx.payload.org,
        "expires_height": tx.payload.expires_height,
        "nonce": tx.payload.nonce.hex(),
        "ops": [{"kind": "record.anchor", "body": anchor}],
        "signers": [{"key": frame.keys[0].hex(), "signature": frame.signatures[0].hex()}],
    }


@pytest.fixture
async def refused(client: Client, ledger: Ledger) -> Any:
    """Post a body, expect a problem with that code and status, and no trace of it."""
    ledger.commit(ledger.sign())
    before = ledger.disk()

    async def expect(
        code: str, status: int, data: bytes, kind: str = "application/json", **more: Any
    ) -> dict[str, Any]:
        path = more.pop("path", "/v1/transactions")
        headers = {"Content-Type": kind, **more}
        async with client.post(path, data=data, headers=headers) as answer:
            body = await answer.json(content_type="application/problem+json")
            assert (body["code"], answer.status) == (code, status), body
            assert body["type"] == f"/v1/problems/{code}"
            assert body["request_id"] == answer.headers["X-Request-Id"]
            assert (body["node"], body["height"]) == ("alder", 1)
        assert ledger.disk() == before
        assert len(ledger.mempool) == 0
        return body  # type: ignore[no-any-return]

    return expect


BAD_RAW: list[tuple[str, int, Any]] = [
    ("transaction-malformed", 400, lambda ledger: b""),
    ("transaction-malformed", 400, lambda ledger: ledger.sign()[:-1]),
    ("transaction-malformed", 400, lambda ledger: ledger.sign() + b"\x00"),
    ("transaction-malformed", 400, lambda ledger: bytes(65_536)),
    ("transaction-malformed", 400, lambda ledger: b"\x02" + ledger.sign()[1:]),
    ("wrong-network", 400, lambda ledger: ledger.sign(network=bytes(32))),
    ("transaction-expired", 409, lambda ledger: ledger.sign(expires_height=1)),
    ("expiry-too-far", 400, lambda ledger: ledger.sign(expires_height=1 << 40)),
    ("unknown-signer", 403, lambda ledger: ledger.sign(signer=key("stranger"))),
    ("unknown-signer", 403, lambda ledger: ledger.sign(signer=key("birch identity"))),
    ("bad-signature", 403, lambda ledger: ledger.sign()[:-1] + b"\x00"),
]


@pytest.mark.parametrize(("code", "status", "make"), BAD_RAW, ids=numbered(BAD_RAW))
async def test_bad_bytes(
    refused: Any, ledger: Ledger, code: str, status: int, make: Any
) -> None:
    await refused(code, status, make(ledger), "application/octet-stream")


async def test_an_integer_in_a_longer_form_is_not_canonical(
    refused: Any, ledger: Ledger
) -> None:
    """The same fields with expires_height 7 written as a two-byte integer, properly signed."""
    raw = ledger.sign(expires_height=7)
    payload = transaction.slice_frame(raw).payload
    at = payload.index(b"\xa5alder") + 6
    longer = payload[:at] + b"\xcc\x07" + payload[at + 1 :]
    signer = key("alder identity")
    message = transaction.signed_message(longer, [signer.public_key])
    bad = transaction.assemble(longer, [signer.public_key], [signer.sign(message)])
    await refused("transaction-malformed", 400, bad, "application/octet-stream")


BAD_TEXT: list[tuple[str, bytes]] = [
    ("json-syntax", b"{"),
    ("json-syntax", b'{"a":1} x'),
    ("json-syntax", b""),
    ("json-duplicate-key", b'{"version":1,"version":1}'),
    ("json-number", b'{"version":NaN}'),
    ("json-number", b'{"version":1.5}'),
    ("json-number", b'{"version":1e3}'),
    ("json-number", b'{"version":' + b"9" * 30 + b"}"),
    ("json-depth", b"[" * 33 + b"]" * 33),
    ("json-depth", b"[" * 100_000),
    ("json-encoding", b'{"org":"\xff"}'),
    ("json-encoding", b'{"org":"\\ud800"}'),
    ("json-encoding", b"\xef\xbb\xbf{}"),
    ("bad-request", b"{}"),
    ("bad-request", b"[]"),
    ("bad-request", b'{"transaction":"%%"}'),
    ("bad-request", b'{"transaction":"AA==","more":1}'),
]


@pytest.mark.parametrize(("code", "text"), BAD_TEXT, ids=numbered(BAD_TEXT))
async def test_bad_json(refused: Any, code: str, text: bytes) -> None:
    await refused(code, 400, text)


CHANGES: list[tuple[str, int, list[Any], Any]] = [
    ("bad-request", 400, ["version"], 2),
    ("bad-request", 400, ["network"], "zz" * 32),
    ("bad-request", 400, ["nonce"], "00"),
    ("bad-request", 400, ["patient_name"], "Chalmers"),
    ("bad-request", 400, ["ops"], []),
    ("op-unknown", 400, ["ops", 0, "kind"], "record.unheard"),
    ("op-malformed", 400, ["ops", 0, "body", "tag"], "00"),
    ("op-malformed", 400, ["ops", 0, "body", "patient_name"], "Chalmers"),
    ("bad-signature", 403, ["ops", 0, "body", "tag"], "ab" * 16),
    ("bad-signature", 403, ["nonce"], "ff" * 8),
    ("wrong-network", 400, ["network"], "00" * 32),
    ("transaction-malformed", 400, ["expires_height"], 1 << 63),
]


@pytest.mark.parametrize(("code", "status", "path", "value"), CHANGES, ids=numbered(CHANGES))
async def test_a_changed_member(
    refused: Any, ledger: Ledger, code: str, status: int, path: list[Any], value: Any
) -> None:
    changed = copy.deepcopy(structured(ledger))
    target: Any = changed
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    body = await refused(code, status, json.dumps(changed).encode())
    assert "Chalmers" not in json.dumps(body)
    assert "patient_name" not in json.dumps(body)


async def test_the_unchanged_members_are_taken(client: Client, ledger: Ledger) -> None:
    async with client.post("/v1/transactions", json=structured(ledger)) as answer:
        assert answer.status == 202


async def test_other_media_types_are_refused(refused: Any, ledger: Ledger) -> None:
    await refused("media-type-unsupported", 415, b"a=b", "application/x-www-form-urlencoded")
    zipped = {"Content-Encoding": "gzip"}
    await refused("media-type-unsupported", 415, b"\x1f\x8b", "application/json", **zipped)


async def test_operations_that_do_not_exist_are_not_signed(refused: Any) -> None:
    body = json.dumps({"ops": [{"kind": "record.unheard", "body": {}}]}).encode()
    await refused("op-unknown", 400, body, path="/v1/operations")


UNKNOWN: list[tuple[str, str, int, str]] = [
    ("GET", "/v1/nothing", 404, "not-found"),
    ("GET", "/", 404, "not-found"),
    ("DELETE", "/v1/transactions", 405, "method-not-allowed"),
    ("GET", "/v1/blocks?page=2", 400, "unknown-parameter"),
    ("GET", "/v1/blocks?limit=501", 400, "bad-request"),
    ("GET", "/v1/blocks?limit=5&limit=6", 400, "bad-request"),
    ("GET", "/v1/blocks?from=-1", 400, "bad-request"),
    ("GET", "/v1/blocks/zero", 400, "bad-request"),
    ("GET", "/v1/blocks/99", 404, "height-unavailable"),
    ("GET", "/v1/transactions/abc", 400, "bad-request"),
    ("GET", "/v1/transactions/" + "ab" * 32 + "?wait=31", 400, "bad-request"),
    ("GET", "/v1/records/" + "00" * 32, 404, "record-unknown"),
    ("GET", "/v1/records?tag=00", 400, "bad-request"),
    ("GET", "/v1/records", 400, "bad-request"),
    ("GET", "/v1/state/xx", 400, "bad-request"),
    ("GET", "/v1/state/00", 404, "height-unavailable"),
    ("GET", "/v1/checkpoint", 404, "not-found"),
    ("GET", "/v1/checkpoint/consistency?old=1&new=2", 404, "not-found"),
    ("GET", "/v1/checkpoint/consistency?old=2", 400, "bad-request"),
    ("GET", "/v1/problems/no-such-code", 404, "not-found"),
    ("GET", "/v1/events?from=somewhere", 400, "cursor-invalid"),
    ("GET", "/v1/events?from=5.0", 400, "cursor-invalid"),
    ("GET", "/v1/events?type=rumour", 400, "bad-request"),
    ("GET", "/metrics", 404, "not-found"),
]


@pytest.mark.parametrize(("method", "path", "status", "code"), UNKNOWN, ids=numbered(UNKNOWN))
async def test_what_is_not_there(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    async with client.request(method, path) as answer:
        body = await answer.json(content_type="application/problem+json")
        assert (answer.status, body["code"], body["status"]) == (status, code, status)
        assert answer.headers["Chartseal-Height"] == "0"
        if status == 405:
            assert answer.headers["Allow"] == "POST"


async def test_nothing_fitting_to_accept(client: Client) -> None:
    for path in ("/v1/problems", f"/v1/transactions/{'ab' * 32}/receipt"):
        async with client.get(path, headers={"Accept": "image/png"}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (406, "not-acceptable")

"""Backups, archive, pruning and completed receipts over HTTP."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node import backups, tokens
from node.ledger import receipt as receipts
from node.ledger.transaction import txid_of
from node.publish import policy_of
from node.settings import Archive, Backup, Storage
from node.upkeep import Upkeep
from storage.backup import Origin
from tests.node.http.conftest import Client
from tests.support.ledger_fixture import Ledger, key

JSON = {"Content-Type": "application/json"}
OCTETS = {"Content-Type": "application/octet-stream"}


def wire(ledger: Ledger, **places: Path | None) -> Upkeep:
    signer = key("alder identity")
    documents = {backups.GENESIS_NAME: ledger.genesis.encode()}
    origin = Origin(
        node="alder",
        software="1",
        key=signer.public_key,
        sign=signer.sign,
        documents=documents,
    )
    ledger.service.upkeep = Upkeep(
        ledger.store,
        ledger.genesis,
        origin=lambda: origin,
        backup_=Backup(path=places.get("backup"), keep=2),
        archive=Archive(path=places.get("archive"), url="https://archive.example"),
        storage=Storage(),
    )
    ledger.service.archive_url = "https://archive.example"
    return ledger.service.upkeep


@pytest.fixture
def upkeep(ledger: Ledger, tmp_path: Path) -> Iterator[Upkeep]:
    return wire(ledger, backup=tmp_path / "backups", archive=tmp_path / "archive")


async def post(client: Client, path: str, body: Any, status: int) -> Any:
    async with client.post(path, data=json.dumps(body), headers=JSON) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


async def made(client: Client, status: int = 201) -> Any:
    async with client.post("/v1/backups") as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


async def test_backups_are_made_listed_and_the_oldest_leave(
    client: Client, ledger: Ledger, upkeep: Upkeep, tmp_path: Path
) -> None:
    names = []
    for _ in range(3):
        ledger.commit(ledger.sign())
        row = await made(client)
        assert row["height"] == ledger.book.tip.height
        names.append(row["name"])
    listed = (await client.json("/v1/backups"))["backups"]
    assert [item["name"] for item in listed] == names[1:]
    assert all(item["problem"] is None for item in listed)
    found = backups.choose(tmp_path / "backups", None)
    assert backups.verify(tmp_path / "backups", found, ledger.genesis, depth="bytes") == []
    assert upkeep.done["backup"] == 3
    assert upkeep.backup_height == 3
    found.path.write_bytes(b"?")
    bad = (await client.json("/v1/backups"))["backups"][-1]
    assert bad["height"] is None
    assert "not a manifest" in bad["problem"]


async def test_two_at_once_wait_for_each_other(
    client: Client, ledger: Ledger, upkeep: Upkeep
) -> None:
    ledger.commit(ledger.sign())
    both = await asyncio.gather(made(client), made(client))
    assert len({row["name"] for row in both}) == 2
    assert upkeep.failed == {}


async def test_what_is_not_set_up_says_which_setting(client: Client, ledger: Ledger) -> None:
    wire(ledger)
    assert "backup.path" in (await made(client, 409))["detail"]
    assert "archive.path" in (await post(client, "/v1/archive", {}, 409))["detail"]


async def test_a_caller_without_the_scope_may_do_none_of_it(
    client: Client, ledger: Ledger, upkeep: Upkeep, tokens_path: Path
) -> None:
    text, row = tokens.create(("tx:read",), expires_ms=1 << 50)
    tokens.write_file(tokens_path, [row])
    for method, path in (
        ("POST", "/v1/backups"),
        ("GET", "/v1/backups"),
        ("POST", "/v1/archive"),
        ("POST", "/v1/blocks:prune"),
    ):
        async with client.request(method, path, token=text) as answer:
            assert answer.status in (401, 403)
    assert upkeep.done == {}


async def test_a_pruned_transaction_is_gone_and_its_receipt_completed_by_who_has_it(
    client: Client, ledger: Ledger, upkeep: Upkeep
) -> None:
    raws = [ledger.sign() for _ in range(4)]
    for raw in raws[:3]:
        ledger.commit(raw)
    ledger.close_segment()
    ledger.commit(raws[3])
    ids = [txid_of(raw) for raw in raws]
    earlier = ledger.service.queries.receipt(ids[0])
    assert earlier is not None
    assert ledger.store.prune(4) is not None
    gone = await client.json(f"/v1/transactions/{ids[0].hex()}/receipt", status=410)
    assert (gone["code"], gone["lowest_height"]) == ("pruned", 4)
    assert gone["archive_url"] == "https://archive.example"
    assert (await client.json(f"/v1/transactions/{ids[0].hex()}"))["state"] == "committed"
    await client.json("/v1/blocks/1")  # what stands in rows is still answered
    async with client.post("/v1/receipts:complete", data=raws[0], headers=OCTETS) as answer:
        assert answer.status == 200, await answer.text()
        text = await answer.read()
    policy = policy_of(ledger.genesis)
    proven = receipts.verify_receipt(receipts.from_text(text), policy)
    assert (proven.txid, proven.code) == (ids[0], 0)
    assert receipts.verify_receipt(earlier, policy).txid == ids[0]  # for ever
    stranger = ledger.sign()
    async with client.post("/v1/receipts:complete", data=stranger, headers=OCTETS) as answer:
        assert answer.status == 404
    async with client.post("/v1/receipts:complete", data=b"?", headers=OCTETS) as answer:
        assert answer.status == 400


async def test_pruning_needs_a_verified_copy_or_force(
    client: Client, ledger: Ledger, upkeep: Upkeep, tmp_path: Path
) -> None:
    for _ in range(4):
        ledger.commit(ledger.sign())
    ledger.close_segment()
    ledger.commit(ledger.sign())
    asked = {"before": 5, "dry": True}
    looked = await post(client, "/v1/blocks:prune", asked, 200)
    assert (looked["lowest"], looked["dry"]) == (5, True)
    assert ledger.store.lowest_body() == 1
    refused = await post(client, "/v1/blocks:prune", {"before": 5, "dry": False}, 409)
    assert refused["code"] == "not-covered"
    await made(client)
    for path in (tmp_path / "backups" / "chunks").glob("*/*"):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        refused = await post(client, "/v1/blocks:prune", {"before": 5, "dry": False}, 409)
        assert path.name in refused["detail"]
        path.write_bytes(whole)
        break
    assert ledger.store.lowest_body() == 1
    done = await post(client, "/v1/blocks:prune", {"before": 5, "dry": False}, 200)
    assert (done["lowest"], done["segments"]) == (5, 1)
    assert ledger.store.lowest_body() == 5


async def test_force_needs_no_copy(client: Client, ledger: Ledger, upkeep: Upkeep) -> None:
    for _ in range(2):
        ledger.commit(ledger.sign())
    ledger.close_segment()
    ledger.commit(ledger.sign())
    asked = {"before": 3, "dry": False, "force": True}
    assert (await post(client, "/v1/blocks:prune", asked, 200))["lowest"] == 3
    nothing = await post(client, "/v1/blocks:prune", asked, 200)
    assert nothing == {"lowest": None, "segments": 0, "bytes": 0, "dry": False}

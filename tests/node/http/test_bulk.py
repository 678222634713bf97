"""Bulk: one answer for each item, in order, whatever the others are."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from node.http.limits import HttpLimits
from node.ledger.transaction import txid_of
from node.mempool import MempoolLimits
from tests.node.http.conftest import Client, client_of
from tests.node.http.test_refusals import structured
from tests.support.ledger_fixture import Ledger, key

PATH = "/v1/transactions:batch"
LINES = {"Content-Type": "application/x-ndjson"}
FRAMES = {"Content-Type": "application/octet-stream"}


async def results(client: Client, data: Any, headers: dict[str, str]) -> list[Any]:
    async with client.post(PATH, data=data, headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "application/x-ndjson"
        return [json.loads(line) async for line in answer.content]


def frame(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


async def test_bad_lines_stand_between_good_ones(client: Client, ledger: Ledger) -> None:
    good = [structured(ledger) for _ in range(3)]
    committed = ledger.sign()
    ledger.commit(committed)
    lines = [
        json.dumps(good[0]).encode(),
        b"{not json",
        json.dumps(good[1]).encode(),
        b'{"a":1,"a":2}',
        b"[" * 40 + b"]" * 40,
        json.dumps(good[0]).encode(),
        b"x" * ((1 << 20) + 1),
        json.dumps({"transaction": base64.b64encode(committed).decode()}).encode(),
        json.dumps(good[2]).encode(),
    ]
    got = await results(client, io.BytesIO(b"\n".join(lines)), LINES)
    assert [item["line"] for item in got] == list(range(1, 10))
    assert [item.get("code", item["status"]) for item in got] == [
        "accepted",
        "json-syntax",
        "accepted",
        "json-duplicate-key",
        "json-depth",
        "known",
        "line-too-long",
        "committed",
        "accepted",
    ]
    assert len(ledger.mempool) == 3
    assert got[1]["retryable"] is False


async def test_frames_carry_raw_bytes_and_survive_bad_ones(
    client: Client, ledger: Ledger
) -> None:
    raws = [ledger.sign() for _ in range(4)]
    stranger = ledger.sign(signer=key("stranger"))
    bad = raws[3][:-1] + b"\x00"
    data = b"".join(map(frame, [raws[0], b"", stranger, bytes(70_000), raws[1], bad, raws[2]]))
    got = await results(client, data + b"\x00\x00\x01", FRAMES)
    assert [item.get("code", item["status"]) for item in got] == [
        "accepted",
        "transaction-malformed",
        "unknown-signer",
        "transaction-malformed",
        "accepted",
        "bad-signature",
        "accepted",
        "frame-malformed",
    ]
    assert [item.get("tx_id") for item in got if item["status"] == "accepted"] == [
        txid_of(raw).hex() for raw in raws[:3]
    ]
    assert len(ledger.mempool) == 3


async def test_a_thousand_frames_are_answered_in_order(client: Client, ledger: Ledger) -> None:
    raws = [ledger.sign() for _ in range(1000)]
    got = await results(client, b"".join(map(frame, raws)), FRAMES)
    assert [item["tx_id"] for item in got] == [txid_of(raw).hex() for raw in raws]


async def test_answers_come_while_the_request_is_still_sent(
    client: Client, ledger: Ledger
) -> None:
    answered = asyncio.Event()

    async def send() -> AsyncIterator[bytes]:
        yield frame(ledger.sign())
        await answered.wait()
        yield frame(ledger.sign())

    async with client.post(PATH, data=send(), headers=FRAMES) as answer:
        first = json.loads(await answer.content.readline())
        answered.set()
        second = json.loads(await answer.content.readline())
    assert (first["line"], second["line"]) == (1, 2)


async def test_a_full_pool_holds_the_stream_until_there_is_room(
    tmp_path: Path, tokens_path: Path, token: str
) -> None:
    small = MempoolLimits(transactions_max=4, org_share_percent=100)
    ledger = Ledger(tmp_path / "small", mempool=small)
    raws = [ledger.sign() for _ in range(10)]
    async with client_of(ledger, tokens_path, token) as client:
        data = b"".join(map(frame, raws))
        asking = asyncio.create_task(results(client, data, FRAMES))
        while not asking.done():
            if len(ledger.mempool) == 4 or ledger.book.tip.height == 2:
                ledger.commit()
            await asyncio.sleep(0.01)
        got = await asking
    assert [item["status"] for item in got] == ["accepted"] * 10
    ledger.close()


async def test_a_pool_that_stays_full_is_told_line_by_line(
    tmp_path: Path, tokens_path: Path, token: str
) -> None:
    small = MempoolLimits(transactions_max=2, org_share_percent=100)
    ledger = Ledger(tmp_path / "small", mempool=small)
    limits = HttpLimits(stall_s=0.1)
    async with client_of(ledger, tokens_path, token, limits) as client:
        data = b"".join(frame(ledger.sign()) for _ in range(3))
        got = await results(client, data, FRAMES)
        status, headers, body = await client.submit(ledger.sign())
    assert [item["status"] for item in got] == ["accepted", "accepted", "refused"]
    assert (got[2]["code"], got[2]["retryable"]) == ("mempool-full", True)
    assert (status, body["code"]) == (503, "mempool-full")
    assert headers["Retry-After"] == "1"
    ledger.close()


async def test_a_stream_has_a_longest_length(
    ledger: Ledger, tokens_path: Path, token: str
) -> None:
    async def send() -> AsyncIterator[bytes]:
        yield frame(ledger.sign())
        yield bytes(5000)

    async with client_of(
        ledger, tokens_path, token, HttpLimits(stream_bytes_max=2000)
    ) as client:
        async with client.post(PATH, data=bytes(3000), headers=FRAMES) as answer:
            assert (answer.status, (await answer.json())["code"]) == (413, "body-too-large")
        got = await results(client, send(), FRAMES)
    assert got[-1]["code"] == "body-too-large"

"""Events: what a client has read, however often it was cut off, is the whole ledger."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from node.http.limits import HttpLimits
from node.ledger.transaction import txid_of
from tests.node.http.conftest import Client, client_of
from tests.support.ledger_fixture import Ledger


async def frames(answer: Any) -> Any:
    """Yield (id, event, data) of each frame that has an event."""
    found: dict[str, str] = {}
    async for raw in answer.content:
        line = raw.decode().rstrip("\n")
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            found[name] = value
        elif not line and "event" in found:
            yield found.get("id"), found["event"], json.loads(found["data"])
            found = {}


async def read(client: Client, count: int, path: str, last: str | None = None) -> list[Any]:
    headers = {} if last is None else {"Last-Event-ID": last}
    got: list[Any] = []
    async with client.get(path, headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        async for frame in frames(answer):
            got.append(frame)
            if len(got) == count:
                break
    return got


def ledger_events(ledger: Ledger) -> list[str]:
    service = ledger.service
    return [
        event["cursor"]
        for height in range(1, ledger.book.tip.height + 1)
        for event in service.queries.events(height, -1)
    ]


async def test_a_client_that_is_cut_off_at_random_misses_nothing(
    client: Client, ledger: Ledger
) -> None:
    dice = random.Random(7)
    for _ in range(12):
        ledger.commit(*(ledger.sign() for _ in range(dice.randrange(1, 6))))
    seen: list[str] = []
    last = "earliest"
    while len(seen) < len(ledger_events(ledger)) or ledger.book.tip.height < 20:
        left = len(ledger_events(ledger)) - len(seen)
        if not left or (ledger.book.tip.height < 20 and dice.random() < 0.5):
            ledger.commit(ledger.sign(), ledger.sign())
            continue
        part = await read(client, dice.randrange(1, min(left, 9) + 1), "/v1/events", last)
        seen += [frame[0] for frame in part]
        last = seen[-1]
    assert seen == ledger_events(ledger)


async def test_events_arrive_while_a_client_listens(client: Client, ledger: Ledger) -> None:
    ledger.commit(ledger.sign())
    raw = ledger.sign()
    async with client.get("/v1/events") as answer:
        assert await answer.content.readline() == b": connected\n"
        ledger.commit(raw)
        got = []
        async for frame in frames(answer):
            got.append(frame)
            if len(got) == 2:
                break
    assert [(item[0], item[1]) for item in got] == [("2.0", "block"), ("2.1", "transaction")]
    assert got[1][2]["tx_id"] == txid_of(raw).hex()
    assert got[1][2]["kinds"] == ["record.anchor"]


async def test_filters_leave_out_what_nobody_asked_for(client: Client, ledger: Ledger) -> None:
    mine, theirs = ledger.sign(), ledger.sign(org="birch")
    ledger.commit(mine, theirs)
    ledger.commit(ledger.sign(org="birch"), ledger.sign())
    path = "/v1/events?from=earliest"
    got = await read(client, 2, f"{path}&type=block")
    assert [item[0] for item in got] == ["1.0", "2.0"]
    got = await read(client, 2, f"{path}&org=birch")
    assert [item[0] for item in got] == ["1.2", "2.1"]
    assert {item[2]["org"] for item in got} == {"birch"}


async def test_heartbeats_move_the_cursor_over_what_filters_left_out(
    ledger: Ledger, tokens_path: Path, token: str
) -> None:
    ledger.commit(ledger.sign())
    limits = HttpLimits(heartbeat_s=0.05)
    async with client_of(ledger, tokens_path, token, limits) as client:
        path = "/v1/events?from=earliest&org=cedar"
        async with client.get(path) as answer:
            lines = [await answer.content.readline() for _ in range(7)]
    assert lines[2:5] == [b": heartbeat\n", b"id: 1.1\n", b"\n"]
    assert lines[5:7] == [b": heartbeat\n", b"\n"]


async def test_the_last_word_is_goodbye_with_the_cursor(client: Client, ledger: Ledger) -> None:
    ledger.commit(ledger.sign())
    async with client.get("/v1/events?from=earliest") as answer:
        got = []
        async for frame in frames(answer):
            got.append(frame)
            if frame[0] == "1.1":
                ledger.service.stop()
    assert got[-1][1:] == ("goodbye", {"cursor": "1.1"})
    body = await client.json("/v1/events", status=503)
    assert body["code"] == "shutting-down"


@pytest.mark.parametrize("place", ["header", "query"])
async def test_a_cursor_beyond_the_ledger_is_refused(
    client: Client, ledger: Ledger, place: str
) -> None:
    ledger.commit(ledger.sign())
    headers = {"Last-Event-ID": "9.0"} if place == "header" else {}
    path = "/v1/events" if place == "header" else "/v1/events?from=9.0"
    body = await client.json(path, status=400, headers=headers)
    assert body["code"] == "cursor-invalid"


async def test_streams_are_counted(ledger: Ledger, tokens_path: Path, token: str) -> None:
    async with client_of(ledger, tokens_path, token, HttpLimits(streams_max=1)) as client:
        async with client.get("/v1/events") as first:
            assert await first.content.readline() == b": connected\n"
            body = await client.json("/v1/events", status=503)
            assert (body["code"], body["retryable"]) == ("overloaded", True)
            await client.json("/v1/status")
            ledger.service.stop()
            await first.read()
        await asyncio.sleep(0)

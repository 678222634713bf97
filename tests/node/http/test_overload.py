"""Limits: rates, room, sizes, slow and malformed senders; each answered by its code."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from node.http import limits as bounds
from node.http.limits import HttpLimits
from tests.node.http.conftest import Client, arrival, client_of
from tests.support.ledger_fixture import Ledger


async def test_a_caller_beyond_its_rate_is_told_when_to_come_back(
    ledger: Ledger, tokens_path: Path, token: str
) -> None:
    limits = HttpLimits(requests_per_second=0.5, burst=3)
    async with client_of(ledger, tokens_path, token, limits) as client:
        async with client.get("/v1/status") as answer:
            assert answer.headers["RateLimit"].startswith('"requests";r=2')
        await client.json("/v1/status")
        await client.json("/v1/status")
        async with client.get("/v1/status") as answer:
            body = await answer.json()
            assert (answer.status, body["code"]) == (429, "rate-limited")
            assert answer.headers["Retry-After"] == str(body["retry_after"]) == "2"
            assert answer.headers["RateLimit-Policy"] == '"requests";q=3;w=6'
        # Others are not affected: the public routes count by address.
        await client.json("/v1/problems", token=None)


async def test_guessing_tokens_costs_requests_too(
    ledger: Ledger, tokens_path: Path, token: str
) -> None:
    limits = HttpLimits(requests_per_second=0.01, burst=3)
    async with client_of(ledger, tokens_path, token, limits) as client:
        for _ in range(3):
            await client.json("/v1/status", status=401, token="chartseal_guess")
        await client.json("/v1/status", status=429, token="chartseal_guess")
        await client.json("/v1/status")


async def test_too_many_requests_at_once_are_shed(
    ledger: Ledger, tokens_path: Path, token: str
) -> None:
    async with client_of(ledger, tokens_path, token, HttpLimits(in_flight_max=1)) as client:
        waiting = asyncio.create_task(client.submit(ledger.sign(), wait=20))
        await arrival(ledger)
        body = await client.json("/v1/status", status=503)
        assert (body["code"], body["retry_after"]) == ("overloaded", 1)
        ledger.commit()
        assert (await waiting)[0] == 201
        await client.json("/v1/status")


async def test_a_body_has_a_largest_size(ledger: Ledger, tokens_path: Path, token: str) -> None:
    async def chunks() -> object:
        for _ in range(40):
            yield bytes(100)

    async with client_of(ledger, tokens_path, token, HttpLimits(body_bytes_max=2048)) as client:
        headers = {"Content-Type": "application/octet-stream"}
        for data in (bytes(4000), chunks()):
            async with client.post("/v1/transactions", data=data, headers=headers) as answer:
                assert (answer.status, (await answer.json())["code"]) == (413, "body-too-large")


async def test_a_body_that_never_ends_is_given_up(
    ledger: Ledger, tokens_path: Path, token: str
) -> None:
    stop = asyncio.Event()

    async def trickle() -> object:
        yield b"\x01"
        await stop.wait()

    async with client_of(ledger, tokens_path, token, HttpLimits(body_s=0.1)) as client:
        headers = {"Content-Type": "application/octet-stream"}
        async with client.post("/v1/transactions", data=trickle(), headers=headers) as answer:
            assert (answer.status, (await answer.json())["code"]) == (408, "request-timeout")
            stop.set()


async def raw_exchange(client: Client, data: bytes) -> tuple[bytes, dict[str, object]]:
    host, _, port = client.base.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        answer = await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, json.loads(body) if body else {}


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x00\xff\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 9000 + b"\r\n\r\n",
    ],
    ids=["not-http", "bad-header", "long-line", "long-header"],
)
async def test_malformed_http_is_a_problem_without_an_echo(client: Client, data: bytes) -> None:
    head, body = await raw_exchange(client, data)
    assert head.partition(b"\r\n")[0].endswith(b" 400 Bad Request")
    assert b"application/problem+json" in head
    assert (body["code"], body["node"]) == ("bad-request", "alder")
    assert b"aaaa" not in json.dumps(body).encode()
    assert "Bad Header" not in json.dumps(body)


async def test_malformed_http_is_one_event_with_the_senders_address(
    client: Client, events: list[tuple[str, dict[str, Any]]]
) -> None:
    _, body = await raw_exchange(client, b"GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n")
    fields = {"request": body["request_id"], "remote": "127.0.0.1"}
    assert events == [("request.malformed", fields)]


async def test_headers_that_trickle_in_end_the_connection(
    ledger: Ledger, tokens_path: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bounds.HANDLER_ARGUMENTS, "keepalive_timeout", 0.2)
    async with client_of(ledger, tokens_path, token) as client:
        head, _ = await raw_exchange(client, b"GET /livez HTTP/1.1\r\nHost: a\r\n")
        assert head == b""


async def test_an_unforeseen_fault_tells_its_type_only(
    client: Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> object:
        raise ZeroDivisionError("content that nobody may see")

    monkeypatch.setattr(ledger.service, "engine_status", broken)
    async with client.get("/v1/status") as answer:
        body = await answer.json(content_type="application/problem+json")
        assert (answer.status, body["code"]) == (500, "internal")
        assert "ZeroDivisionError" in body["detail"]
        assert "nobody may see" not in json.dumps(body)
        assert answer.headers["X-Request-Id"] == body["request_id"]


async def test_an_unforeseen_fault_is_one_event_without_content(
    client: Client,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    events: list[tuple[str, dict[str, Any]]],
) -> None:
    def broken() -> object:
        raise ZeroDivisionError("content that nobody may see")

    monkeypatch.setattr(ledger.service, "engine_status", broken)
    async with client.get("/v1/status", headers={"X-Request-Id": "trace-1"}) as answer:
        assert answer.status == 500
    [(name, fields)] = events
    assert name == "request.internal"
    assert (fields["request"], fields["error"]) == ("trace-1", "ZeroDivisionError")
    assert fields["place"].startswith("test_overload.py:")
    assert set(fields) == {"request", "error", "place"}


async def test_a_request_that_cannot_be_served_is_one_event_with_its_code(
    client: Client, ledger: Ledger, events: list[tuple[str, dict[str, Any]]]
) -> None:
    ledger.service.stop()
    _, headers, _ = await client.submit(ledger.sign())
    fields = {"request": headers["X-Request-Id"], "code": "shutting-down"}
    assert events == [("request.failed", fields)]


async def test_probes_and_refusals_are_no_events(
    client: Client, ledger: Ledger, events: list[tuple[str, dict[str, Any]]]
) -> None:
    ledger.service.stop()
    for path, status in (("/readyz", 503), ("/v1/nowhere", 404)):
        async with client.get(path) as answer:
            assert answer.status == status
    async with client.get("/v1/status", token="wrong") as answer:
        assert answer.status == 401
    assert events == []


async def test_a_stopping_node_takes_no_transactions(client: Client, ledger: Ledger) -> None:
    ledger.service.stop()
    status, _, body = await client.submit(ledger.sign())
    assert (status, body["code"]) == (503, "shutting-down")
    headers = {"Content-Type": "application/x-ndjson"}
    async with client.post("/v1/transactions:batch", data=b"", headers=headers) as answer:
        assert answer.status == 503


async def test_request_ids_of_clients_are_kept_when_they_are_harmless(client: Client) -> None:
    for given, kept in (("trace-1", True), ("a b", False), ("x" * 65, False)):
        async with client.get("/livez", headers={"X-Request-Id": given}) as answer:
            assert (answer.headers["X-Request-Id"] == given) == kept


@pytest.mark.parametrize("expectation", ["100-continue", "a-miracle"])
async def test_an_expectation_does_not_stop_a_request(
    client: Client, ledger: Ledger, expectation: str
) -> None:
    headers = {"Content-Type": "application/octet-stream", "Expect": expectation}
    async with client.post("/v1/transactions", data=ledger.sign(), headers=headers) as answer:
        assert answer.status == 202

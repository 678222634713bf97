"""``consistency=linearizable``: every read of ledger state has it, waits, or refuses."""

import asyncio
from typing import Any

from node.http.answers import Api, Route
from node.http.api import api_routes
from node.http.limits import HttpLimits
from node.ledger import transaction
from node.ledger.facts.records import record_key
from node.ledger.registry import QUESTIONS
from tests.node.http.conftest import Client
from tests.support.ledger_fixture import Ledger

QUESTION = "/v1/ask/network.members"
STATE_READS = {
    QUESTION,
    "/v1/blocks",
    "/v1/blocks/{height}",
    "/v1/evidence",
    "/v1/keys/{key}/touched",
    "/v1/members",
    "/v1/records",
    "/v1/records/{commitment}",
    "/v1/records:by-tags",
    "/v1/state/{key}",
    "/v1/transactions/{tx_id}",
    "/v1/transactions/{tx_id}/content",
    "/v1/transactions/{tx_id}/receipt",
}


def reads(ledger: Ledger) -> list[Route]:
    """Return the hand-written ones and one question, all of which share one handler."""
    routes = api_routes(Api(ledger.service, HttpLimits()))
    found = [route for route in routes if route.ledger_state]
    questions = [route for route in found if route.path.startswith("/v1/ask/")]
    assert len(questions) == len(QUESTIONS)
    return [item for item in found if item not in questions or item.path == QUESTION]


async def ask(client: Client, route: Route, raw: bytes, consistency: str) -> Any:
    """Ask ``route`` about the record that ``raw``, the one transaction, has anchored."""
    commitment = transaction.parse(raw).payload.ops[0].body[0]
    places = {
        "height": "latest",
        "commitment": commitment.hex(),
        "key": record_key(commitment).hex(),
        "tx_id": transaction.txid_of(raw).hex(),
    }
    if route.path.startswith("/v1/keys/"):
        places["key"] = transaction.parse(raw).keys[0].hex()
    query = {"consistency": consistency}
    if route.path == "/v1/records":
        query["tag"] = bytes(16).hex()
    body = {"json": {"tags": [bytes(16).hex()]}} if route.method == "POST" else {}
    path = route.path.format(**places)
    form = {"headers": {"Accept": "application/json"}}
    async with client.request(route.method, path, params=query, **form, **body) as answer:
        return answer.status, dict(answer.headers), await answer.json(content_type=None)


def test_the_reads_of_ledger_state_take_it(ledger: Ledger) -> None:
    assert {route.path for route in reads(ledger)} == STATE_READS
    for route in reads(ledger):
        assert route.parameters[-1].name == "consistency"
        assert "read-unavailable" in route.problems


async def test_every_one_of_them_says_which_height_it_waited_for(
    client: Client, ledger: Ledger
) -> None:
    raw = ledger.sign()
    ledger.commit(raw)
    for route in reads(ledger):
        status, headers, _ = await ask(client, route, raw, "linearizable")
        assert (status, headers["Chartseal-Read-Height"]) == (200, "1"), route.path
        status, headers, _ = await ask(client, route, raw, "local")
        assert (status, headers["Chartseal-Height"]) == (200, "1"), route.path
        assert "Chartseal-Read-Height" not in headers
    assert ledger.reads.served == len(STATE_READS)


async def test_every_one_of_them_refuses_when_nobody_can_tell(
    client: Client, ledger: Ledger
) -> None:
    raw = ledger.sign()
    ledger.commit(raw)
    ledger.leads = False
    for route in reads(ledger):
        status, headers, problem = await ask(client, route, raw, "linearizable")
        assert (status, problem["code"]) == (503, "read-unavailable"), route.path
        assert headers["Retry-After"] == "1"
        assert problem["retryable"]
        assert (await ask(client, route, raw, "local"))[0] == 200


async def test_the_answer_waits_for_blocks_that_are_final_elsewhere(
    client: Client, ledger: Ledger
) -> None:
    ledger.commit(ledger.sign())
    ledger.behind = 2
    path = "/v1/blocks/latest?consistency=linearizable"
    asked = asyncio.create_task(client.json(path))
    while not ledger.reads.waiting:  # noqa: ASYNC110  # the pool of readers has no event
        await asyncio.sleep(0.001)
    ledger.commit(ledger.sign())
    assert (await client.json("/v1/blocks/latest"))["height"] == 2
    assert not asked.done()
    ledger.commit(ledger.sign())
    assert (await asked)["height"] == 3


async def test_there_are_two_consistencies(client: Client) -> None:
    for text in ("strong", "", "LOCAL"):
        problem = await client.json(f"/v1/blocks?consistency={text}", status=400)
        assert problem["code"] == "bad-request"
    problem = await client.json("/v1/status?consistency=local", status=400)
    assert problem["code"] == "unknown-parameter"

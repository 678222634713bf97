"""POST /v1/leader:transfer: who may ask, and what a node without an engine says."""

import time
from pathlib import Path

from node import tokens
from tests.node.http.conftest import Client

PATH = "/v1/leader:transfer"


async def test_it_needs_a_scope_of_its_own(client: Client, tokens_path: Path) -> None:
    later = time.time_ns() // 1_000_000 + 60_000
    everything_else = tuple(set(tokens.SCOPES) - {"node:operate"})
    text, row = tokens.create(everything_else, expires_ms=later)
    tokens.write_file(tokens_path, [*tokens.read_file(tokens_path).values(), row])
    async with client.post(PATH, json={"to": "birch"}, token=text) as answer:
        assert (answer.status, (await answer.json())["code"]) == (403, "forbidden")
    async with client.post(PATH, json={"to": "birch"}, token=None) as answer:
        assert answer.status == 401


async def test_before_the_engine_runs_it_is_not_ready(client: Client) -> None:
    async with client.post(PATH, json={"to": None}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (503, "not-ready")


async def test_what_is_no_member_id_is_refused(client: Client) -> None:
    for body in ({"to": "No Such"}, {"to": 7}, {"whom": "birch"}):
        async with client.post(PATH, json=body) as answer:
            assert answer.status == 400

"""Small words about running nodes that several tests of their life use."""

import json
import secrets
import time
from collections.abc import Callable
from typing import Any

from node.cli.cluster import Cluster


def until(what: Callable[[], bool], say: str, seconds: float = 40) -> None:
    """Return once ``what`` holds; what is asked has no event."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, say
        time.sleep(0.1)


def commit(cluster: Cluster, at: int) -> None:
    """Anchor a random commitment through the node and wait until it is on the ledger."""
    body = {"commitment": secrets.token_hex(32), "tag": secrets.token_hex(16), "canon": 2}
    answer = cluster.client(at, timeout_s=40).request(
        "POST",
        "/v1/operations",
        body=json.dumps({"ops": [{"kind": "record.anchor", "body": body}]}).encode(),
        headers={"Content-Type": "application/json", "Prefer": "wait=30"},
    )
    assert answer.json()["state"] == "committed"


def status(cluster: Cluster, at: int) -> dict[str, Any]:
    """Return what the node says of itself."""
    found: dict[str, Any] = cluster.client(at).get("/v1/status")
    return found

"""What a rehearsal counts as lost, and what not."""

from types import SimpleNamespace
from typing import Any

import pytest

from node.chaos import judge
from node.errors import ChartsealError


class Node:
    """Refuses every other question for asking too fast; knows only some transactions."""

    def __init__(self, known: set[str]) -> None:
        self._known = known
        self.refusals = 0

    def get(self, path: str) -> dict[str, Any]:
        self.refusals += 1
        if self.refusals % 2:
            raise ChartsealError("rate-limited")
        txid = path.rpartition("/")[2]
        return {"state": "committed" if txid in self._known else "unknown"}


def world(*nodes: Node) -> Any:
    def client(at: int, *, timeout_s: float) -> Node:
        assert timeout_s > 0
        return nodes[at]

    return SimpleNamespace(
        nodes=range(len(nodes)),
        cluster=SimpleNamespace(client=client),
        name=lambda at: f"node-{at}",
    )


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "_PAUSE_S", 0.0)


def test_a_node_that_asks_for_patience_has_lost_nothing() -> None:
    node = Node({"aa", "bb"})
    verdict = judge.acknowledged(world(node), ["aa", "bb"])
    assert verdict.held
    assert node.refusals == 4


def test_what_one_node_does_not_know_is_lost() -> None:
    verdict = judge.acknowledged(world(Node({"aa", "bb"}), Node({"aa"})), ["aa", "bb"])
    assert not verdict.held
    assert verdict.detail == "node-1 says unknown of bb"


def test_nothing_acknowledged_proves_nothing() -> None:
    assert not judge.acknowledged(world(Node(set())), []).held

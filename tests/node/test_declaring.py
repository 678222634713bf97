"""Nodes say what their software knows once one member began to; then a feature is decided."""

from pathlib import Path

import pytest

from node.ledger.facts import features
from node.ledger.facts.features import FEATURES, FeatureRow
from node.ledger.facts.membership_bodies import Feature
from node.ledger.families.membership import Knows
from tests.support.nodes import Node, running, until

pytestmark = pytest.mark.timeout(90)


def declared(node: Node) -> list[tuple[str, ...]]:
    """Return what each member said, as far as this node's ledger goes."""
    read = node.parts.service.book.read
    return [features.supports(read, org) for org in node.parts.roster.voters]


def decided(node: Node) -> tuple[FeatureRow, ...]:
    return features.all_features(node.parts.service.book.read)


async def test_one_member_begins_and_the_others_follow(tmp_path: Path) -> None:
    async with running(tmp_path / "net", members=3, engine="raft") as nodes:
        await nodes[0].commit()
        assert declared(nodes[0]) == [(), (), ()], "nobody asked"
        said = await nodes.hands().act(0, "membership.supports", Knows(FEATURES))
        assert said == "applied"
        await until(lambda: all(declared(node) == [FEATURES] * 3 for node in nodes.up))
        await nodes.hands().decide([0, 1, 2], feature=Feature(FEATURES[0]))
        await until(lambda: all(decided(node) == decided(nodes[0]) != () for node in nodes.up))

"""Stories about small clusters, written as scripts in ``scenarios/`` and run line by line."""

from pathlib import Path
from typing import Any

import pytest

from consensus.raft.messages import Append, AppendResponse, Snapshot, VoteResponse
from tests.consensus.raft.harness import Cluster, Node, role
from tests.support.script import run_script

SCRIPTS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))


class Story:
    """Commands: members, elect, order, run, cut, join, heal, crash, restart, show, said."""

    def __init__(self) -> None:
        self.cluster = Cluster(1)

    def command(self, line: str) -> str:
        verb, *words = line.split()
        answer: str = getattr(self, f"do_{verb}")(*words)
        return answer

    def do_members(self, size: str, *options: str) -> str:
        named = {name: int(value) for name, value in (o.split("=") for o in options)}
        self.cluster = Cluster(int(size), **named)
        return ""

    def do_elect(self, name: str) -> str:
        self.cluster.elect(name)
        return f"{name} leads term {self.cluster[name].engine.status().round}"

    def do_order(self, count: str, flavour: str = "") -> str:
        self.cluster.order(int(count), flavour=flavour)
        return ""

    def do_run(self, ms: str) -> str:
        self.cluster.run(int(ms))
        return ""

    def do_isolate(self, name: str) -> str:
        self.cluster.isolate(name)
        return ""

    def do_cut(self, one: str, other: str) -> str:
        self.cluster.cut.add(frozenset((self.cluster[one].id, self.cluster[other].id)))
        return ""

    def do_heal(self) -> str:
        self.cluster.heal()
        return ""

    def do_crash(self, name: str) -> str:
        self.cluster.crash(name)
        return ""

    def do_restart(self, name: str) -> str:
        self.cluster.restart(name)
        return ""

    def do_quiet(self) -> str:
        """Forget what was said so far."""
        self.cluster.seen.clear()
        return ""

    def do_show(self) -> str:
        return "\n".join(_show(node) for node in self.cluster.nodes.values())

    def do_said(self, kind: str) -> str:
        heard = [m for m in self.cluster.seen if type(m[2]).__name__ == kind]
        return "\n".join(f"{sender}>{to} {_tell(message)}" for sender, to, message in heard)


def _show(node: Node) -> str:
    if not node.up:
        return f"{node.id} down"
    core = node.engine._core
    terms = "".join(str(entry.term) for entry in core.log.entries)
    held = f"base {core.log.base.index} log {terms or '-'} commit {core.commit}"
    return f"{node.id} {role(node).value} term {core.term} {held} blocks {node.heights}"


def _tell(message: Any) -> str:
    if isinstance(message, Append):
        terms = "".join(str(entry.term) for entry in message.entries)
        return f"after {message.prev_index}/{message.prev_term}: {terms or '-'}"
    if isinstance(message, AppendResponse):
        if message.success:
            return f"holds {message.index}"
        return f"refuses {message.index}, hint {message.hint_index}/{message.hint_term}"
    if isinstance(message, Snapshot):
        return f"index {message.index}/{message.log_term} block {message.height}"
    if isinstance(message, VoteResponse):
        return f"term {message.term} {'grants' if message.granted else 'refuses'}"
    return type(message).__name__


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    story = Story()
    run_script(path, story.command)
    story.cluster.check()


def test_there_are_scenarios() -> None:
    assert len(SCRIPTS) >= 5

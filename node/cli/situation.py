"""What a node knows that a plan for a decision needs, and the plan: quorum before and after.

Owns: the questions behind it, the row and the lines that are shown.  Sends nothing.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

from consensus import wire
from consensus.codec import Malformed
from node.cli.remote import Remote, pick, rows_of
from node.errors import ChartsealError
from node.ledger.facts.governance_bodies import Propose
from node.ledger.facts.membership import Quorum, quorum_after, quorum_of

_PAGE: Final = 500
_SHOWN: Final = ("engine", "voters", "quorum", "may_stop", "may_lie")


@dataclass(frozen=True, slots=True)
class Decision:
    """``action``: one field of a proposal, as plain members; ``target``: what to type."""

    action: str
    value: Any
    target: str
    say: str
    warnings: tuple[str, ...] = ()

    def body(self) -> Propose:
        """Return it as a proposal; raises ``ChartsealError`` where that cannot be."""
        fields = {"proposal": bytes(32).hex(), self.action: self.value}
        try:
            made: Propose = wire.from_plain(Propose, fields)
        except Malformed as error:
            raise ChartsealError("op-malformed", str(error)) from error
        return made


@dataclass(frozen=True, slots=True)
class Situation:
    """What the node knows that a plan needs."""

    node: str
    engine: str
    voters: tuple[str, ...]
    may_vote: bool
    needed: dict[str, int]  # yes votes by topic
    open: tuple[dict[str, Any], ...]

    @classmethod
    def read(cls, remote: Remote) -> "Situation":
        node = str(pick(remote.get("/v1/status"), ("node",))["node"])
        era = pick(ask(remote, "network.era")["era"], ("engine", "voters"))
        rules = rows_of(ask(remote, "governance.policies"), "policies")
        return cls(
            node=node,
            engine=str(era["engine"]),
            voters=tuple(era["voters"]),
            may_vote=bool(standing(remote, node)["may_vote"]),
            needed={str(rule["topic"]): int(rule["needed"]) for rule in rules},
            open=tuple(proposals(remote, open_only=True)),
        )

    @property
    def quorum(self) -> Quorum:
        return quorum_of(self.engine, len(self.voters))

    def same(self, decision: Decision) -> dict[str, Any] | None:
        """Return the open proposal of just this, if there is one."""
        wanted = wire.to_plain(decision.body())
        for row in self.open:
            if row["body"].get(decision.action) == wanted[decision.action]:
                return row
        return None


def ask(remote: Remote, name: str, **params: str | int) -> dict[str, Any]:
    """Return the answer to a question."""
    answer = pick(remote.get(f"/v1/ask/{name}", **params), ("answer",))["answer"]
    if not isinstance(answer, dict):
        raise ChartsealError("answer-malformed", name)
    return answer


def standing(remote: Remote, org: str) -> dict[str, Any]:
    """Return the seat of an institution; raises ``ChartsealError`` for an unknown one."""
    found = ask(remote, "membership.standing", org=org)
    if not found.get("known"):
        raise ChartsealError("governance-institution-unknown", org)
    return found


def proposals(
    remote: Remote, *, open_only: bool, topic: str | None = None
) -> list[dict[str, Any]]:
    """Return all proposals, the oldest first."""
    found: list[dict[str, Any]] = []
    query: dict[str, str | int] = {"open_only": "true" if open_only else "false"}
    if topic is not None:
        query["topic"] = topic
    start: int | None = 0
    while start is not None:
        page = ask(remote, "governance.proposals", start=start, limit=_PAGE, **query)
        found += rows_of(page, "proposals")
        start = page.get("next")
    return found


def plan(now: Situation, decision: Decision) -> dict[str, Any]:
    """Return what is shown of a decision: the same members always."""
    body = decision.body()
    before, after = asdict(now.quorum), asdict(quorum_after(now.engine, now.voters, body))
    return {
        "action": decision.action,
        "target": decision.target,
        "topic": body.topic,
        "needs": now.needed[body.topic],
        **{f"{name}_{when}": at[name] for name in _SHOWN
           for when, at in (("before", before), ("after", after))},
        "warning": after["warning"],
        "proposal": None,
        "tx_id": None,
        "state": "planned",
    }  # fmt: skip


def changes(row: dict[str, Any]) -> list[str]:
    """Return the lines about engine and quorum, with the warning where no spare is left."""
    lines = []
    if row["engine_before"] != row["engine_after"]:
        lines.append(f"engine {row['engine_before']} -> {row['engine_after']}")
    lines.append(
        f"quorum {row['quorum_before']} of {row['voters_before']} -> "
        f"{row['quorum_after']} of {row['voters_after']}"
    )
    spare = "   ! no spare: nobody may stand still" if row["may_stop_after"] == 0 else ""
    lines.append(f"members that may stop {_arrow(row, 'may_stop')}{spare}")
    if "pbft" in (row["engine_before"], row["engine_after"]):
        none = "   ! no liar is tolerated" if row["may_lie_after"] == 0 else ""
        lines.append(f"members that may lie {_arrow(row, 'may_lie')}{none}")
    return lines


def _arrow(row: dict[str, Any], name: str) -> str:
    return f"{row[f'{name}_before']} -> {row[f'{name}_after']}"

"""`chartseal network`: the network as it is, and decisions about its engine and features.

Everything else in this group asks the ledger's questions (``node.cli.family``).
"""

from typing import Any, Final

import click

from node.cli.cmd_lineage import lineage
from node.cli.deciding import Choices, already, choices_options, decide
from node.cli.main import Group
from node.cli.output import Session
from node.cli.remote import Remote, curl_option, pick, rows_of
from node.cli.situation import Decision, Situation, ask, plan
from node.errors import ChartsealError
from node.ledger.genesis import ENGINES

_WARNINGS: Final = {
    "nobody-may-stop": "no spare: when one voter stands still, no block is ordered",
    "pbft-below-four": "PBFT with fewer than four voters tolerates no liar",
}


@click.group(cls=Group)
def network() -> None:
    """Members, voters, eras, quorum; decide on engine and features."""


network.add_command(lineage)


@network.command()
@curl_option
@click.pass_obj
def show(session: Session, curl: bool) -> None:
    """Show the era in force, its quorum, who follows, what is proposed."""
    remote = Remote(session, curl=curl)
    status = pick(remote.get("/v1/status"), ("node", "network", "height"))
    era = ask(remote, "network.era")["era"]
    quorum = pick(ask(remote, "network.quorum"), ("before",))["before"]
    observers = rows_of(ask(remote, "network.observers"), "observers")
    features = rows_of(ask(remote, "network.features"), "features")
    now = Situation.read(remote)
    row = {
        "network": status["network"],
        "height": status["height"],
        "epoch": era["epoch"],
        "engine": era["engine"],
        "from_height": era["from_height"],
        "voters": era["voters"],
        "observers": [item["org"] for item in observers if not item["learner"]],
        "learners": [item["org"] for item in observers if item["learner"]],
        "quorum": quorum["quorum"],
        "may_stop": quorum["may_stop"],
        "may_lie": quorum["may_lie"],
        "warning": quorum["warning"],
        "features": [_feature(item) for item in features],
        "open_proposals": [str(item["proposal"]) for item in now.open],
    }
    session.show(row)
    if row["warning"] in _WARNINGS:
        session.talk(f"! {_WARNINGS[row['warning']]}")


def _feature(item: Any) -> str:
    feature = item["feature"]
    return f"{feature['name']}@{feature['from_height']}"


@network.command()
@click.argument("engine", type=click.Choice(ENGINES))
@choices_options
@click.pass_obj
def engine(session: Session, engine: str, choices: Choices) -> None:
    """Let the members decide to order blocks by another engine.

    pbft tolerates members that lie, raft only members that stop. The block that executes the
    decision is the last of the old engine.
    """
    warnings: tuple[str, ...] = ()
    if not choices.curl:
        now = Situation.read(Remote(session))
        what = Decision("engine", engine, engine, f"order blocks by {engine}")
        if now.engine == engine:
            already(session, f"{engine} orders blocks", plan(now, what))
            return
        if engine == "pbft" and len(now.voters) < 4:
            warnings = (_WARNINGS["pbft-below-four"],)
    what = Decision("engine", engine, engine, f"order blocks by {engine}", warnings)
    decide(session, what, choices)


@network.command()
@click.argument("name")
@click.option(
    "--from-height",
    type=click.IntRange(0),
    required=True,
    help="In force from that block on; 0: from the block after the decision is executed.",
)
@choices_options
@click.pass_obj
def feature(session: Session, name: str, from_height: int, choices: Choices) -> None:
    """Let the members decide that a feature of the rules is in force from a height on.

    Every voter's software must know it: `network features` shows which do.
    """
    value = {"name": name, "from_height": from_height}
    said = f"feature {name} from block {from_height}" if from_height else f"feature {name}"
    what = Decision("feature", value, name, said)
    if not choices.curl:
        remote = Remote(session)
        found = ask(remote, "network.features")
        for item in rows_of(found, "features"):
            row = item["feature"]
            same = row["from_height"] == from_height or (item["active"] and from_height == 0)
            if row["name"] == name and same:
                now = Situation.read(remote)
                already(session, f"{name} from block {row['from_height']}", plan(now, what))
                return
        lacking = [
            str(item["org"])
            for item in rows_of(found, "voters")
            if name not in item["features"]
        ]
        if lacking:
            raise ChartsealError(
                "membership-feature-unknown",
                f"{', '.join(lacking)} have not said that their software knows {name}",
                hint="update their software, then there: chartseal member declare",
            )
    decide(session, what, choices)

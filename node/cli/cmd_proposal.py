"""`chartseal proposal`: what the members decide together, from proposing to executing.

A proposal is named by its handle or by the beginning of it, as long as only one begins so.
"""

import re
from pathlib import Path
from typing import Any, Final

import click
import nacl.utils

from node.cli.deciding import Choices, choices_options, consent, decide, execute
from node.cli.family import cosign_option, prepare_option
from node.cli.fields import given_members, options_of
from node.cli.main import Group
from node.cli.output import Session
from node.cli.remote import Remote, curl_option, refused, utc, wait_option
from node.cli.showing import lines
from node.cli.situation import Decision, Situation, ask, proposals
from node.errors import ChartsealError
from node.ledger.facts.governance import EXECUTED, OPEN, WITHDRAWN
from node.ledger.facts.governance_bodies import ACTIONS, Propose
from node.ledger.policies import TOPICS

_COLUMNS: Final = (
    "proposal", "action", "target", "by", "status", "yes", "no", "needed", "vote_until",
    "execute_from",
)  # fmt: skip
_PREFIX_MIN: Final = 4
_SHORT: Final = 12
_HANDLE: Final = re.compile(r"[0-9a-fA-F]{4,64}", re.ASCII)


@click.group(cls=Group)
def proposal() -> None:
    """What the members decide: list, propose, vote, withdraw, execute."""


@proposal.command("list")
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@click.option("--topic", type=click.Choice(TOPICS), help="Only of this topic.")
@curl_option
@click.pass_obj
def list_(session: Session, everything: bool, topic: str | None, curl: bool) -> None:
    """List the open proposals, the oldest first."""
    remote = Remote(session, curl=curl)
    rows = [
        _row(item, short=not session.json)
        for item in proposals(remote, open_only=not everything, topic=topic)
    ]
    session.show_list(rows, _COLUMNS)


def _row(item: dict[str, Any], *, short: bool) -> dict[str, Any]:
    handle = str(item["proposal"])
    action, target = _subject(item["body"])
    return {
        "proposal": handle[:_SHORT] if short else handle,
        "action": action,
        "target": target,
        "by": item["org"],
        "status": item["status"],
        "yes": item["yes"],
        "no": item["no"],
        "needed": item["needed"],
        "vote_until": utc(item["vote_until_ms"]),
        "execute_from": utc(item["execute_from_ms"]),
    }


def _subject(body: dict[str, Any]) -> tuple[str, str]:
    """Return which action a proposal is, and whom or what it is about."""
    action = next((name for name in ACTIONS if body.get(name) is not None), "unknown")
    value = body.get(action)
    if isinstance(value, dict):
        names = ("id", "org", "kind", "topic", "name")
        value = next((value[name] for name in names if name in value), None)
    return action, "-" if value is None else str(value)


@proposal.command()
@click.argument("handle")
@curl_option
@click.pass_obj
def show(session: Session, handle: str, curl: bool) -> None:
    """Show a proposal: votes, times, and the quorum before and after it."""
    remote = Remote(session, curl=curl)
    found = _find(remote, handle)
    quorum = ask(remote, "network.quorum", proposal=found["proposal"])
    row = {**found, "quorum_before": quorum["before"], "quorum_after": quorum["after"]}
    if session.json:
        session.show(row)
        return
    action, target = _subject(found["body"])
    body = found["body"].get(action)
    shown = {**row, "body": {action: body if body is not None else target}}
    for line in lines(shown):
        click.echo(line)


def _find(remote: Remote, handle: str) -> dict[str, Any]:
    """Return the proposal that ``handle`` names; raises ``ChartsealError``."""
    if not _HANDLE.fullmatch(handle):
        raise click.BadParameter(f"{_PREFIX_MIN} to 64 hexadecimal digits", param_hint="HANDLE")
    handle = handle.lower()
    if len(handle) == 64:
        found = ask(remote, "governance.proposal", proposal=handle)
        if not found["known"]:
            raise ChartsealError("governance-proposal-unknown", handle)
        return found
    rows = proposals(remote, open_only=False)
    fitting = [item for item in rows if str(item["proposal"]).startswith(handle)]
    if len(fitting) > 1:
        raise click.BadParameter(f"{len(fitting)} proposals begin so", param_hint="HANDLE")
    if not fitting:
        raise ChartsealError("governance-proposal-unknown", handle)
    return fitting[0]


@proposal.command(
    "propose", params=[item for item in options_of(Propose) if item.name != "proposal"]
)
@cosign_option
@prepare_option
@choices_options
@click.pass_obj
def propose(
    session: Session,
    /,
    choices: Choices,
    cosign: tuple[Path, ...],
    prepare: tuple[str, ...],
    **options: Any,
) -> None:
    """Propose one action, and vote yes with it.

    A new institution's identity key, or the one of replaced keys, signs too: --cosign, or
    --prepare and `member sign`.
    """
    given = given_members(Propose, {"proposal": None, **options})
    actions = [name for name in given if name in ACTIONS]
    if len(actions) != 1:
        raise click.UsageError("a proposal is exactly one action")
    action = actions[0]
    value = given[action]
    _, target = _subject({action: value})
    what = Decision(action, value, target, f"{action.replace('_', ' ')} {target}")
    decide(session, what, choices, cosign=cosign, prepare=prepare)


@proposal.command()
@click.argument("handle")
@click.argument("word", metavar="yes|no", type=click.Choice(["yes", "no"]))
@wait_option
@curl_option
@click.pass_obj
def vote(session: Session, handle: str, word: str, wait_timeout: float, curl: bool) -> None:
    """Vote on a proposal; a vote is final."""
    remote, yes = Remote(session, curl=curl), word == "yes"
    if curl:
        _operate(remote, "vote", handle, yes=yes)
    found, now = _find(remote, handle), Situation.read(remote)
    if now.node in found["yes" if yes else "no"]:
        session.talk(f"already: {now.node} voted {word}")
        session.show(_voted(found, None))
        return
    sent = _operate(remote, "vote", found["proposal"], yes=yes)
    final = remote.follow(sent["tx_id"], timeout_s=wait_timeout)
    if (error := refused(final)) is not None:
        raise error
    found = ask(remote, "governance.proposal", proposal=found["proposal"])
    session.show(_voted(found, final["tx_id"]))
    if found["status"] == OPEN and not found["missing"]:
        session.talk(f"decided; next: chartseal proposal execute {found['proposal']}")


def _voted(found: dict[str, Any], tx_id: str | None) -> dict[str, Any]:
    names = ("proposal", "status", "yes", "no", "waiting_for", "needed", "missing")
    return {**{name: found[name] for name in names}, "tx_id": tx_id}


@proposal.command()
@click.argument("handle")
@click.option("--yes", is_flag=True, help="Do it; without this it asks, or refuses.")
@wait_option
@curl_option
@click.pass_obj
def withdraw(session: Session, handle: str, yes: bool, wait_timeout: float, curl: bool) -> None:
    """Withdraw a proposal of the own institution while it is open."""
    remote = Remote(session, curl=curl)
    if curl:
        _operate(remote, "withdraw", handle)
    found = _find(remote, handle)
    if found["status"] == WITHDRAWN:
        _already_closed(session, found)
        return
    consent(Choices(yes=yes), str(found["proposal"])[:_SHORT])
    sent = _operate(remote, "withdraw", found["proposal"])
    final = remote.follow(sent["tx_id"], timeout_s=wait_timeout)
    if (error := refused(final)) is not None:
        raise error
    session.show({"proposal": found["proposal"], "status": WITHDRAWN, "tx_id": final["tx_id"]})


@proposal.command("execute")
@click.argument("handle")
@wait_option
@curl_option
@click.pass_obj
def execute_(session: Session, handle: str, wait_timeout: float, curl: bool) -> None:
    """Do what was decided, once its waiting time is over; any institution may."""
    remote = Remote(session, curl=curl)
    if curl:
        _operate(remote, "execute", handle)
    found = _find(remote, handle)
    if found["status"] == EXECUTED:
        _already_closed(session, found)
        return
    final = execute(remote, found["proposal"], timeout_s=wait_timeout)
    if final is None:
        early = "governance-threshold-missing" if found["missing"] else "governance-waiting"
        since = utc(found["execute_from_ms"])
        raise ChartsealError(early, f"not before {since}" if since else found["proposal"])
    session.show({"proposal": found["proposal"], "status": EXECUTED, "tx_id": final["tx_id"]})


def _already_closed(session: Session, found: dict[str, Any]) -> None:
    session.talk(f"already: it is {found['status']}")
    session.show({"proposal": found["proposal"], "status": found["status"], "tx_id": None})


def _operate(remote: Remote, verb: str, handle: str, **more: bool) -> dict[str, Any]:
    op = {"kind": f"governance.{verb}", "body": {"proposal": handle, **more}}
    return remote.operate([op], key=nacl.utils.random(16).hex())

"""`chartseal member add|admit|demote|remove|leave|show|declare`: who has which seat.

From outside to a vote on blocks: `member add` registers an institution by its join card,
`member admit` makes it a learner, its node catches up and says so, and it votes.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click
import nacl.utils

from consensus import wire
from node.cli.cmd_genesis import read_joining
from node.cli.cmd_key import open_keys
from node.cli.cmd_person import read_prepared, said_by
from node.cli.deciding import Choices, already, choices_options, consent, decide
from node.cli.family import cosign_option, prepare_option
from node.cli.invitation import checked
from node.cli.output import Session
from node.cli.person import message_of
from node.cli.remote import Remote, curl_option, pick, refused, wait_option
from node.cli.situation import Decision, Situation, ask, changes, plan, standing
from node.errors import ChartsealError
from node.ledger.facts.features import FEATURES
from node.ledger.facts.membership import LEARNER, NONE, OBSERVER, VOTER

_FILE: Final = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("card", metavar="CARD", type=_FILE)
@click.option(
    "--seat",
    type=click.Choice([VOTER, OBSERVER]),
    help="Propose this seat too, once it is registered: run it again, or --wait.",
)
@cosign_option
@prepare_option
@choices_options
@click.pass_obj
def add(
    session: Session,
    card: Path,
    seat: str | None,
    cosign: tuple[Path, ...],
    prepare: tuple[str, ...],
    choices: Choices,
) -> None:
    """Propose to register the institution of a join CARD, and with --seat to admit it.

    Its identity key signs too: the card of `chartseal join` brings that along, for the member
    that invited it. For others: --prepare with that key and -o json, `member sign` there,
    `tx cosigned` here.
    """
    item, given = read_joining(card)
    value = {**wire.to_plain(item), "validator": False}
    what = Decision("register", value, item.id, f"register {item.id} ({item.name})")
    consented = None
    if not choices.curl:
        remote = Remote(session)
        found = ask(remote, "network.member", org=item.id)
        if found["known"]:
            same = {**found["institution"], "validator": False} == value
            if not same:
                raise ChartsealError(
                    "governance-institution-exists", f"{item.id} has other keys or roles"
                )
            if seat is not None:
                _admit(session, item.id, choices, observer=seat == OBSERVER)
                return
            already(session, f"{item.id} is registered", plan(Situation.read(remote), what))
            return
        if given is not None and not cosign and not prepare:
            consented = checked(given, item, **_inviting(remote))
    chained = seat is not None and choices.wait and not choices.dry_run and not prepare
    shown = _Unshown(session) if chained else session
    decide(shown, what, choices, cosign=cosign, prepare=prepare, consented=consented)
    if chained:
        _admit(session, item.id, choices, observer=seat == OBSERVER)
    elif seat is not None:
        session.talk("once it is registered, run this again: it proposes the seat")


def _inviting(remote: Remote) -> dict[str, Any]:
    """Return who asks, with the key that the ledger knows it by, and the height."""
    status = pick(remote.get("/v1/status"), ("node", "height"))
    known = ask(remote, "network.member", org=str(status["node"]))["institution"]
    author = bytes.fromhex(known["identity_key"])
    return {"org": status["node"], "author": author, "height": status["height"]}


class _Unshown(Session):
    """A step between, whose row is not the command's answer."""

    def __init__(self, session: Session) -> None:
        super().__init__(**asdict(session))

    def show(self, row: Mapping[str, Any]) -> None:
        self.talk(f"{row['target']}: {row['state']}")


@click.command()
@click.argument("org", metavar="ID")
@click.option("--observer", is_flag=True, help="It follows the chain and is not to vote.")
@choices_options
@click.pass_obj
def admit(session: Session, org: str, observer: bool, choices: Choices) -> None:
    """Propose to admit a registered institution to the members' network.

    It is a learner first; its node catches up, says so, and votes from the next block on.
    """
    _admit(session, org, choices, observer=observer)


def _admit(session: Session, org: str, choices: Choices, *, observer: bool) -> None:
    value = {"org": org, "votes": not observer}
    aim = OBSERVER if observer else LEARNER
    say = f"admit {org} as {'observer' if observer else 'learner, then voter'}"
    done = {aim} if observer else {aim, VOTER}
    _seat(session, Decision("admit", value, org, say), choices, done=done)


@click.command()
@click.argument("org", metavar="ID")
@choices_options
@click.pass_obj
def demote(session: Session, org: str, choices: Choices) -> None:
    """Propose that a voter or learner follows the chain without voting."""
    what = Decision("demote", org, org, f"demote {org} to observer")
    _seat(session, what, choices, done={OBSERVER})


@click.command()
@click.argument("org", metavar="ID")
@choices_options
@click.pass_obj
def remove(session: Session, org: str, choices: Choices) -> None:
    """Propose that an institution leaves the members' network.

    It stays an institution on the ledger: its records and keys are not touched. One whose keys
    are in wrong hands is suspended too: `proposal propose --suspend ID`.
    """
    what = Decision("remove", org, org, f"remove {org} from the members' network")
    _seat(session, what, choices, done={NONE})


def _seat(session: Session, what: Decision, choices: Choices, *, done: set[str]) -> None:
    if not choices.curl:
        remote = Remote(session)
        found = standing(remote, what.target)
        if found["standing"] in done:
            now = Situation.read(remote)
            already(session, f"{what.target} is {_said(found)}", plan(now, what))
            return
    decide(session, what, choices)


def _said(found: dict[str, Any]) -> str:
    seat = str(found["standing"])
    return "no member of the network" if seat == NONE else f"{seat} there"


@click.command()
@click.option("--yes", is_flag=True, help="Do it; without this it shows the plan.")
@click.option("--dry-run", is_flag=True, help="Show the plan, send nothing, exit 0.")
@wait_option
@curl_option
@click.pass_obj
def leave(session: Session, yes: bool, dry_run: bool, wait_timeout: float, curl: bool) -> None:
    """Take this institution out of the members' network; nobody votes on it."""
    remote = Remote(session, curl=curl)
    ops = [{"kind": "membership.leave", "body": {}}]
    if curl:
        remote.operate(ops, key=nacl.utils.random(16).hex())
    now = Situation.read(remote)
    what = Decision("remove", now.node, now.node, f"{now.node} leaves the members' network")
    row = plan(now, what) | {"action": "leave", "topic": None, "needs": 0}
    if standing(remote, now.node)["standing"] == NONE:
        already(session, f"{now.node} is no member of the network", row)
        return
    session.talk("Plan:")
    for line in (what.say, *changes(row), "its node stops ordering blocks at once"):
        session.talk(f"  - {line}")
    if dry_run:
        session.show(row)
        return
    consent(Choices(yes=yes), now.node)
    final = _emit(remote, ops, wait_timeout)
    session.show({**row, "tx_id": final["tx_id"], "state": "executed"})


def _emit(remote: Remote, ops: list[dict[str, Any]], wait_timeout: float) -> dict[str, Any]:
    """Send operations and return the final status; raises what the rules refuse."""
    sent = remote.operate(ops, key=nacl.utils.random(16).hex())
    final = remote.follow(sent["tx_id"], timeout_s=wait_timeout)
    if (error := refused(final)) is not None:
        raise error
    return final


@click.command()
@click.argument("org", metavar="ID", required=False)
@curl_option
@click.pass_obj
def show(session: Session, org: str | None, curl: bool) -> None:
    """Show the seat, keys and features of an institution; default: this node's."""
    remote = Remote(session, curl=curl)
    if org is None:
        org = str(remote.get("/v1/status")["node"])
    found = standing(remote, org)
    known = ask(remote, "network.member", org=org)["institution"]
    row = {
        "id": org,
        "name": known["name"],
        "roles": known["roles"],
        **{name: found[name] for name in _SEAT},
        "identity_key": known["identity_key"],
        "consensus_key": known["consensus_key"],
        "cosigner_key": known["cosigner_key"],
        "encryption_key": known["encryption_key"],
        "features": found["features"],
    }
    session.show(row)


_SEAT: Final = ("standing", "since_height", "proposal", "suspended", "orders", "may_vote")


@click.command()
@wait_option
@curl_option
@click.pass_obj
def declare(session: Session, wait_timeout: float, curl: bool) -> None:
    """Say on the ledger which features this software knows, after an update.

    The command must be of the same version as the node that runs.
    """
    remote = Remote(session, curl=curl)
    ops = [{"kind": "membership.supports", "body": {"features": sorted(FEATURES)}}]
    if curl:
        remote.operate(ops, key=nacl.utils.random(16).hex())
    org = str(remote.get("/v1/status")["node"])
    row: dict[str, Any] = {"id": org, "features": sorted(FEATURES), "tx_id": None}
    if standing(remote, org)["features"] == row["features"]:
        session.talk(f"already: {org} said so")
        session.show(row)
        return
    session.show({**row, "tx_id": _emit(remote, ops, wait_timeout)["tx_id"]})


@click.command()
@click.argument("prepared", type=_FILE)
@click.option(
    "--keys", "keys_path", type=_FILE, required=True, help="The institution's node.key."
)
@click.option(
    "--passphrase-file", type=_FILE, help="File of mode 0600; default: variable, then prompt."
)
@click.option("--yes", is_flag=True, help="Sign without asking.")
@click.pass_obj
def sign(
    session: Session,
    prepared: Path,
    keys_path: Path,
    passphrase_file: Path | None,
    yes: bool,
) -> None:
    """Show what PREPARED (printed by --prepare -o json) says, and sign it as this institution.

    For institutions that join or get new keys: prints key and signature for `tx cosigned`.
    """
    asked = read_prepared(prepared)
    signer = open_keys(keys_path, passphrase_file).identity
    message = message_of(asked)
    if signer.public_key.hex() not in asked["cosigners"]:
        raise ChartsealError("bad-request", "it was not prepared for this identity key")
    for line in said_by(asked["payload"]):
        click.echo(line, err=True)
    consent(Choices(yes=yes), "sign")
    row = {"key": signer.public_key.hex(), "signature": signer.sign(message).hex()}
    if session.json:
        click.echo(json.dumps(row))
        return
    session.show(row)

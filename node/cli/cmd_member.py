"""`chartseal member`: the institutions as the ledger has them, and what speaks against them."""

import json
from typing import Any, Final

import click

from node.cli import cmd_member_invite, cmd_member_keys, cmd_member_seats
from node.cli.main import Group
from node.cli.output import Session
from node.cli.remote import Remote, curl_option, linearizable_option, pick, rows_of, utc

_COLUMNS: Final = ("id", "name", "roles", "validator", "identity_key")
_ALL: Final = (*_COLUMNS, "consensus_key", "cosigner_key", "encryption_key")
_NETWORK: Final = ("network", "network_digest", "engine", "quorum")

_EVIDENCE: Final = (
    "member",
    "kind",
    "epoch",
    "round",
    "height",
    "reporter",
    "recorded_height",
    "time",
    "tx_id",
)
_PAGE: Final = 500


@click.group(cls=Group)
def member() -> None:
    """Institutions and their seats: who joins, leaves, changes keys; hand leadership over."""


for _command in (
    cmd_member_invite.invite,
    cmd_member_seats.add,
    cmd_member_seats.admit,
    cmd_member_seats.demote,
    cmd_member_seats.remove,
    cmd_member_seats.leave,
    cmd_member_seats.show,
    cmd_member_seats.declare,
    cmd_member_seats.sign,
    cmd_member_keys.rotate_keys,
    cmd_member_keys.replace_keys,
):
    member.add_command(_command)


@member.command("list")
@linearizable_option
@curl_option
@click.pass_obj
def list_(session: Session, linearizable: bool, curl: bool) -> None:
    """List the institutions with their roles and public keys."""
    answer = Remote(session, curl=curl, linearizable=linearizable).get("/v1/members")
    network = pick(answer, _NETWORK)
    rows: list[dict[str, Any]] = [pick(item, _ALL) for item in rows_of(answer, "institutions")]
    if session.json:
        session.show_list(rows, _ALL)
        return
    session.talk(
        f"network {network['network']} ({network['engine']}), quorum {network['quorum']} of "
        f"{sum(1 for row in rows if row['validator'])} validators"
    )
    session.show_list([{name: row[name] for name in _COLUMNS} for row in rows], _COLUMNS)


@member.command()
@click.option("--member", "accused", metavar="ID", help="Only about this member.")
@linearizable_option
@curl_option
@click.pass_obj
def evidence(session: Session, accused: str | None, linearizable: bool, curl: bool) -> None:
    """List contradictions of members that are proven on the ledger, oldest first.

    The proof itself: `chartseal tx get --content TXID`.  A member that was restored from an old
    copy looks exactly like one that lies: ask its operators first.
    """
    remote = Remote(session, curl=curl, linearizable=linearizable)
    rows: list[dict[str, Any]] = []
    query: dict[str, str | int] = {"from": "0", "limit": _PAGE}
    while True:
        page = remote.get("/v1/evidence", **query)
        rows += [_contradiction(item) for item in rows_of(page, "evidence")]
        following = pick(page, ("next_cursor",))["next_cursor"]
        if following is None:
            break
        query["from"] = str(following)
    chosen = [row for row in rows if accused in (None, row["member"])]
    session.show_list(chosen, _EVIDENCE)


def _contradiction(item: Any) -> dict[str, Any]:
    row = pick(item, (*(name for name in _EVIDENCE if name != "time"), "time_ms"))
    row["time"] = utc(row["time_ms"])
    return {name: row[name] for name in _EVIDENCE}


@member.command()
@click.option("--to", "target", metavar="ID", help="Default: whoever has executed most.")
@curl_option
@click.pass_obj
def transfer(session: Session, target: str | None, curl: bool) -> None:
    """Hand leadership to another member, for instance before work on the leader's host.

    Raft only; any member may be asked.  A leader that is stopped in order does it by itself.
    """
    remote = Remote(session, curl=curl)
    answer = remote.request(
        "POST",
        "/v1/leader:transfer",
        body=json.dumps({"to": target}).encode(),
        headers={"Content-Type": "application/json"},
    ).json()
    session.show(pick(answer, ("leader", "round")))

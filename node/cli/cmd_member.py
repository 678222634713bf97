"""`chartseal member`: the institutions of the network as the ledger has them."""

from typing import Any, Final

import click

from node.cli.main import Group
from node.cli.output import Session
from node.cli.remote import Remote, curl_option, pick, rows_of

_COLUMNS: Final = ("id", "name", "roles", "validator", "identity_key")
_ALL: Final = (*_COLUMNS, "consensus_key", "cosigner_key", "encryption_key")
_NETWORK: Final = ("network", "network_digest", "engine", "quorum")


@click.group(cls=Group)
def member() -> None:
    """Show the institutions of the network."""


@member.command("list")
@curl_option
@click.pass_obj
def list_(session: Session, curl: bool) -> None:
    """List the institutions with their roles and public keys."""
    answer = Remote(session, curl=curl).get("/v1/members")
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

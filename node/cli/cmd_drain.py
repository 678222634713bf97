"""`chartseal drain` and `undrain`: take a node out of service, and back."""

import time
from typing import Any, Final

import click

from node.cli.output import Session
from node.cli.remote import Remote, curl_option, pick
from node.errors import ChartsealError

_PHASE: Final = ("phase", "left")
_POLL_S: Final = 0.2


@click.command()
@click.option("--wait", is_flag=True, help="Return when it is done; --timeout bounds that.")
@curl_option
@click.pass_obj
def drain(session: Session, wait: bool, curl: bool) -> None:
    """Let a node finish what it accepted, hand leadership over and take no new work.

    Clients' writes get 503 and Retry-After, `/readyz` says no; the node goes on voting,
    applying and answering reads until it is stopped or `undrain` is said.  Saying it twice is
    harmless.
    """
    remote = Remote(session, curl=curl)
    row = _say(remote, "/v1/node:drain")
    until = time.monotonic() + session.timeout_s
    while wait and row["phase"] != "drained":
        if time.monotonic() >= until:
            detail = f"{row['left']} accepted transactions are not final yet"
            raise ChartsealError("timeout-outcome-unknown", detail)
        time.sleep(_POLL_S)
        row = _say(remote, "/v1/node:drain")
    session.show(row)


@click.command()
@curl_option
@click.pass_obj
def undrain(session: Session, curl: bool) -> None:
    """Let a drained node serve again."""
    session.show(_say(Remote(session, curl=curl), "/v1/node:undrain"))


def _say(remote: Remote, path: str) -> dict[str, Any]:
    return pick(remote.request("POST", path).json(), _PHASE)

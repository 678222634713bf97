"""`chartseal tx`: submit signed transactions, follow them to their outcome."""

from pathlib import Path
from typing import Any, Final

import click

from node.cli.cmd_person import read_prepared
from node.cli.main import Group
from node.cli.output import Session
from node.cli.person import send_cosigned
from node.cli.remote import (
    SECRET_FILE,
    TXID,
    Remote,
    curl_option,
    linearizable_option,
    pick,
    refused,
    status_of,
    wait_option,
)
from node.errors import ChartsealError
from node.ledger.transaction import (
    TRANSACTION_BYTES_MAX,
    TransactionMalformed,
    parse,
    txid_of,
)
from node.record_files import read_bytes

_OCTETS: Final = {"Content-Type": "application/octet-stream"}


@click.group(cls=Group)
def tx() -> None:
    """Submit transactions and follow them."""


def _end(session: Session, status: dict[str, Any]) -> None:
    error = refused(status) if status["state"] in ("rejected", "expired") else None
    session.show(status)
    if error is not None:
        raise error


@tx.command()
@click.argument("file", type=SECRET_FILE)
@click.option("--wait/--no-wait", default=False, show_default=True, help="Until its outcome.")
@click.option(
    "--timeout", "wait_timeout", type=click.FloatRange(0.1, 3600), default=60.0,
    show_default=True, metavar="SECONDS", help="Patience with --wait.",
)  # fmt: skip
@curl_option
@click.pass_obj
def submit(session: Session, file: Path, wait: bool, wait_timeout: float, curl: bool) -> None:
    """Submit the signed transaction in FILE (its bytes).  Repeating it is harmless."""
    raw = read_bytes(file, bytes_max=TRANSACTION_BYTES_MAX)
    try:
        parse(raw)
    except TransactionMalformed as error:
        raise ChartsealError("transaction-malformed", f"{file}: {error}") from error
    remote = Remote(session, curl=curl)
    if curl:
        remote.print_curl("POST", "/v1/transactions", headers=_OCTETS, file=file)
        return
    tx_id = txid_of(raw).hex()
    try:
        answer = remote.request("POST", "/v1/transactions", body=raw, headers=_OCTETS).json()
    except ChartsealError as error:
        if error.code == "timeout-outcome-unknown":
            # We know its id although nobody answered: say how to ask.
            raise ChartsealError(
                error.code, f"{tx_id}: {error.detail}", hint=f"chartseal tx wait {tx_id}"
            ) from error
        raise
    status = status_of(answer)
    if status["tx_id"] != tx_id:
        raise ChartsealError("answer-malformed", "the status of another transaction")
    _end(session, remote.follow(tx_id, timeout_s=wait_timeout) if wait else status)


@tx.command()
@click.argument("tx_id", metavar="TXID", type=TXID)
@click.option("--content", is_flag=True, help="What it says, instead of where it stands.")
@linearizable_option
@curl_option
@click.pass_obj
def get(session: Session, tx_id: str, content: bool, linearizable: bool, curl: bool) -> None:
    """Show where a transaction stands: pending, committed, rejected, expired or unknown."""
    remote = Remote(session, curl=curl, linearizable=linearizable)
    if not content:
        status = status_of(remote.get(f"/v1/transactions/{tx_id}"))
        session.show(status)
        if status["state"] == "unknown":
            raise ChartsealError("not-found", f"{tx_id} was never seen there, or is forgotten")
        return
    answer = remote.get(f"/v1/transactions/{tx_id}/content")
    row = pick(answer, ("tx_id", "state", "height", "transaction"))
    names = ("network", "org", "expires_height", "nonce", "ops", "signers")
    inner = pick(row["transaction"], names)
    if session.json:
        session.show(row)
        return
    kinds = [op.get("kind") for op in inner.pop("ops") if isinstance(op, dict)]
    keys = [item.get("key") for item in inner.pop("signers") if isinstance(item, dict)]
    del row["transaction"]
    session.show({**row, **inner, "kinds": kinds, "signers": keys})


@tx.command()
@click.argument("tx_id", metavar="TXID", type=TXID)
@click.option(
    "--timeout", "wait_timeout", type=click.FloatRange(0.1, 86_400), default=60.0,
    show_default=True, metavar="SECONDS", help="Exit code 7 when there is no outcome by then.",
)  # fmt: skip
@curl_option
@click.pass_obj
def wait(session: Session, tx_id: str, wait_timeout: float, curl: bool) -> None:
    """Wait for the outcome of a transaction."""
    _end(session, Remote(session, curl=curl).follow(tx_id, timeout_s=wait_timeout))


@tx.command()
@click.argument("prepared", type=SECRET_FILE)
@click.option(
    "--signature", "signatures", multiple=True, required=True, metavar="KEY:SIGNATURE",
    help="A co-signer's key and signature, as `person sign` prints them; repeat for each.",
)  # fmt: skip
@wait_option
@curl_option
@click.pass_obj
def cosigned(
    session: Session,
    prepared: Path,
    signatures: tuple[str, ...],
    wait_timeout: float,
    curl: bool,
) -> None:
    """Send the payload in PREPARED with the signatures of those it was prepared for.

    The node adds its institution's own signature.
    """
    asked = read_prepared(prepared)
    given = dict(text.partition(":")[::2] for text in signatures)
    missing = [key for key in asked["cosigners"] if key not in given]
    if missing or len(given) != len(asked["cosigners"]):
        raise ChartsealError("bad-request", "one signature of each key it was prepared for")
    remote = Remote(session, curl=curl)
    signed = [(key, given[key]) for key in asked["cosigners"]]
    status = send_cosigned(remote, asked["payload"], signed)
    _end(session, remote.follow(status["tx_id"], timeout_s=wait_timeout))

"""`chartseal receipt`: fetch receipts, and verify them anywhere.

`receipt verify` stands alone: it needs files only; no node, no network, no data directory.
"""

from pathlib import Path

import click

from node import records
from node.cli import verdict as verdicts
from node.cli.main import Group
from node.cli.output import Session
from node.cli.remote import (
    RECEIPT_TEXT,
    SECRET_FILE,
    TXID,
    Hex,
    Remote,
    curl_option,
    lang_option,
    linearizable_option,
    utc,
)
from node.cli.trusting import lineage_option, policy_option, read_trust
from node.errors import ChartsealError, Exit
from node.ledger.checkpoint import CheckpointMalformed, Policy
from node.ledger.registry import result_of
from node.record_files import OPENING_SUFFIX, read_bytes


@click.group(cls=Group)
def receipt() -> None:
    """Fetch receipts from a node, verify them without one."""


def put(session: Session, raw: bytes, out: Path | None) -> None:
    """Write to a new file, or to stdout."""
    if out is None:
        click.echo(raw.decode("utf-8"), nl=False)
        return
    try:
        with out.open("xb") as file:
            file.write(raw)
    except FileExistsError as error:
        raise ChartsealError("exists-already", str(out), hint="choose another --out") from error
    except OSError as error:
        raise ChartsealError("file-unreadable", f"{out}: {error.strerror}") from error
    session.talk(f"written to {out}")


@receipt.command()
@click.argument("tx_id", metavar="TXID", type=TXID)
@click.option("--commitment", type=Hex(32), help="For this item of the transaction's batch.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text",
              show_default=True, help="C2SP tlog-proof, or the same as JSON.")  # fmt: skip
@click.option("--wait", "wait_s", type=click.IntRange(0, 30), default=10, show_default=True,
              metavar="SECONDS", help="Until a quorum has cosigned.")  # fmt: skip
@click.option("--lineage/--no-lineage", "lineage", default=True, show_default=True,
              help="With how members changed since the founders, once they did.")  # fmt: skip
@click.option("--out", type=SECRET_FILE, help="A new file; default: stdout.")
@linearizable_option
@curl_option
@click.pass_obj
def get(
    session: Session,
    tx_id: str,
    commitment: str | None,
    form: str,
    wait_s: int,
    lineage: bool,
    out: Path | None,
    linearizable: bool,
    curl: bool,
) -> None:
    """Fetch the receipt of a transaction: the proof of its outcome."""
    media = RECEIPT_TEXT if form == "text" else "application/json"
    remote = Remote(session, curl=curl, linearizable=linearizable)
    raw = remote.receipt(
        tx_id, commitment=commitment, form=media, wait_s=wait_s, lineage=lineage
    )
    verdicts.parse_receipt(raw, "the node's answer")
    put(session, raw, out)


@receipt.command()
@click.option("--out", type=SECRET_FILE, help="A new file; default: stdout.")
@curl_option
@click.pass_obj
def policy(session: Session, out: Path | None, curl: bool) -> None:
    """Fetch the policy: whose cosignatures count.  Get it from a member that you trust."""
    raw = Remote(session, curl=curl).request("GET", "/v1/policy").body
    try:
        Policy.from_text(raw.decode("utf-8"))
    except (CheckpointMalformed, UnicodeDecodeError) as error:
        raise ChartsealError("answer-malformed", "not a policy") from error
    put(session, raw, out)


@receipt.command()
@click.argument("path", metavar="RECEIPT", type=SECRET_FILE)
@policy_option(required=True)
@lineage_option
@click.option("--record", type=SECRET_FILE, help="A copy to check against the receipt.")
@click.option("--opening", type=SECRET_FILE, help="Its opening; default: RECORD.opening.json.")
@lang_option
@click.pass_obj
def verify(
    session: Session,
    path: Path,
    policy_path: Path,
    lineage_path: Path | None,
    record: Path | None,
    opening: Path | None,
    lang: str,
) -> None:
    """Verify RECEIPT with nothing but files, and say what each check found.

    Exit code 0: it proves what is shown.  8: it does not, or the copy is not the record.
    """
    if opening is not None and record is None:
        raise click.UsageError("--opening belongs to --record")
    given, trust = verdicts.read_receipt(path), read_trust(policy_path, lineage_path)
    proven = verdicts.prove(given, trust)
    policy = verdicts.vouching(given.lineage, proven, trust)
    judged, verdict = None, None
    if record is not None:
        place = record.with_name(record.name + OPENING_SUFFIX) if opening is None else opening
        raw = read_bytes(record)
        kept = verdicts.best(raw, records.read_openings(place))
        found = verdicts.from_receipt(given, proven, kept.commitment)
        verdict = verdicts.verdict_of(raw, kept, found)
        judged = verdicts.row_of(verdict, kept, found, lang)
    if session.json:
        outcome = result_of(proven.code)
        session.show(
            {
                "valid": True,
                "tx_id": proven.txid.hex(),
                "outcome": outcome.code,
                "code": proven.code,
                "height": proven.height,
                "time": utc(proven.time_ms),
                "time_ms": proven.time_ms,
                "leaf_index": proven.leaf_index,
                "checkpoint_size": proven.checkpoint_size,
                "origin": policy.origin,
                "epoch": proven.epoch,
                "quorum": policy.quorum,
                "signers": list(proven.signers),
                "commitment": None if proven.commitment is None else proven.commitment.hex(),
                "record": judged,
            }
        )
    else:
        for line in verdicts.explain(given, proven, policy):
            click.echo(f"ok    {line}")
        click.echo(f"valid: {proven.txid.hex()}")
        if judged is not None:
            click.echo()
            session.show(judged)
    if verdict is not None and verdict not in verdicts.GOOD:
        raise click.exceptions.Exit(Exit.VERIFICATION_FAILED)

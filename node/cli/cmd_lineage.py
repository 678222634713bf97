"""`chartseal network lineage`: how the members of today follow from the founders."""

from pathlib import Path
from typing import Any, Final

import click

from node.cli.cmd_receipt import put
from node.cli.output import Session
from node.cli.remote import SECRET_FILE, Remote, curl_option
from node.cli.trusting import extended, read_trust
from node.errors import ChartsealError
from node.ledger import lineage as lineages
from node.ledger.checkpoint import CheckpointMalformed, parse_note
from node.ledger.lineage import Lineage, Trust
from node.record_files import read_bytes
from node.trust import TrustMalformed, quorum, read_lineage

COLUMNS: Final = ("epoch", "engine", "from_height", "log_size", "quorum", "members")


@click.command()
@click.option("--file", "path", type=SECRET_FILE, help="A lineage in a file; asks no node.")
@click.option("--verify", "start", type=SECRET_FILE, metavar="POLICY|GENESIS",
              help="Prove it from this policy or genesis.bin, of any time before.")  # fmt: skip
@click.option("--out", type=SECRET_FILE, help="Write it to a new file; keep it with receipts.")
@curl_option
@click.pass_obj
def lineage(
    session: Session, path: Path | None, start: Path | None, out: Path | None, curl: bool
) -> None:
    """Show the eras of the network: who voted from which height, up to which size of the log.

    Every link is cosigned by the members before it.  Without --verify nothing is checked.
    Exit code 8: it does not hold from that start.
    """
    if path is None:
        raw = Remote(session, curl=curl).request("GET", "/v1/lineage").body
    else:
        raw = read_bytes(path, bytes_max=lineages.JSON_BYTES_MAX)
    told = _read(raw, path)
    if start is not None:
        trust = extended(read_trust(start), told.links)
        rows = _proven(trust)
    else:
        rows = _claimed(told)
    if out is not None:
        put(session, raw, out)
    session.show_list(rows, COLUMNS)
    if start is None:
        session.talk("not verified: pass --verify with a policy or genesis.bin that you trust")
    else:
        session.talk(f"holds: {len(rows)} eras, each proven by the one before it")


def _read(raw: bytes, path: Path | None) -> Lineage:
    try:
        return read_lineage(raw)
    except TrustMalformed as error:
        if path is None:
            raise ChartsealError("answer-malformed", "not a lineage") from error
        raise ChartsealError("lineage-invalid", f"{path}: {error}") from error


def _proven(trust: Trust) -> list[dict[str, Any]]:
    return [
        {
            "epoch": step.epoch,
            "engine": None if step.era is None else step.era.engine,
            "from_height": None if step.era is None else step.era.from_height,
            "log_size": step.upto,
            "quorum": step.policy.quorum,
            "members": [member for member, _ in step.policy.members],
        }
        for step in trust.steps
    ]


def _claimed(told: Lineage) -> list[dict[str, Any]]:
    """Return what the links say; where an era ends is told by the link to the next one."""
    try:
        ends = [parse_note(link.note)[0].size for link in told.links[1:]]
    except CheckpointMalformed as error:
        raise ChartsealError("lineage-invalid", str(error)) from error
    return [
        {
            "epoch": link.era.epoch,
            "engine": link.era.engine,
            "from_height": link.era.from_height,
            "log_size": end,
            "quorum": quorum(link.era.engine, len(link.era.members)),
            "members": [item.id for item in link.era.members],
        }
        for link, end in zip(told.links, [*ends, None], strict=False)
    ]

"""`chartseal archive`: old blocks as static files, verified and read without a node.

With --config a stopped node's directory is used; without it `create` asks the running node,
which writes to its own archive.path.  `verify` and `receipt` read only files.
"""

from pathlib import Path

import click

from node.cli.cmd_receipt import put
from node.cli.copies import GENESIS_OPTION, PATH, genesis_for, progress, show_findings
from node.cli.main import Group
from node.cli.output import Session
from node.cli.remote import SECRET_FILE, TXID, Remote, curl_option
from node.cli.trusting import lineage_option, with_lineage
from node.errors import ChartsealError


@click.group(cls=Group)
def archive() -> None:
    """Static archives of old blocks (C2SP tlog-tiles), and what they give back."""


@archive.command()
@click.option("--config", "config_path", type=PATH, help="The stopped node's config.toml.")
@click.option("--to", type=PATH, help="With --config: where to; default: archive.path.")
@click.option("--up-to", type=click.IntRange(1), help="Highest height; default: certified.")
@curl_option
@click.pass_obj
def create(
    session: Session,
    config_path: Path | None,
    to: Path | None,
    up_to: int | None,
    curl: bool,
) -> None:
    """Make an archive or extend it to the newest certified height.

    Any web server can serve it; tools that know C2SP tlog-tiles read tiles, entries and
    checkpoint.
    """
    if config_path is None:
        import json

        if to is not None:
            raise click.UsageError("a running node writes to its archive.path; see --config")
        body = json.dumps({"up_to": up_to}).encode()
        remote = Remote(session, curl=curl)
        headers = {"Content-Type": "application/json"}
        answer = remote.request("POST", "/v1/archive", body=body, headers=headers, wait_s=3600)
        session.show(answer.json())
        return
    from node import config as configuration
    from node.archive.write import write
    from node.daemon import load_genesis
    from storage.store import Store

    settings = configuration.load(config_path)
    root = to or settings.archive.path
    if root is None:
        raise click.UsageError("give --to, or set archive.path")
    genesis = load_genesis(settings.network.genesis)
    with Store.open(settings.node.data_dir, network=genesis.network) as store:
        done = write(store, genesis, root, up_to=up_to, progress=progress(session))
    session.show({"first": done.first, "height": done.height, "log_size": done.log_size})


@archive.command()
@click.argument("directory", type=PATH)
@click.option("--genesis", "genesis_path", **GENESIS_OPTION)
@lineage_option
@click.pass_obj
def verify(
    session: Session, directory: Path, genesis_path: Path | None, lineage_path: Path | None
) -> None:
    """Verify an archive without a node: leaves, tiles, blocks, certificates, checkpoint.

    Where members have changed since the founders, the archive proves it; --lineage says who
    certified it from elsewhere.

    Exit code 0: all of it is under a tree head that a quorum cosigned; 8: findings, each with
    the file that holds it.
    """
    from node.archive import layout
    from node.archive.verify import verify as judge
    from node.ledger.genesis import Genesis, GenesisInvalid
    from node.trust import trust_in

    def own() -> Genesis:
        try:
            return Genesis.decode(layout.read(directory / layout.GENESIS_NAME))
        except GenesisInvalid as error:
            path = directory / layout.GENESIS_NAME
            raise layout.ArchiveInvalid(path, str(error)) from error

    head = layout.need_head(directory)
    genesis = genesis_for(session, genesis_path, own)
    policy_at = None
    if lineage_path is not None:
        policy_at = with_lineage(trust_in(genesis), lineage_path).policy_after
    findings = judge(directory, genesis, policy_at=policy_at, progress=progress(session))
    row = {
        "height": head.height,
        "log_size": head.log_size,
        "network": genesis.network.hex(),
    }
    show_findings(session, row, findings)


@archive.command("import")
@click.argument("directory", type=PATH)
@click.option(
    "--config", "config_path", type=PATH, required=True, help="The stopped node's config.toml."
)
@click.option(
    "--down-to",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Lowest height to bring back.",
)
@click.pass_obj
def import_(session: Session, directory: Path, config_path: Path, down_to: int) -> None:
    """Bring pruned blocks back into a stopped node, after verifying the archive."""
    from node import config as configuration
    from node.archive import use
    from node.archive.verify import verify as judge
    from node.daemon import load_genesis
    from storage.store import Store

    settings = configuration.load(config_path)
    genesis = load_genesis(settings.network.genesis)
    with Store.open(
        settings.node.data_dir,
        network=genesis.network,
        segment_bytes_max=settings.storage.segment_bytes_max,
    ) as store:
        findings = judge(directory, genesis)
        if findings:
            show_findings(session, {"imported": 0}, findings)
        count = use.import_blocks(store, directory, down_to=down_to, progress=progress(session))
        session.show({"imported": count, "lowest_body": store.lowest_body()})


@archive.command()
@click.argument("directory", type=PATH)
@click.argument("tx_id", metavar="TXID", type=TXID)
@click.option("--out", type=SECRET_FILE, help="A new file; default: stdout.")
@click.pass_obj
def receipt(session: Session, directory: Path, tx_id: str, out: Path | None) -> None:
    """Make the receipt of an archived transaction from files alone."""
    from node.archive import use
    from node.ledger import receipt as receipts

    found = use.receipt(directory, bytes.fromhex(tx_id))
    if found is None:
        raise ChartsealError("not-found", f"the archive holds no transaction {tx_id}")
    put(session, receipts.to_text(found), out)

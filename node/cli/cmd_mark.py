"""`chartseal key reset-mark`: give up what is left of the protection against signing twice.

For one case only: the ledger that belonged to the key is lost for good, and whoever runs the
node has made sure of what the manual asks.  Without --yes it shows both sides and changes
nothing.
"""

from pathlib import Path
from typing import Any

import click

from consensus.mark import NOTHING, Mark
from node.cli.output import Session
from node.errors import ChartsealError


@click.command("reset-mark")
@click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The stopped node's config.toml.",
)
@click.option("--yes", is_flag=True, help="Do it; without this it only shows what it would do.")
@click.pass_obj
def reset_mark(session: Session, config_path: Path, yes: bool) -> None:
    """Make the mark beside the key say what the ledger on disk says.

    Everything that was signed since that ledger's last turn is forgotten. Read "A broken data
    directory" in the operations manual first: done at the wrong time this breaks agreement
    under Raft and makes a liar of this member under PBFT.
    """
    from node import config as configuration
    from node import keys as keyfile
    from node.daemon import load_genesis
    from node.signing import stored_mark
    from storage import mark as marks
    from storage.errors import DataDirMissing
    from storage.mark import MarkRefused, mark_path
    from storage.store import Store

    settings = configuration.load(config_path)
    network = load_genesis(settings.network.genesis).network
    _, public = keyfile.load_public(settings.keystore.path)
    path = mark_path(settings.keystore.path)
    stored: Mark | None
    try:
        with Store.open(settings.node.data_dir, network=network) as store:
            stored = stored_mark(store)
    except DataDirMissing:
        stored = None
    try:
        marked = marks.read(path, network=network, key=public.consensus)
        said = "none" if marked is None else str(marked)
    except MarkRefused as refused:
        if refused.code != "sign-mark-damaged":
            raise
        said = "damaged"
    session.show(_row(said, stored))
    if not yes:
        raise ChartsealError("confirmation-needed", f"would reset {path}")
    marks.reset(path, network=network, key=public.consensus, stored=stored)
    session.talk(f"{path} now says what the ledger says")


def _row(said: str, stored: Mark | None) -> dict[str, Any]:
    if stored is None:
        ledger = "no ledger"
    else:
        ledger = "nothing signed" if stored == NOTHING else str(stored)
    return {"mark": said, "ledger": ledger}

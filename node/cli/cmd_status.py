"""`chartseal status`: one screen about a node, once or whenever its ledger moves."""

import json
from typing import Any, Final

import click

from node.cli.output import Session
from node.cli.remote import Remote, curl_option, pick, utc
from node.errors import ChartsealError, Exit

_NODE: Final = ("node", "network", "network_digest", "height", "time_ms", "log_size")
_ERA: Final = ("standing", "epoch", "era_from_height", "voters", "observers")
_ROOTS: Final = ("log_root", "state_root", "accelerator", "stopping")
_ENGINE: Final = (
    "name",
    "role",
    "round",
    "leader",
    "committed",
    "delivered",
    "quorum",
    "members",
    "heard",
    "low_watermark",
    "window",
    "in_flight",
)
_LIFE: Final = (
    "phase",
    "disk_low",
    "disk_free_bytes",
    "disk_reserve_bytes",
    "clock_others_ahead_ms",
    "clock_wrong",
    "certificate_days_left",
)
_SHORT: Final = (
    "node",
    "network",
    "height",
    "time",
    "standing",
    "epoch",
    "engine",
    "role",
    "leader",
    "peers",
    "quorum_connected",
    "waiting",
    "contradictions",
    "phase",
    "disk_low",
    "clock_others_ahead_ms",
    "certificate_days_left",
    "accelerator",
    "wrong",
)
_QUIET_S: Final = 30  # the stream says something at least every 15 s


@click.command()
@click.option("--watch", is_flag=True, help="Show it again after every block; Ctrl-C ends.")
@click.option("--count", type=click.IntRange(1), help="With --watch: leave after that many.")
@click.option("--all", "everything", is_flag=True, help="Digests, counters and roots too.")
@click.option("--check", is_flag=True, help="Exit 9 when writes cannot be ordered now.")
@curl_option
@click.pass_obj
def status(
    session: Session,
    watch: bool,
    count: int | None,
    everything: bool,
    check: bool,
    curl: bool,
) -> None:
    """Show a node's height, role, peers and waiting transactions.

    JSON always has every member.  With --watch -o json each state is one line.
    """
    remote = Remote(session, curl=curl)
    row = read(remote)
    if not watch:
        _show(session, row, everything=everything)
        if check and not row["quorum_connected"]:
            raise click.exceptions.Exit(Exit.UNHEALTHY)
        return
    shown = 0
    try:
        for _moved in _moves(remote):
            row = read(remote) if shown else row
            _show(session, row, everything=everything, line=True)
            shown += 1
            if shown == count:
                return
    except KeyboardInterrupt:
        return
    raise ChartsealError("node-unreachable", "the stream of blocks ended")


def _moves(remote: Remote) -> Any:
    """Yield once at the start and once after each block, by the node's own stream."""
    yield None
    for event in remote.client(_QUIET_S).events("/v1/events", type="block"):
        if event.event == "goodbye":
            raise ChartsealError("shutting-down", "the node stops")
        yield event


def read(remote: Remote) -> dict[str, Any]:
    """Return the node's status, flat, with every member."""
    answer = remote.get("/v1/status")
    wrong = _wrong(remote)
    row = pick(
        answer,
        (*_NODE, *_ERA, *_ROOTS, "life", "engine", "mempool", "peers", "contradictions"),
    )
    engine, pool = pick(row["engine"], _ENGINE), pick(row["mempool"], ("transactions", "bytes"))
    peers = row["peers"]
    lists = (peers, row["voters"])
    if not all(isinstance(item, list) for item in lists) or not isinstance(
        engine["quorum"], int
    ):
        raise ChartsealError("answer-malformed", "not a node's status")
    return {
        **{name: row[name] for name in _NODE},
        "time": utc(row["time_ms"]),
        **{name: row[name] for name in _ERA},
        "engine": engine["name"],
        **{name: engine[name] for name in _ENGINE if name != "name"},
        "peers": peers,
        "quorum_connected": len({*peers, row["node"]}.intersection(row["voters"]))
        >= engine["quorum"],
        "waiting": pool["transactions"],
        "waiting_bytes": pool["bytes"],
        "contradictions": row["contradictions"],
        **{name: row[name] for name in _ROOTS},
        **(dict.fromkeys(_LIFE) if row["life"] is None else pick(row["life"], _LIFE)),
        "cause": None if wrong is None else wrong["id"],
        "wrong": None if wrong is None else wrong["say"],
    }


def _wrong(remote: Remote) -> dict[str, Any] | None:
    """Return the first cause of what is wrong; an older node, or an inspection, has none."""
    try:
        causes = remote.get("/v1/why")["causes"]
    except ChartsealError as error:
        if error.code == "not-found":
            return None
        raise
    return causes[0] if causes else None


def _show(
    session: Session, row: dict[str, Any], *, everything: bool, line: bool = False
) -> None:
    if session.json:
        if line:
            click.echo(json.dumps(row, ensure_ascii=False))
        else:
            session.show(row)
        return
    if line:
        click.clear()
    session.show(row if everything else {name: row[name] for name in _SHORT})

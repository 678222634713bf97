"""`chartseal block`: what the ledger holds, block by block, and as it grows."""

import json
from typing import Any, Final

import click

from node.cli.main import Group
from node.cli.output import Session, printable
from node.cli.remote import Remote, curl_option, linearizable_option, pick, rows_of, utc
from node.errors import ChartsealError

_LIST: Final = ("height", "time", "transactions", "log_size", "proposer", "digest")
_DETAIL: Final = (
    "height",
    "digest",
    "parent",
    "time_ms",
    "proposer",
    "transactions",
    "first_index",
    "log_size",
    "log_root",
    "state_height",
    "state_root",
    "certificate_bytes",
)
PAGE_MAX: Final = 500


@click.group(cls=Group)
def block() -> None:
    """Show the blocks of the ledger."""


@block.command("list")
@click.option("--from", "first", type=click.IntRange(1), help="Default: the newest ones.")
@click.option(
    "--limit",
    type=click.IntRange(1, PAGE_MAX),
    default=20,
    show_default=True,
    help="How many blocks at most.",
)
@linearizable_option
@curl_option
@click.pass_obj
def list_(
    session: Session, first: int | None, limit: int, linearizable: bool, curl: bool
) -> None:
    """List blocks in ascending order."""
    if first is None:
        newest = Remote(session, linearizable=linearizable).get("/v1/blocks", limit=1)
        first = max(1, int(pick(newest, ("as_of_height",))["as_of_height"]) - limit + 1)
    remote = Remote(session, curl=curl, linearizable=linearizable)
    page = remote.get("/v1/blocks", **{"from": first, "limit": limit})
    session.show_list([_row(item) for item in rows_of(page, "blocks")], _LIST)


def _row(item: Any) -> dict[str, Any]:
    row = pick(item, (*(name for name in _LIST if name != "time"), "time_ms"))
    row["time"] = utc(row["time_ms"])
    return {name: row[name] for name in _LIST}


class _Height(click.ParamType[str]):
    name = "height"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        text = str(value)
        if text != "latest" and not (text.isascii() and text.isdigit() and len(text) <= 18):
            self.fail("a height from 1, or latest", param, ctx)
        return text


@block.command()
@click.argument("height", type=_Height())
@linearizable_option
@curl_option
@click.pass_obj
def get(session: Session, height: str, linearizable: bool, curl: bool) -> None:
    """Show one block; HEIGHT is a number or `latest`."""
    answer = Remote(session, curl=curl, linearizable=linearizable).get(f"/v1/blocks/{height}")
    row = pick(answer, _DETAIL)
    transactions = [pick(item, ("tx_id", "code")) for item in _transactions(answer)]
    row = {**row, "time": utc(row["time_ms"])}
    if session.json:
        session.show({**row, "transaction_ids": transactions})
        return
    session.show(row)
    if transactions:
        click.echo()
        session.show_list(transactions, ("tx_id", "code"))


def _transactions(answer: Any) -> list[Any]:
    return rows_of(answer, "transaction_ids")


@block.command()
@click.option("--from", "cursor", default="latest", show_default=True,
              help="earliest, latest, or the last cursor that you saw.")  # fmt: skip
@click.option("--type", "kind", type=click.Choice(["block", "transaction"]),
              help="Default: both.")  # fmt: skip
@click.option("--count", type=click.IntRange(1), help="Leave after that many events.")
@curl_option
@click.pass_obj
def tail(
    session: Session, cursor: str, kind: str | None, count: int | None, curl: bool
) -> None:
    """Print blocks and transactions as they are applied; one JSON object a line with -o json.

    Ctrl-C leaves with 0.  Go on later from the last cursor: nothing is missed.
    """
    remote = Remote(session, curl=curl)
    query: dict[str, Any] = {"from": cursor}
    if kind is not None:
        query["type"] = kind
    if curl:
        remote.print_curl("GET", "/v1/events", query=query)
        return
    seen = 0
    try:
        # The node says something at least every 15 s, so silence beyond that is a fault.
        for event in remote.client(30).events("/v1/events", **query):
            if event.event == "goodbye":
                raise ChartsealError("shutting-down", "the node stops")
            _print(session, event.data)
            seen += 1
            if seen == count:
                return
    except KeyboardInterrupt:
        return
    raise ChartsealError("node-unreachable", "the stream ended")


def _print(session: Session, data: str) -> None:
    try:
        event = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ChartsealError("answer-malformed", "an event is not JSON") from error
    row = pick(event, ("cursor", "type", "height"))
    if session.json:
        click.echo(json.dumps(event, ensure_ascii=False))
        return
    if row["type"] == "block":
        more = pick(event, ("transactions", "log_size", "digest", "time_ms"))
        said = f"{utc(more['time_ms'])}  {more['transactions']} transactions  {more['digest']}"
    else:
        more = pick(event, ("tx_id", "org", "kinds", "code"))
        kinds = more["kinds"] if isinstance(more["kinds"], list) else []
        said = f"{more['tx_id']}  {more['org']}  {','.join(map(str, kinds))}  {more['code']}"
    click.echo(printable(f"{row['cursor']}  {row['type']}  {said}"))

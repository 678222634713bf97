"""`chartseal key touched`: everything that a key signed between two times."""

import re
from datetime import UTC, datetime
from typing import Any, Final

import click

from node.cli.output import Session
from node.cli.remote import (
    Hex,
    Remote,
    curl_option,
    linearizable_option,
    pick,
    rows_of,
    utc,
)

PAGE: Final = 500
_COLUMNS: Final = (
    "time",
    "height",
    "tx_id",
    "org",
    "signed_as",
    "kinds",
    "code",
    "flagged",
    "touched",
)
_PAGE_NAMES: Final = (
    "from_height", "looked_to", "compromised_since_ms", "next_cursor", "as_of_height",
)  # fmt: skip
_ROW_NAMES: Final = (
    "tx_id", "height", "time_ms", "org", "author", "kinds", "code", "flagged", "commitments",
    "ids",
)  # fmt: skip


class Moment(click.ParamType[int]):
    """A time: RFC 3339 (UTC when it names no zone), or Unix milliseconds."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        text = str(value)
        if re.fullmatch(r"[0-9]{1,15}", text, re.ASCII):
            return int(text)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail("a time like 2026-01-31T08:00:00Z, or Unix milliseconds", param, ctx)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return max(0, round(elapsed.total_seconds() * 1000))


@click.command()
@click.argument("public_key", metavar="KEY", type=Hex(32))
@click.option("--from", "from_ms", type=Moment(), default="0",
              help="First time; default: the beginning.")  # fmt: skip
@click.option("--until", "until_ms", type=Moment(), help="Stop before it; default: now.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True,
              help="Transactions shown at most.")  # fmt: skip
@click.option("--cursor", help="Go on where the last run stopped.")
@linearizable_option
@curl_option
@click.pass_obj
def touched(
    session: Session,
    public_key: str,
    from_ms: int,
    until_ms: int | None,
    limit: int,
    cursor: str | None,
    linearizable: bool,
    curl: bool,
) -> None:
    """Show every transaction that KEY signed, and the records and ids that it names.

    Read from the blocks themselves, so it takes a moment for a long time.  After a theft: what
    has to be looked at again.
    """
    remote = Remote(session, curl=curl, linearizable=linearizable)
    query: dict[str, str | int] = {"from_ms": from_ms}
    if until_ms is not None:
        query["until_ms"] = until_ms
    found: list[dict[str, Any]] = []
    first = None
    while True:
        query["limit"] = min(PAGE, limit - len(found))
        if cursor is not None:
            query["cursor"] = cursor
        page = remote.get(f"/v1/keys/{public_key}/touched", **query)
        row = pick(page, _PAGE_NAMES)
        first = row["from_height"] if first is None else first
        found += [pick(item, _ROW_NAMES) for item in rows_of(page, "transactions")]
        cursor = row["next_cursor"]
        if cursor is None or len(found) >= limit:
            break
        session.talk(f"looked up to height {row['looked_to']} of {row['as_of_height']}")
    _show(session, public_key, found, {**row, "from_height": first})


def _show(
    session: Session, key: str, found: list[dict[str, Any]], where: dict[str, Any]
) -> None:
    if session.json:
        session.show(
            {
                "key": key,
                "complete": where["next_cursor"] is None,
                **where,
                "transactions": [{**item, "time": utc(item["time_ms"])} for item in found],
            }
        )
        return
    rows = []
    for item in found:
        row = {
            **item,
            "time": utc(item["time_ms"]),
            "signed_as": "author" if item["author"] else "co-signer",
            "touched": [*rows_of(item, "commitments"), *rows_of(item, "ids")],
        }
        rows.append({name: row[name] for name in _COLUMNS})
    session.show_list(rows, _COLUMNS)
    said = f"looked at heights {where['from_height']} to {where['looked_to']}"
    if where["next_cursor"] is None:
        session.talk(f"{said}: complete, as of height {where['as_of_height']}")
    else:
        session.talk(f"{said}: NOT complete, go on with --cursor {where['next_cursor']}")

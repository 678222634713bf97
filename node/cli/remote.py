"""Asking a node on behalf of a command: connection from the global options, waiting, `--curl`.

Owns: the options that every remote command shares, the equivalent curl command (token masked),
following a transaction to its outcome, and absolute times for people.  Refuses: retries of
requests that change something; only questions are repeated.
"""

import json
import re
import shlex
import time
import urllib.parse
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from node.cli.client import Answer, Client
from node.cli.output import Session
from node.errors import ChartsealError, lookup

F = TypeVar("F", bound=Callable[..., Any])
WAIT_S: Final = 5  # how long one question waits at the node
FINAL: Final = ("committed", "rejected", "expired")
RECEIPT_TEXT: Final = "text/plain"
_HEX32: Final = re.compile(r"[0-9a-fA-F]{64}")

curl_option = click.option(
    "--curl", is_flag=True, help="Print the equivalent curl command instead of asking the node."
)
linearizable_option = click.option(
    "--linearizable",
    is_flag=True,
    help="Everything that was final anywhere when asked; needs a quorum of members.",
)
wait_option = click.option(
    "--wait-timeout",
    type=click.FloatRange(0.1, 3600),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Patience with the ledger; what came no further stays submitted.",
)
lang_option = click.option(
    "--lang",
    type=click.Choice(["en", "zh"]),
    default="en",
    show_default=True,
    help="Language of the verdict.",
)
SECRET_FILE: Final = click.Path(dir_okay=False, path_type=Path)


class Hex(click.ParamType[str]):
    """A number of bytes in hexadecimal; arrives as lower-case text."""

    name = "hex"

    def __init__(self, size: int) -> None:
        self._size = size

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        text = str(value)
        if not re.fullmatch(rf"[0-9a-fA-F]{{{2 * self._size}}}", text, re.ASCII):
            self.fail(f"{self._size} bytes as {2 * self._size} hexadecimal digits", param, ctx)
        return text.lower()


TXID: Final = Hex(32)


class Remote:
    """A node as the global options name it.  With ``curl`` nothing is sent.

    ``linearizable``: every ``get`` asks for ``consistency=linearizable``.
    """

    def __init__(
        self, session: Session, *, curl: bool = False, linearizable: bool = False
    ) -> None:
        self.session = session
        self.curl = curl
        self.consistency: dict[str, str | int] = (
            {"consistency": "linearizable"} if linearizable else {}
        )

    def client(self, extra_s: float = 0) -> Client:
        session = self.session
        return Client.with_token_file(
            session.endpoint,
            session.token_file,
            timeout_s=session.timeout_s + extra_s,
            ca_file=session.ca_file,
            cert_file=session.cert_file,
            key_file=session.key_file,
        )

    def get(self, path: str, **query: str | int) -> Any:
        """Return the JSON answer of a GET."""
        return self.request("GET", path, query={**query, **self.consistency}).json()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        wait_s: float = 0,
    ) -> Answer:
        """Return the node's answer; under ``--curl`` print the request and leave with 0."""
        if self.curl:
            self.print_curl(method, path, body=body, query=query, headers=headers)
            raise click.exceptions.Exit(0)
        return self.client(wait_s).request(
            method, path, body=body, query=query, headers=headers
        )

    def print_curl(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        file: Path | None = None,
    ) -> None:
        """Print the curl command that asks the same; a token is never shown."""
        session = self.session
        words = ["curl", "--silent", "--show-error", "--request", method]
        if session.token_file is not None:
            words += ["--header", "Authorization: Bearer ***"]
        for flag, path_ in (
            ("--cacert", session.ca_file),
            ("--cert", session.cert_file),
            ("--key", session.key_file),
        ):
            if path_ is not None:
                words += [flag, str(path_)]
        for name, value in (headers or {}).items():
            words += ["--header", f"{name}: {value}"]
        if file is not None:
            words += ["--data-binary", f"@{file}"]
        elif body is not None:
            words += ["--data-binary", body.decode("utf-8")]
        suffix = f"?{urllib.parse.urlencode(query)}" if query else ""
        click.echo(shlex.join([*words, session.endpoint.rstrip("/") + path + suffix]))

    # --- transactions ------------------------------------------------------------------------

    def operate(self, ops: list[dict[str, Any]], *, key: str) -> dict[str, Any]:
        """Let the node sign and submit ``ops``; ``key`` makes a repetition harmless.

        Returns the transaction's status; raises ``ChartsealError`` when it is refused.
        """
        answer: dict[str, Any] = self.request(
            "POST",
            "/v1/operations",
            body=json.dumps({"ops": ops}).encode(),
            headers={"Content-Type": "application/json", "Idempotency-Key": key},
        ).json()
        return status_of(answer)

    def follow(self, tx_id: str, *, timeout_s: float) -> dict[str, Any]:
        """Return the final status of a transaction.

        Raises ``ChartsealError``: timeout-outcome-unknown after ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            wait = max(0, min(WAIT_S, round(left)))
            status = status_of(
                self.request(
                    "GET", f"/v1/transactions/{tx_id}", query={"wait": wait}, wait_s=wait
                ).json()
            )
            if status["state"] in FINAL:
                return status
            if time.monotonic() >= deadline:
                raise outcome_unknown(tx_id, timeout_s)
            if wait == 0:
                time.sleep(min(0.2, max(0.0, deadline - time.monotonic())))

    def receipt(
        self,
        tx_id: str,
        *,
        commitment: str | None,
        form: str,
        wait_s: int,
        lineage: bool = True,
    ) -> bytes:
        """Return a receipt's bytes, ``form`` being its media type."""
        query: dict[str, str | int] = {} if commitment is None else {"commitment": commitment}
        query |= self.consistency
        if not lineage:
            query["lineage"] = "none"
        if wait_s:
            query["wait"] = wait_s
        return self.request(
            "GET",
            f"/v1/transactions/{tx_id}/receipt",
            query=query,
            headers={"Accept": form},
            wait_s=wait_s,
        ).body


def outcome_unknown(tx_id: str, timeout_s: float) -> ChartsealError:
    return ChartsealError(
        "timeout-outcome-unknown",
        f"{tx_id} has no outcome after {timeout_s:g} s",
        hint=f"chartseal tx wait {tx_id}",
    )


def refused(status: Mapping[str, Any]) -> ChartsealError | None:
    """Return why a final status is not ``committed``, or None when it is."""
    if status["state"] == "committed":
        return None
    code, detail = str(status["code"]), f"{status['tx_id']}: {status['detail']}"
    if lookup(code) is None:
        return ChartsealError("op-refused", f"{code}: {detail}")
    return ChartsealError(code, detail)


def status_of(answer: Any) -> dict[str, Any]:
    """Return the members of a transaction's status; raises ``ChartsealError``."""
    wanted = ("tx_id", "state", "code", "detail", "height", "leaf_index")
    if not isinstance(answer, dict) or not all(name in answer for name in wanted):
        raise ChartsealError("answer-malformed", "not a transaction's status")
    if not isinstance(answer["tx_id"], str) or not _HEX32.fullmatch(answer["tx_id"]):
        raise ChartsealError("answer-malformed", "not a transaction's id")
    return {name: answer[name] for name in wanted}


def pick(answer: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the members ``names`` of an answer; raises ``ChartsealError`` when one lacks."""
    if not isinstance(answer, dict) or not all(name in answer for name in names):
        raise ChartsealError("answer-malformed", f"members {', '.join(names)} expected")
    return {name: answer[name] for name in names}


def rows_of(answer: Any, name: str) -> list[Any]:
    """Return the list under ``name`` of an answer."""
    rows = pick(answer, (name,))[name]
    if not isinstance(rows, list):
        raise ChartsealError("answer-malformed", f"{name} is no list")
    return rows


def utc(time_ms: int | None) -> str | None:
    """Return Unix milliseconds as RFC 3339 in UTC; None stays None."""
    if time_ms is None:
        return None
    if type(time_ms) is not int or not 0 <= time_ms < 253_402_300_800_000:
        raise ChartsealError("answer-malformed", "a time is out of range")
    stamp = datetime.fromtimestamp(time_ms / 1000, UTC)
    return stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""Whom a command trusts: `--policy` and `--lineage`, the same wherever proofs are verified.

Owns: these options, reading their files, what is said when a lineage does not hold.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from node.cli.remote import SECRET_FILE
from node.errors import ChartsealError
from node.ledger.lineage import JSON_BYTES_MAX, LineageInvalid, Link, Trust
from node.record_files import read_bytes
from node.trust import START_BYTES_MAX, TrustMalformed, read_lineage, read_start

F = TypeVar("F", bound=Callable[..., Any])
HINT: Final = (
    "do not rely on it; get the lineage again (`network lineage`), from another member too"
)
MEMBERS_CHANGED: Final = (
    "members may have changed since this policy: get the proof again with its lineage, or pass "
    "--lineage (`network lineage --out FILE`)"
)


def policy_option(*, required: bool) -> Callable[[F], F]:
    """Return the option that says from whom trust begins."""
    return click.option(
        "--policy",
        "policy_path",
        type=SECRET_FILE,
        required=required,
        help="Whose cosignatures count (`receipt policy`), or the network's genesis.bin; of "
        "today or of any time before.",
    )


lineage_option = click.option(
    "--lineage",
    "lineage_path",
    type=SECRET_FILE,
    help="How members changed since then (`network lineage`); proofs may carry their own.",
)


def read_trust(policy: Path, lineage: Path | None = None) -> Trust:
    """Return the trust that two files give; raises ``ChartsealError``: policy-invalid,
    lineage-invalid, or verification-failed for a lineage that does not hold."""
    try:
        trust = read_start(read_bytes(policy, bytes_max=START_BYTES_MAX))
    except TrustMalformed as error:
        raise ChartsealError("policy-invalid", f"{policy}: {error}") from error
    return trust if lineage is None else with_lineage(trust, lineage)


def with_lineage(trust: Trust, path: Path) -> Trust:
    """Return ``trust`` with what the lineage in a file proves; raises as ``read_trust``."""
    try:
        told = read_lineage(read_bytes(path, bytes_max=JSON_BYTES_MAX))
    except TrustMalformed as error:
        raise ChartsealError("lineage-invalid", f"{path}: {error}") from error
    return extended(trust, told.links)


def extended(trust: Trust, links: tuple[Link, ...]) -> Trust:
    """Return ``trust`` with what ``links`` prove; raises ``ChartsealError``."""
    try:
        return trust.extended(links)
    except LineageInvalid as error:
        raise ChartsealError("verification-failed", f"lineage: {error}", hint=HINT) from error

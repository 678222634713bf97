"""The node of this machine: asked on its own port, or explained from its files when down.

Owns: the mapping from how a run ended to a cause.  Refuses: to change anything.
"""

import time
from pathlib import Path
from typing import Any, Final

from node import config as configuration
from node.cli.client import Client
from node.config import Config
from node.errors import ChartsealError
from node.ledger.genesis import Genesis, GenesisInvalid
from node.roster import founding_rules
from node.why import ending
from node.why.causes import BY_ID, MANUAL
from node.why.ending import End

_BY_CODE: Final = {
    "port-in-use": "port-taken",
    "keystore-mismatch": "keys-foreign",
    "data-dir-locked": "data-locked",
    "storage-failure": "store-failed",
    "storage-corrupt": "data-damaged",
    "data-dir-missing": "data-unusable",
    "schema-mismatch": "data-unusable",
    "foreign-data-dir": "wrong-network",
    "genesis-invalid": "config-unusable",
    "disk-exhausted": "disk-full",
    "storage-full": "disk-full",
    "data-dir-restored": "sign-state-behind",
    "divergence": "diverged",
    "file-unreadable": "data-unusable",
    "internal": "software-fault",
    ending.STOPPED: "not-running",
}
_BY_PREFIX: Final = (
    ("sign-", "sign-state-behind"),
    ("keystore-", "keys-unusable"),
    ("config-", "config-unusable"),
)


def cause_of(code: str) -> str:
    """Return the id of the cause that a registered condition stands for."""
    known = _BY_CODE.get(code)
    if known is not None:
        return known
    return next(
        (kind for start, kind in _BY_PREFIX if code.startswith(start)), "software-fault"
    )


def report_of(config_path: Path, *, timeout_s: float) -> dict[str, Any]:
    """Return the diagnosis of the node whose settings are at ``config_path``.

    The form is that of ``GET /v1/why``.
    """
    try:
        config = configuration.load(config_path)
    except ChartsealError as error:
        return _down(None, "config-unusable", str(error), {"code": error.code}, None)
    try:
        client = Client(ops_endpoint(config), timeout_s=min(timeout_s, 5.0))
        answer = client.get("/v1/why")
        if isinstance(answer, dict):
            return answer
    except ChartsealError as error:
        if error.code != "node-unreachable" or "no answer in time" in error.detail:
            say = f"{config.ops.listen} takes connections and does not answer: {error.code}"
            return _down(config, "process-stuck", say, {"code": error.code}, None)
    return _ended(config, ending.read(config))


def ops_endpoint(config: Config) -> str:
    return f"http://{config.ops.listen}"


def _ended(config: Config, end: End | None) -> dict[str, Any]:
    if end is None:
        say = "the node does not run and left no word: killed, power lost, or never started"
        return _down(config, "not-running", say, {"code": None}, None)
    if end.code == ending.STOPPED:
        say = "the node was stopped in good order"
    else:
        say = f"the last run ended with {end.code}"
        say += f": {end.detail}" if end.detail else ""
    facts = {"code": end.code, "detail": end.detail}
    return _down(config, cause_of(end.code), say, facts, end.at_ms)


def _down(
    config: Config | None, kind: str, say: str, facts: dict[str, Any], since_ms: int | None
) -> dict[str, Any]:
    now_ms = time.time_ns() // 1_000_000
    row = BY_ID[kind]
    voters, quorum = _network(config)
    return {
        "node": None if config is None else config.node.id,
        "time_ms": now_ms,
        "height": None,
        "well": False,
        "first": kind,
        "quorum": quorum,
        "voters": voters,
        "missing": [],
        "causes": [
            {
                "id": kind,
                "severity": row.severity.word,
                "member": None,
                "title": row.title,
                "say": say,
                "since_ms": since_ms,
                "facts": facts,
                "next": row.next,
                "docs": f"{MANUAL}#{kind}",
            }
        ],
    }


def _network(config: Config | None) -> tuple[list[str], int | None]:
    """Return the founders' voters and quorum, as far as genesis can be read."""
    if config is None:
        return [], None
    try:
        genesis = Genesis.decode(config.network.genesis.read_bytes())
    except (OSError, GenesisInvalid):
        return [], None
    return [item.id for item in genesis.validators], founding_rules(genesis).policy.quorum

"""The table of settings: what exists, of which kind, with which default and meaning.

Owns: the typed sections of the configuration and how a single text becomes a value.  The
manual, ``config show``, the file that ``init`` writes and the reader all use this one table.
Refuses: files and environment (config.py), rules that all members share (genesis), secrets.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_type_hints

ENVIRONMENT_PREFIX: Final = "CHARTSEAL_"
ID_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
HOST_PATTERN: Final = re.compile(r"[0-9A-Za-z._:%-]{1,253}", re.ASCII)
_SIZE_PATTERN: Final = re.compile(r"(\d{1,15})\s*(B|KiB|MiB|GiB|TiB)", re.ASCII)
_UNITS: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or to dial; an IPv6 host is written in brackets.  Port 0: any free."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Return the address in ``host:port``; raises ``ValueError``."""
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = str(ipaddress.IPv6Address(host[1:-1]))
        elif ":" in host:
            raise ValueError("an IPv6 host needs brackets, like [::1]:7650")
        if not colon or not host or re.search(r"[\s/@]", host):
            raise ValueError("expected host:port")
        if not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError("the port must be 0 to 65535")
        return cls(host, int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it; names other than localhost never count."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


# --- the settings; each field's `About` is the one place that describes it ----------------


@dataclass(frozen=True, slots=True)
class About:
    """What a setting is: its kind decides how text becomes a value."""

    kind: str  # id, path, directory, url, address, size, count or choice
    meaning: str
    low: int = 0
    high: int = (1 << 63) - 1
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    id: Annotated[str, About("id", "this institution's id in the genesis file")]
    data_dir: Annotated[Path, About("path", "directory of the ledger's files")] = Path("data")
    drain_seconds: Annotated[
        int,
        About(
            "count", "patience with accepted transactions before a stop or in a drain", high=600
        ),
    ] = 5


@dataclass(frozen=True, slots=True)
class Network:
    genesis: Annotated[Path, About("path", "the founding document of the network")] = Path(
        "genesis.bin"
    )
    trusted_checkpoint: Annotated[
        Path | None,
        About("path", "a checkpoint that every snapshot taken from others must contain"),
    ] = None


@dataclass(frozen=True, slots=True)
class P2P:
    listen: Annotated[Address, About("address", "where other members reach this node")] = (
        Address("127.0.0.1", 7650)
    )
    advertise: Annotated[
        Address | None,
        About("address", "where it tells them to dial it; unset: that port, where they see it"),
    ] = None


@dataclass(frozen=True, slots=True)
class Api:
    listen: Annotated[
        Address, About("address", "where clients reach this node; plain HTTP on loopback only")
    ] = Address("127.0.0.1", 7651)
    tls_cert_file: Annotated[
        Path | None, About("path", "certificate chain shown to clients (PEM)")
    ] = None
    tls_key_file: Annotated[Path | None, About("path", "its private key (PEM)")] = None
    client_ca_file: Annotated[
        Path | None, About("path", "authorities of client certificates (PEM)")
    ] = None
    tokens_file: Annotated[
        Path | None, About("path", "access tokens, as hashes (JSON lines)")
    ] = None


@dataclass(frozen=True, slots=True)
class Ops:
    listen: Annotated[
        Address, About("address", "health, metrics, causes, stacks; without access control")
    ] = Address("127.0.0.1", 7652)


@dataclass(frozen=True, slots=True)
class Keystore:
    path: Annotated[Path, About("path", "the encrypted key file")] = Path("node.key")
    passphrase_file: Annotated[
        Path | None,
        About("path", "file with its passphrase, mode 0600; unset: environment or prompt"),
    ] = None
    signing_key_file: Annotated[
        Path | None,
        About("path", "key (`person new`) that signs operations once the ledger takes it"),
    ] = None


@dataclass(frozen=True, slots=True)
class Storage:
    segment_bytes_max: Annotated[
        int, About("size", "size at which a block file is closed", low=1 << 20, high=1 << 32)
    ] = 64 << 20
    min_free_bytes: Annotated[
        int, About("size", "free disk space below which clients' writes are refused")
    ] = 256 << 20
    reserve_bytes: Annotated[
        int, About("size", "disk space kept back to start again on a full disk; 0: none")
    ] = 64 << 20
    state_history_blocks: Annotated[
        int, About("count", "blocks back to which older state can be read and proven; 0: none")
    ] = 10_000
    keep_blocks: Annotated[
        int,
        About("count", "newest blocks whose bodies stay once older ones are archived; 0: all"),
    ] = 0
    scrub_mib_per_second: Annotated[
        int, About("count", "MiB a second read again in search of damage; 0: off", high=1024)
    ] = 1


@dataclass(frozen=True, slots=True)
class Backup:
    path: Annotated[
        Path | None, About("directory", "where backups go; unset: none are made by the node")
    ] = None
    every_hours: Annotated[
        int, About("count", "hours from one backup to the next; 0: only on request", high=8760)
    ] = 24
    keep: Annotated[int, About("count", "newest backups that stay; 0: all", high=10_000)] = 14


@dataclass(frozen=True, slots=True)
class Archive:
    path: Annotated[
        Path | None, About("directory", "where the archive of old blocks is written")
    ] = None
    url: Annotated[
        str | None, About("url", "where others read it; told to who asks for pruned blocks")
    ] = None


@dataclass(frozen=True, slots=True)
class Snapshots:
    every_blocks: Annotated[
        int, About("count", "blocks between two snapshots of the ledger; 0: none are made")
    ] = 50_000
    keep: Annotated[int, About("count", "snapshots kept, the newest", low=1, high=8)] = 2


@dataclass(frozen=True, slots=True)
class Recovery:
    on_lost_state: Annotated[
        str,
        About(
            "choice",
            "a ledger that forgot what was signed: come back under new voting keys, or stop",
            choices=("rejoin", "refuse"),
        ),
    ] = "rejoin"
    snapshot_gap_blocks: Annotated[
        int, About("count", "blocks behind from which on a snapshot is taken instead", low=1)
    ] = 10_000


@dataclass(frozen=True, slots=True)
class Consensus:
    window: Annotated[
        int,
        About("count", "blocks in flight when this node proposes or votes", low=1, high=8),
    ] = 1


@dataclass(frozen=True, slots=True)
class Limits:
    mempool_transactions_max: Annotated[
        int, About("count", "waiting transactions held at most", low=1)
    ] = 100_000
    mempool_bytes_max: Annotated[
        int, About("size", "bytes of waiting transactions held at most", low=1 << 16)
    ] = 256 << 20
    api_body_bytes_max: Annotated[
        int, About("size", "largest request body outside streams", low=1 << 10)
    ] = 8 << 20
    api_line_bytes_max: Annotated[
        int, About("size", "longest line of a stream of lines", low=1 << 10)
    ] = 1 << 20
    api_streams_max: Annotated[int, About("count", "event and bulk streams open at once")] = 64
    api_requests_per_second: Annotated[
        int, About("count", "requests per second that one caller may keep up", low=1)
    ] = 500
    api_burst: Annotated[
        int, About("count", "requests that one caller may make at once", low=1)
    ] = 1000


@dataclass(frozen=True, slots=True)
class Log:
    level: Annotated[
        str,
        About(
            "choice",
            "least severity that is written",
            choices=("debug", "info", "warning", "error"),
        ),
    ] = "info"
    format: Annotated[
        str, About("choice", "one JSON object or one text a line", choices=("json", "text"))
    ] = "text"


SECTIONS: Final[Mapping[str, type]] = {
    "node": Node,
    "network": Network,
    "p2p": P2P,
    "api": Api,
    "ops": Ops,
    "keystore": Keystore,
    "storage": Storage,
    "snapshots": Snapshots,
    "recovery": Recovery,
    "backup": Backup,
    "archive": Archive,
    "consensus": Consensus,
    "limits": Limits,
    "log": Log,
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table of settings; ``default`` is typed, MISSING when it must be given."""

    section: str
    key: str
    about: About
    default: Any

    @property
    def name(self) -> str:
        return f"{self.section}.{self.key}"

    @property
    def environment(self) -> str:
        """The variable that sets it."""
        return f"{ENVIRONMENT_PREFIX}{self.section}_{self.key}".upper()

    @property
    def required(self) -> bool:
        return self.default is MISSING


def _table() -> Iterator[Setting]:
    for section, kind in SECTIONS.items():
        hints = get_type_hints(kind, include_extras=True)
        for item in fields(kind):
            about = next(a for a in get_args(hints[item.name])[1:] if isinstance(a, About))
            yield Setting(section, item.name, about, item.default)


SETTINGS: Final = {item.name: item for item in _table()}


def typed(about: About, raw: Any) -> Any:
    """Return ``raw`` (from TOML, or text) as a value; raises ``ValueError`` saying why not."""
    match about.kind:
        case "size" | "count":
            number = _number(raw, sized=about.kind == "size")
            if not about.low <= number <= about.high:
                raise ValueError(f"{number} is not within {about.low} to {about.high}")
            return number
        case "address":
            return address(raw)
        case "url":
            if not isinstance(raw, str) or not re.fullmatch(r"https?://[!-~]{1,1024}", raw):
                raise ValueError("expected an address like https://archive.example/ledger")
            return raw
        case "path" | "directory":
            if not isinstance(raw, str) or not raw or "\x00" in raw:
                raise ValueError("expected a path as text")
            return Path(raw)
        case "id":
            if not isinstance(raw, str) or not ID_PATTERN.fullmatch(raw):
                raise ValueError("expected an id like [a-z0-9][a-z0-9-]{0,62}")
            return raw
        case _:
            if raw not in about.choices:
                raise ValueError(f"expected one of {', '.join(about.choices)}")
            return raw


def _number(raw: Any, *, sized: bool) -> int:
    if type(raw) is int:
        return raw
    if isinstance(raw, str):
        if re.fullmatch(r"\d{1,19}", raw, re.ASCII):
            return int(raw)
        match = _SIZE_PATTERN.fullmatch(raw)
        if sized and match:
            return int(match[1]) * _UNITS[match[2]]
    raise ValueError('expected bytes or a size like "32MiB"' if sized else "expected a number")


def address(raw: Any) -> Address:
    """Return the address that ``raw`` writes; raises ``ValueError``."""
    return Address.parse(raw if isinstance(raw, str) else "")

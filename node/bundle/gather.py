"""What goes into a bundle, file by file.

Owns: where each fact is read, and bounds.  Refuses: secret files; nothing here opens a key, a
token file, the vault or a block body.  A part that cannot be had is named with its reason and
holds up nothing else.
"""

import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from node.bundle.redact import Redactor
from node.cli.client import Client
from node.config import Config, sources
from node.doctor.examine import CHECKS, examine
from node.doctor.machine import Machine
from node.doctor.scene import Scene
from node.errors import ChartsealError
from node.ledger.genesis import Genesis
from node.roster import founding_rules
from node.why.local import report_of

LOG_BYTES_MAX: Final = 8 << 20
RECORDS_MAX: Final = 1_000
FILES_MAX: Final = 2_000
ASKED: Final = (
    ("status.json", "/v1/status"),
    ("observation.json", "/debug/observation"),
    ("tasks.json", "/debug/tasks"),
    ("stacks.json", "/debug/stacks"),
    ("memory.json", "/debug/memory"),
)
Part = tuple[str, bytes]


def public_of(genesis: Genesis | None) -> set[str]:
    """Return what the network publishes anyway: its digest and its members' keys."""
    if genesis is None:
        return set()
    found = {genesis.network.hex()}
    for item in genesis.institutions:
        keys = (item.identity_key, item.consensus_key, item.cosigner_key, item.encryption_key)
        found |= {key.hex() for key in keys}
    return found


def dumped(value: Any) -> bytes:
    return (json.dumps(value, indent=1, default=str) + "\n").encode()


class Gatherer:
    """Gathers one node's parts; ``failed`` says what could not be had, and why."""

    def __init__(
        self,
        config_path: Path,
        redactor: Redactor,
        *,
        since_s: float,
        logs: tuple[Path, ...],
        offline: bool,
        timeout_s: float,
        gap_s: float,
        scratch_dir: Path | None = None,
    ) -> None:
        self._path = config_path
        self._redactor = redactor
        self._since_s = since_s
        self._logs = logs
        self._offline = offline
        self._timeout_s = timeout_s
        self._gap_s = gap_s
        self._scratch_dir = scratch_dir
        self.failed: dict[str, str] = {}

    def parts(self) -> Iterator[Part]:
        """Yield (name, bytes) of every part."""
        yield from self._made("why.json", self._why)
        scene = Scene.of(self._path, offline=self._offline, scratch_dir=self._scratch_dir)
        with scene:
            yield from self._made("doctor.json", lambda: self._doctor(scene))
            yield from self._made("system.json", system)
            config = scene.config
            if config is None:
                self.failed["config.json"] = "the settings cannot be read"
                return
            yield from self._made("config.json", lambda: [asdict(s) for s in sources(config)])
            yield from self._made("certificates.json", lambda: certificates(config))
            yield from self._made("files.json", lambda: files(config))
            if scene.genesis is not None:
                genesis = scene.genesis
                yield from self._made("members.json", lambda: members(genesis))
            if scene.store is not None:
                yield from self._made("consensus.json", lambda: records(scene))
            else:
                self.failed["consensus.json"] = "only of a stopped node: it runs, or has none"
        if not self._offline:
            yield from self._asked(config)
        yield from self._made("log.jsonl", lambda: self._log(config), raw=True)

    def _why(self) -> Any:
        return report_of(self._path, timeout_s=self._timeout_s)

    def _doctor(self, scene: Scene) -> Any:
        # Mending is not for a bundle: it only looks.
        return [asdict(item) for item in examine(scene, CHECKS)]

    def _made(self, name: str, make: Callable[[], Any], *, raw: bool = False) -> Iterator[Part]:
        try:
            value = make()
        except (ChartsealError, OSError) as error:
            code = getattr(error, "code", type(error).__name__)
            self.failed[name] = self._redactor.text(str(code))
            return
        yield name, value if raw else dumped(self._redactor.value(value))

    def _asked(self, config: Config) -> Iterator[Part]:
        deadline = time.monotonic() + self._timeout_s
        client = Client(f"http://{config.ops.listen}", timeout_s=min(5.0, self._timeout_s))
        for name, path in ASKED:
            if time.monotonic() > deadline:
                self.failed[name] = "no time was left"
                continue
            yield from self._made(name, lambda path=path: client.get(path))  # type: ignore[misc]
        for name in ("metrics-1.txt", "metrics-2.txt"):
            if "status.json" in self.failed:
                self.failed[name] = self.failed["status.json"]
                continue
            if name == "metrics-2.txt":
                time.sleep(max(0.0, min(self._gap_s, deadline - time.monotonic())))
            yield from self._made(name, lambda: self._metrics(client), raw=True)

    def _metrics(self, client: Client) -> bytes:
        text = client.request("GET", "/metrics").body.decode(errors="replace")
        return self._redactor.text(text).encode()

    # --- the log -----------------------------------------------------------------------------

    def _log(self, config: Config) -> bytes:
        beside = config.keystore.path.parent / "node.log"
        chosen = self._logs or ((beside,) if beside.exists() else ())
        if not chosen:
            raise ChartsealError("not-found", "no log is named: see --log")
        return b"".join(self._lines(path) for path in chosen)

    def _lines(self, path: Path) -> bytes:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_BYTES_MAX))
            raw = file.read(LOG_BYTES_MAX).decode("utf-8", "replace")
        since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - self._since_s))
        kept, left_out = list[bytes](), 0
        for line in raw.splitlines():
            found = self._redactor.line(line)
            if found is None:
                left_out += bool(line.strip())
                continue
            stamp = found.get("ts", "")
            if len(str(stamp)) > 8 and str(stamp) < since:
                continue  # a line of text only has the hour: it is kept
            kept.append(json.dumps(found).encode() + b"\n")
        kept.append(json.dumps({"left_out_lines": left_out}).encode() + b"\n")
        return b"".join(kept)


# --- parts that need no node ----------------------------------------------------------------


def system() -> dict[str, Any]:
    """Return versions, limits and what sockets there are, by state."""
    machine = Machine()
    states: Counter[str] = Counter()
    for name in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        except OSError:
            continue
        states.update(line.split()[3] for line in lines)
    return {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "descriptors_max": machine.descriptors_max(),
        "memory_left": machine.memory_left(),
        "group_memory_max": machine.group_memory_max(),
        "sockets_by_state": dict(states),
        "libraries": {item.name: item.version for item in distributions() if item.name},
    }


def certificates(config: Config) -> list[dict[str, Any]]:
    """Return when and how certificates are good; no key is read, no name is told."""
    found = list[dict[str, Any]]()
    for name in ("tls_cert_file", "client_ca_file"):
        path = getattr(config.api, name)
        if path is None:
            continue
        found += [
            {
                "setting": f"api.{name}",
                "not_before": item.not_valid_before_utc.isoformat(),
                "not_after": item.not_valid_after_utc.isoformat(),
                "key": type(item.public_key()).__name__.strip("_"),
            }
            for item in x509.load_pem_x509_certificates(path.read_bytes())
        ]
    return found


def files(config: Config) -> list[dict[str, Any]]:
    """Return names and sizes of the ledger's files."""
    where = config.node.data_dir
    found = []
    for path in sorted(where.rglob("*"))[:FILES_MAX]:
        if path.is_file():
            about = path.stat()
            name = str(path.relative_to(where))
            found.append({"file": name, "bytes": about.st_size, "mode": oct(about.st_mode)})
    return found


def members(genesis: Genesis) -> dict[str, Any]:
    """Return the founders and the parameters; names of institutions stay at home."""
    return {
        "network": genesis.network.hex(),
        "engine": genesis.engine,
        "quorum": founding_rules(genesis).policy.quorum,
        "parameters": asdict(genesis.parameters),
        "institutions": [
            {
                "id": item.id,
                "roles": list(item.roles),
                "validator": item.validator,
                "consensus_key": item.consensus_key.hex(),
            }
            for item in genesis.institutions
        ],
    }


def records(scene: Scene) -> dict[str, Any]:
    """Return where the ledger stands, and the names and sizes of consensus records."""
    assert scene.store is not None, "asked with a store"
    applied = scene.store.applied()
    pairs = list(scene.store.consensus_pairs())[-RECORDS_MAX:]
    return {
        "height": 0 if applied is None else applied.height,
        "log_size": 0 if applied is None else applied.log_size,
        "torn_bytes": scene.store.torn_bytes,
        "sizes": scene.store.sizes(),
        "records": [{"name": key[:24].hex(" "), "bytes": len(value)} for key, value in pairs],
    }

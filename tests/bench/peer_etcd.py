"""etcd, three members on loopback, fsync of every Raft batch (its only mode).

It replicates and stores; it verifies no signature, has no Merkle log, and trusts its members.
``etcd-3`` is one put a request; ``etcd-3-txn`` puts 100 into one transaction, which is what a
client that has many at once would do.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

from node.cli.cluster import free_ports
from tests.bench import machine, peers

PUTS: Final = 100
ABOUT: Final = {"signatures": "none", "durable": "quorum, fsync of each batch"}


def missing() -> str | None:
    if shutil.which("etcd") is None:
        return f"no etcd: {peers.INSTALL}"
    return peers.without("grpc")


def commands(directory: Path, ports: list[int]) -> list[list[str]]:
    """Return the command line of each member; three client ports, then three peer ports."""
    names = [f"e{at}" for at in range(3)]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    cluster = ",".join(f"{name}={url}" for name, url in zip(names, urls[3:], strict=True))
    return [
        [
            "etcd", "--name", name, "--data-dir", str(directory / name),
            "--listen-client-urls", urls[at], "--advertise-client-urls", urls[at],
            "--listen-peer-urls", urls[3 + at], "--initial-advertise-peer-urls", urls[3 + at],
            "--initial-cluster", cluster, "--initial-cluster-state", "new",
            "--logger", "zap", "--log-outputs", "stderr", "--quota-backend-bytes", str(8 << 30),
        ]
        for at, name in enumerate(names)
    ]  # fmt: skip


def measure(directory: Path, *, quick: bool) -> dict[str, Any]:
    """Return both rows."""
    levels = (1, 256) if quick else (1, 16, 64, 256, 512)
    with tempfile.TemporaryDirectory(dir=directory) as name:
        place, ports = Path(name), free_ports(6)
        about = ABOUT | {"fdatasync_us": machine.fdatasync_us(place)}
        with peers.running(commands(place, ports), place / "log") as servers:
            options = {"ports": ports[:3]}
            peers.until(lambda: _answers(options), "etcd takes a put")
            single = peers.best("etcd", options, servers, levels=levels, quick=quick)
            many = peers.best(
                "etcd", options | {"puts": PUTS}, servers,
                levels=(16,) if quick else (1, 4, 16, 32), quick=quick, per_request=PUTS,
            )  # fmt: skip
    return {"etcd-3": about | single, "etcd-3-txn": about | many}


def _answers(options: dict[str, Any]) -> bool:
    try:
        return bool(peers.drive("etcd", options, in_flight=3, seconds=0.2)["count"])
    except AssertionError:
        return False

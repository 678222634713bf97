"""Settings: can they be read, do they point at what is there, can only the owner write them."""

import os
import stat
from pathlib import Path

from node.config import missing_files
from node.doctor.finding import Check, Said, failure, not_applicable, ok
from node.doctor.scene import Scene


def parse(scene: Scene) -> Said:
    if scene.config_error is not None:
        return failure(str(scene.config_error))
    return ok(f"{scene.config_path}")


def paths(scene: Scene) -> Said:
    missing = missing_files(scene.settings)
    return (
        failure("; ".join(missing)) if missing else ok("every file that is named can be read")
    )


def genesis(scene: Scene) -> Said:
    path = scene.settings.network.genesis
    if scene.genesis is None:
        return failure(f"{path} is no genesis document")
    return ok(f"network {scene.genesis.name} {scene.genesis.network.hex()[:16]}")


def ports(scene: Scene) -> Said:
    if scene.running:
        return not_applicable("the node runs and has them")
    at = scene.settings
    taken = [
        f"{name} {where}"
        for name, where in (
            ("p2p.listen", at.p2p.listen),
            ("api.listen", at.api.listen),
            ("ops.listen", at.ops.listen),
        )
        if where.port and not scene.machine.bindable(where.host, where.port)
    ]
    return failure(", ".join(taken)) if taken else ok("all three are free")


def peers(scene: Scene) -> Said:
    if scene.genesis is None:
        return not_applicable("no genesis to compare with")
    voters = {item.id for item in scene.genesis.validators} - {scene.settings.node.id}
    known = {item.id for item in scene.genesis.institutions}
    without = sorted(voters - set(scene.settings.peers))
    strange = sorted(set(scene.settings.peers) - known)
    if without:
        return failure(f"no address for {', '.join(without)}")
    if strange:
        return failure(f"unknown members: {', '.join(strange)}")
    return ok(f"{len(scene.settings.peers)} addresses")


def secret_files(scene: Scene) -> list[Path]:
    """Return the files that only their owner may read."""
    at = scene.settings
    named = (at.keystore.path, at.keystore.passphrase_file, at.keystore.signing_key_file,
             at.api.tls_key_file, at.api.tokens_file)  # fmt: skip
    local = at.node.data_dir / "local.secret"
    return [path for path in (*named, local) if path is not None and path.exists()]


def open_to_others(path: Path) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def secrets(scene: Scene) -> Said:
    loose = [str(path) for path in secret_files(scene) if open_to_others(path)]
    return failure("others may read " + ", ".join(loose)) if loose else ok("mode 0600 each")


def mend_secrets(scene: Scene) -> list[str]:
    done = []
    for path in secret_files(scene):
        if open_to_others(path) and path.stat().st_uid == os.geteuid():
            path.chmod(0o600)
            done.append(f"chmod 600 {path}")
    return done


def writable(scene: Scene) -> Said:
    mode = stat.S_IMODE(scene.config_path.stat().st_mode)
    if mode & 0o022:
        return failure(f"{scene.config_path} has mode {mode:04o}: others may change it")
    return ok(f"mode {mode:04o}")


def mend_writable(scene: Scene) -> list[str]:
    mode = stat.S_IMODE(scene.config_path.stat().st_mode) & ~0o022
    scene.config_path.chmod(mode)
    return [f"chmod {mode:03o} {scene.config_path}"]


CHECKS = (
    Check(
        "cfg.parse",
        "the settings can be read and know every key",
        parse,
        "correct the line that is named: `chartseal config validate`",
    ),
    Check(
        "cfg.paths",
        "files that the settings name are there",
        paths,
        "put them there, or correct the paths",
    ),
    Check(
        "cfg.genesis",
        "the genesis file is one",
        genesis,
        "install the genesis file that the other members have",
    ),
    Check(
        "cfg.ports",
        "the node's three ports are free",
        ports,
        "end what has them (`ss -ltnp`), or change the listen settings",
    ),
    Check(
        "cfg.peers",
        "every other voter has an address, and nobody else",
        peers,
        "complete [peers]; remove who is no member",
    ),
    Check(
        "cfg.secrets",
        "secret files are for their owner alone",
        secrets,
        "chmod 600 each; `chartseal doctor --fix` does it",
        mend_secrets,
    ),
    Check(
        "cfg.writable",
        "others cannot change the settings",
        writable,
        "chmod go-w the file; `chartseal doctor --fix` does it",
        mend_writable,
    ),
)

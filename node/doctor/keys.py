"""Keys: whose they are, who may read them, do they open, how far they have signed."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from node import keys as keystore
from node.doctor.finding import Check, Said, failure, not_applicable, ok, warning
from node.doctor.scene import Scene
from node.errors import ChartsealError
from node.ledger.facts.governance import known_institution
from node.ledger.state import genesis_state
from node.signing import check_mark
from storage.mark import mark_path


def mode(scene: Scene) -> Said:
    path = scene.settings.keystore.path
    if not path.exists():
        return failure(f"{path} is not there")
    found = path.stat()
    bits = stat.S_IMODE(found.st_mode)
    if bits & 0o077:
        return failure(f"{path} has mode {bits:04o}")
    if found.st_uid not in (os.geteuid(), 0):
        return failure(f"{path} belongs to user {found.st_uid}")
    return ok(f"mode {bits:04o}")


def mend_mode(scene: Scene) -> list[str]:
    path = scene.settings.keystore.path
    if not path.exists() or path.stat().st_uid != os.geteuid():
        return []
    path.chmod(0o600)
    return [f"chmod 600 {path}"]


def directory(scene: Scene) -> Said:
    path = scene.settings.keystore.path.parent
    bits = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0
    return warning(f"{path} has mode {bits:04o}") if bits & 0o077 else ok(f"mode {bits:04o}")


def mend_directory(scene: Scene) -> list[str]:
    path = scene.settings.keystore.path.parent
    if not path.exists() or path.stat().st_uid != os.geteuid():
        return []
    path.chmod(0o700)
    return [f"chmod 700 {path}"]


def unlock(scene: Scene) -> Said:
    at = scene.settings.keystore
    if at.passphrase_file is None:
        return not_applicable("no passphrase file is set: nobody is asked here")
    try:
        keystore.load(at.path, keystore.read_passphrase(at.passphrase_file, prompt=None))
    except ChartsealError as error:
        return failure(str(error))
    return ok("opens with its passphrase file")


def match(scene: Scene) -> Said:
    if scene.genesis is None:
        return not_applicable("no genesis to compare with")
    try:
        _, public = keystore.load_public(scene.settings.keystore.path)
    except ChartsealError as error:
        return failure(str(error))
    node = scene.settings.node.id
    founder = next((item for item in scene.genesis.institutions if item.id == node), None)
    known = None if scene.store is None else known_institution(_read(scene), node)
    mine = founder if known is None else known
    if mine is None:
        return warning(f"neither genesis nor the ledger knows {node}: it asks to be let in")
    theirs = {item.identity_key for item in (mine, founder) if item is not None}
    if public.identity not in theirs:
        return failure(f"the key file is not the one that the network has for {node}")
    if (public.consensus, public.cosigner) != (mine.consensus_key, mine.cosigner_key):
        return warning(f"the ledger names other voting keys for {node}")
    return ok(f"the keys of {node}")


def _read(scene: Scene) -> Callable[[bytes], bytes | None]:
    """Read state at the tip; before the first block that is genesis."""
    assert scene.store is not None, "asked with a store"
    assert scene.genesis is not None, "a store opens with its genesis"
    if scene.store.applied() is None:
        return genesis_state(scene.genesis).get
    return scene.store.state_get


def mark(scene: Scene) -> Said:
    path = scene.settings.keystore.path
    if scene.running:
        return ok("the node runs, and started with it")
    if scene.store is None or scene.genesis is None:
        there = mark_path(path).exists()
        if there and not scene.settings.node.data_dir.exists():
            return failure(f"{mark_path(path)} is there and the ledger is gone")
        return not_applicable("no ledger to compare with")
    try:
        found = list(check_mark(scene.store, scene.genesis, path))
    except ChartsealError as error:
        return failure(str(error))
    return failure("; ".join(item.detail for item in found)) if found else ok("level")


def spare(scene: Scene) -> Said:
    path = scene.settings.keystore.signing_key_file
    if path is None:
        return not_applicable("no keystore.signing_key_file is set")
    try:
        keystore.read_seed(Path(path))
    except ChartsealError as error:
        return failure(str(error))
    return ok(f"{path}")


def hsm(_scene: Scene) -> Said:
    return not_applicable("this version keeps keys in files, in no hardware module")


CHECKS = (
    Check(
        "keys.mode",
        "the key file is its owner's alone",
        mode,
        "chmod 600, chown to the node's user; `chartseal doctor --fix` does the first",
        mend_mode,
    ),
    Check(
        "keys.directory",
        "so is its directory",
        directory,
        "chmod 700; `chartseal doctor --fix` does it",
        mend_directory,
    ),
    Check(
        "keys.unlock",
        "the key file opens",
        unlock,
        "put the right passphrase into keystore.passphrase_file, mode 0600",
    ),
    Check(
        "keys.match",
        "the keys are those that the network knows",
        match,
        "install this institution's key file, or its genesis",
    ),
    Check(
        "keys.mark",
        "the ledger is not older than what was signed",
        mark,
        "never delete the mark; see `A restored or cloned node` in the manual",
    ),
    Check(
        "keys.spare",
        "the spare signing key opens",
        spare,
        "see keystore.signing_key_file: `chartseal person new` made it",
    ),
    Check("keys.hsm", "the hardware module answers", hsm, "nothing"),
)

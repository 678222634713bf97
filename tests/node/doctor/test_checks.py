"""Every check of the doctor fails where it must and passes where it must.

A real directory of a stopped one-member network with blocks is bent in one place at a time; a
machine that answers well stands for the system, and a diagnosis for the running node.
"""

import secrets
import shutil
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import plyvel
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from node import backups, config, tokens
from node.cli.cluster import Cluster
from node.doctor.examine import CHECKS, chosen, examine
from node.doctor.finding import GROUPS, State
from node.doctor.machine import Machine
from node.doctor.scene import Scene
from node.keys import NodeKeys, random_passphrase
from node.ledger.facts import features, numbered
from node.ledger.facts.features import FeatureName, FeatureRow
from node.ledger.state import Overlay
from storage import keys as rows
from storage.snapshots import Snapshots
from storage.store import Store
from tests.support.hostile import configure, genesis_of, keys_of
from tests.support.nodes import Nodes, until

pytestmark = pytest.mark.cluster


class Well(Machine):
    """A machine without a complaint; a test replaces one answer by another."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        for name, value in answers.items():
            setattr(self, name, value if callable(value) else _always(value))

    def descriptors_max(self) -> int:
        return 65_536

    def memory_left(self) -> int:
        return 8 << 30

    def group_memory_max(self) -> int | None:
        return 4 << 30

    def huge_pages(self) -> str | None:
        return "madvise"

    def entropy(self) -> int | None:
        return 256

    def swap_used(self) -> int:
        return 0

    def kernel(self) -> str:
        return "6.1.0"

    def python(self) -> tuple[int, int]:
        return (3, 11)

    def synchronised(self) -> bool | None:
        return True

    def free(self, path: Path) -> tuple[int, int]:
        return 50 << 30, 100 << 30

    def inodes(self, path: Path) -> tuple[int, int]:
        return 900_000, 1_000_000

    def file_system(self, path: Path) -> str | None:
        return "ext4"

    def sync_ms(self, path: Path, count: int = 200) -> list[float]:
        return [1.0] * count

    def connects(self, host: str, port: int, timeout_s: float = 2.0) -> str | None:
        return None


def _always(value: Any) -> Callable[..., Any]:
    return lambda *_positional, **_named: value


class Place:
    """A node's directory of its own, and the scene that the doctor would see there."""

    def __init__(self, directory: Path) -> None:
        self.cluster = Cluster(directory)
        self.where = self.cluster.node_dir(0)
        self.config = self.where / "config.toml"
        self.data = self.where / "data"

    def set(self, section: str, line: str) -> None:
        configure(self.cluster, 0, line, section=section)

    def scene(
        self, *, running: bool = False, causes: tuple[str, ...] = (), **answers: Any
    ) -> Scene:
        scene = Scene.of(self.config, offline=True, machine=Well(**answers))
        if running:
            found = [{"id": item, "say": f"{item} it is"} for item in causes]
            scene.why = {"voters": ["hosp1"], "quorum": 1, "missing": [], "causes": found}
            scene.store = None
        return scene

    def voters(self, scene: Scene, missing: int, *, of: int = 4, quorum: int = 3) -> Scene:
        names = [f"hosp{at}" for at in range(1, of + 1)]
        assert scene.why is not None
        scene.why |= {"voters": names, "quorum": quorum, "missing": names[of - missing :]}
        return scene

    def rows(self, change: Callable[[Any], None]) -> None:
        """Change the ledger's rows behind the node's back."""
        database = plyvel.DB(str(self.data / "kv"), compression=None)
        try:
            change(database)
        finally:
            database.close()

    def certificate(
        self, *, days: int = 90, name: str = "127.0.0.1", browsers: bool = True
    ) -> None:
        import ipaddress

        key: Any = ec.generate_private_key(ec.SECP256R1())
        if not browsers:
            key = ed25519.Ed25519PrivateKey.generate()
        end = datetime.now(UTC) + timedelta(days=days)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "api")])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))])
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - timedelta(days=200))
            .not_valid_after(end)
            .add_extension(names, critical=False)
            .sign(key, hashes.SHA256() if browsers else None)
        )
        (self.where / "c.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (self.where / "k.pem").write_bytes(private)
        (self.where / "k.pem").chmod(0o600)
        self.set("api", 'tls_cert_file = "c.pem"')
        self.set("api", 'tls_key_file = "k.pem"')


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a stopped network of one with blocks on its disk."""
    import asyncio

    directory = tmp_path_factory.mktemp("doctor") / "net"

    async def fill() -> None:
        nodes = Nodes(directory, members=1, engine="pbft")
        await nodes[0].start()
        for _ in range(6):
            await nodes[0].commit()
        await until(lambda: nodes[0].parts.service.store.latest_checkpoint() is not None)
        await nodes[0].stop()

    asyncio.run(fill())
    return directory


@pytest.fixture
def place(ledger: Path, tmp_path: Path) -> Place:
    shutil.copytree(ledger, tmp_path / "net")
    return Place(tmp_path / "net")


Bad = Callable[[Place], Scene]
Good = Callable[[Place], Scene]
STOPPED: Final[Good] = lambda place: place.scene()  # noqa: E731 - a table of lambdas
RUNNING: Final[Good] = lambda place: place.scene(running=True)  # noqa: E731


def machine(**answers: Any) -> Bad:
    return lambda place: place.scene(**answers)


def causes(*ids: str) -> Bad:
    return lambda place: place.scene(running=True, causes=ids)


def after(change: Callable[[Place], object], **more: Any) -> Bad:
    def bad(place: Place) -> Scene:
        change(place)
        return place.scene(**more)

    return bad


def edited(old: str, new: str) -> Callable[[Place], object]:
    def change(place: Place) -> None:
        text = place.config.read_text()
        assert old in text
        place.config.write_text(text.replace(old, new, 1))

    return change


def other_key(place: Place) -> None:
    (place.where / "node.key").unlink()
    passphrase = (place.where / "passphrase").read_bytes().strip()
    NodeKeys.generate("hosp1").save(place.where / "node.key", passphrase)


def torn(place: Place) -> None:
    newest = max((place.data / "segments").glob("*.seg"))
    with newest.open("ab") as file:
        file.write(b"half a body")


def flipped(place: Place) -> None:
    newest = max((place.data / "segments").glob("*.seg"))
    raw = bytearray(newest.read_bytes())
    raw[len(raw) // 2] ^= 1
    newest.write_bytes(raw)


def no_newest_row(place: Place) -> None:
    def change(database: Any) -> None:
        last = list(database.iterator(prefix=rows.BLOCK, include_value=False))[-1]
        database.delete(last)

    place.rows(change)


def bent_certificate(place: Place) -> None:
    def change(database: Any) -> None:
        key, value = list(database.iterator(prefix=rows.CERTIFICATE))[-1]
        database.put(key, value[:-1] + bytes((value[-1] ^ 1,)))

    place.rows(change)


def bent_header(place: Place) -> None:
    """The row of an older block names another digest: the one above does not follow it."""

    def change(database: Any) -> None:
        found = list(database.iterator(prefix=rows.BLOCK))
        (key, _), (_, other) = found[-2], found[-1]
        database.put(key, other)

    place.rows(change)


def bent_checkpoint(place: Place) -> None:
    def change(database: Any) -> None:
        key, value = list(database.iterator(prefix=rows.CHECKPOINT))[-1]
        database.put(key, value[:-12] + b"A" * 8 + value[-4:])

    place.rows(change)


def taken(place: Place) -> Scene:
    port = place.cluster.members[0].p2p_port
    listening = socket.socket()
    listening.bind(("127.0.0.1", port))
    listening.listen(1)
    try:
        scene = place.scene()
        free = scene.machine.bindable("127.0.0.1", port)
        assert not free
        scene.machine = Well(bindable=False)
        return scene
    finally:
        listening.close()


def locked(place: Place) -> Scene:
    from storage.lock import DirectoryLock

    with DirectoryLock(place.data):
        return place.scene()


def expired_tokens(place: Place) -> None:
    _, row = tokens.create(("member:read",), expires_ms=1)
    tokens.write_file(place.where / "tokens.jsonl", [row])


def modest_tokens(place: Place) -> None:
    soon = time.time_ns() // 1_000_000 + 86_400_000
    _, row = tokens.create(("member:read",), expires_ms=soon)
    tokens.write_file(place.where / "tokens.jsonl", [row])


def spare_key(place: Place, raw: bytes) -> None:
    (place.where / "spare").write_bytes(raw)
    (place.where / "spare").chmod(0o600)
    place.set("keystore", 'signing_key_file = "spare"')


def older(place: Place) -> None:
    """A mark that is ahead of the ledger: its directory is gone."""
    shutil.rmtree(place.data)


def schema(place: Place) -> None:
    place.rows(lambda database: database.put(rows.SCHEMA, b"\xcd\x00\x63"))


def no_reserve(place: Place) -> None:
    place.set("storage", 'reserve_bytes = "32MiB"')
    (place.data / "reserve").unlink(missing_ok=True)


def reserve(place: Place) -> None:
    no_reserve(place)
    wanted = config.load(place.config).storage.reserve_bytes
    with (place.data / "reserve").open("wb") as file:
        file.truncate(wanted)


def often(place: Place) -> None:
    place.set("snapshots", "every_blocks = 1")


def snapshot(place: Place) -> None:
    often(place)
    Snapshots(place.data).path(6).mkdir(parents=True)


def feature(name: str) -> Callable[[Place], object]:
    """Put a feature that members decided on into state."""

    def decided(place: Place) -> None:
        view = Overlay(lambda _key: None)
        view.save(features.feature_key(name), FeatureRow(name, 99, 1, bytes(32)))
        numbered.append(view, features.FEATURES_KEY, FeatureName(name))

        def change(database: Any) -> None:
            for key, value in view.writes.items():
                database.put(rows.STATE + key, value)

        place.rows(change)

    return decided


def backed_up(place: Place) -> Path:
    """Make a backup where the settings say, and return where its chunks are."""
    place.set("backup", 'path = "backups"')
    loaded = config.load(place.config, environment={})
    raw = place.cluster.genesis_path.read_bytes()
    origin = backups.origin_of(loaded, raw, keys_of(place.cluster, 0))
    network = genesis_of(place.cluster).network
    with Store.open(place.data, network=network) as store:
        backups.create(store, place.where / "backups", origin, network=network)
    return place.where / "backups"


def bent_backup(place: Place) -> None:
    where = backed_up(place)
    largest = max(
        (path for path in where.rglob("*") if path.is_file() and "manifest" not in path.name),
        key=lambda path: path.stat().st_size,
    )
    raw = bytearray(largest.read_bytes())
    raw[len(raw) // 2] ^= 1
    largest.chmod(0o600)
    largest.write_bytes(raw)


def old_backup(place: Place) -> Scene:
    backed_up(place)
    return place.scene(now_ms=time.time_ns() // 1_000_000 + 30 * 86_400_000)


def quorum(missing: int, **more: Any) -> Bad:
    return lambda place: place.voters(place.scene(running=True), missing, **more)


PEERS: Final = after(edited("[peers]", '[peers]\nhosp2 = "127.0.0.1:9"'))
TLS_GOOD: Final = after(lambda place: place.certificate())

# id -> (a scene where it must not pass, a scene where it must)
CASES: Final[dict[str, tuple[Bad, Good]]] = {
    "cfg.parse": (after(edited("[storage]", "[storage]\nmin_fre_bytes = 1")), STOPPED),
    "cfg.paths": (after(lambda p: (p.where / "tokens.jsonl").unlink()), STOPPED),
    "cfg.genesis": (
        after(lambda p: p.cluster.genesis_path.write_bytes(b"no genesis")), STOPPED,
    ),
    "cfg.ports": (taken, STOPPED),
    "cfg.peers": (PEERS, STOPPED),
    "cfg.secrets": (after(lambda p: (p.where / "passphrase").chmod(0o644)), STOPPED),
    "cfg.writable": (after(lambda p: p.config.chmod(0o666)), STOPPED),
    "os.descriptors": (machine(descriptors_max=256), STOPPED),
    "os.memory": (machine(memory_left=1 << 20), STOPPED),
    "os.group": (machine(group_memory_max=256 << 20), STOPPED),
    "os.swap": (machine(swap_used=1 << 30), STOPPED),
    "os.huge-pages": (machine(huge_pages="always"), STOPPED),
    "os.entropy": (machine(entropy=3), STOPPED),
    "os.kernel": (machine(kernel="4.4.0-generic"), STOPPED),
    "os.python": (machine(python=(3, 9)), STOPPED),
    "os.libraries": (machine(library=None), STOPPED),
    "time.synchronised": (machine(synchronised=False), STOPPED),
    "time.offset": (causes("clock-here"), RUNNING),
    "time.jump": (machine(now_ms=1_000_000), STOPPED),
    "disk.free": (machine(free=(1 << 20, 100 << 30)), STOPPED),
    "disk.inodes": (machine(inodes=(3, 1_000_000)), STOPPED),
    "disk.sync": (machine(sync_ms=[1.0] * 30 + [80.0]), STOPPED),
    "disk.kind": (machine(file_system="nfs4"), STOPPED),
    "disk.reserve": (after(no_reserve), after(reserve)),
    "keys.mode": (after(lambda p: (p.where / "node.key").chmod(0o640)), STOPPED),
    "keys.directory": (after(lambda p: p.where.chmod(0o755)), STOPPED),
    "keys.unlock": (
        after(lambda p: (p.where / "passphrase").write_bytes(random_passphrase())), STOPPED,
    ),
    "keys.match": (after(other_key), STOPPED),
    "keys.mark": (after(older), STOPPED),
    "keys.spare": (
        after(lambda p: spare_key(p, b"short")),
        after(lambda p: spare_key(p, secrets.token_hex(32).encode())),
    ),
    "tls.chain": (
        after(lambda p: (p.certificate(), (p.where / "c.pem").write_text("nothing"))), TLS_GOOD,
    ),
    "tls.host": (after(lambda p: p.certificate(name="192.0.2.9")), TLS_GOOD),
    "tls.days": (after(lambda p: p.certificate(days=-2)), TLS_GOOD),
    "tls.browsers": (after(lambda p: p.certificate(browsers=False)), TLS_GOOD),
    "net.names": (after(edited("[peers]", '[peers]\nx = "no.invalid:1"')), PEERS),
    "net.listen": (
        lambda p: p.scene(running=True, connects="Connection refused"), RUNNING,
    ),
    "net.reach": (
        after(edited("[peers]", '[peers]\nhosp2 = "127.0.0.1:9"'), connects="refused"), PEERS,
    ),
    "net.handshake": (causes("member-wrong-key"), RUNNING),
    "net.both-ways": (causes("member-one-way"), RUNNING),
    "net.speed": (causes("slow-link"), RUNNING),
    "store.lock": (locked, STOPPED),
    "store.opens": (after(lambda p: (p.data / "kv" / "CURRENT").write_text("x")), STOPPED),
    "store.heights": (after(no_newest_row), STOPPED),
    "store.sample": (after(flipped), STOPPED),
    "store.torn": (after(torn), STOPPED),
    "store.writable": (after(lambda p: unwritable(p)), STOPPED),
    "store.snapshots": (after(often), after(snapshot)),
    "ledger.headers": (after(bent_header), STOPPED),
    "ledger.certificates": (after(bent_certificate), STOPPED),
    "ledger.certified": (after(bent_checkpoint), STOPPED),
    "ledger.progress": (causes("no-leader"), RUNNING),
    "quorum.reachable": (quorum(2), quorum(0)),
    "quorum.spare": (quorum(1), quorum(0)),
    "quorum.evidence": (causes("member-equivocated"), RUNNING),
    "sinks.fhir": (RUNNING, lambda p: served(p)),
    "backup.age": (old_backup, after(backed_up)),
    "backup.verified": (after(bent_backup), after(backed_up)),
    "security.ops": (after(edited('listen = "127.0.0.1:', 'listen = "127.0.0.1:'),), STOPPED),
    "security.api": (after(lambda p: no_tokens(p)), STOPPED),
    "security.tokens": (after(expired_tokens), STOPPED),
    "security.scopes": (STOPPED, after(modest_tokens)),
    "security.log": (after(lambda p: p.set("log", 'level = "debug"')), STOPPED),
    "version.peers": (causes("member-version"), RUNNING),
    "version.upgrade": (after(feature("later")), after(feature(features.FEATURES[0]))),
    "version.data": (after(schema), STOPPED),
}  # fmt: skip


def open_ops(place: Place) -> Scene:
    place.set("ops", f'listen = "0.0.0.0:{place.cluster.members[0].ops_port}"')
    return place.scene()


CASES["security.ops"] = (open_ops, STOPPED)


def no_tokens(place: Place) -> None:
    place.certificate()
    text = place.config.read_text()
    place.config.write_text(text.replace('tokens_file = "tokens.jsonl"', ""))


def unwritable(place: Place) -> None:
    """A name that is taken by a directory cannot be made a file: no super-user gets past."""
    (place.data / ".doctor-probe").symlink_to(place.data / "nowhere" / "probe")


def served(place: Place) -> Scene:
    """A scene with the node really running; it ends with this process at the latest."""
    place.cluster.up()
    try:
        scene = Scene.of(place.config, machine=Well())
        fhir = next(check for check in CHECKS if check.id == "sinks.fhir").look(scene)
        assert fhir.state is State.OK, fhir
        scene.machine = Well()
        return _Served(scene, fhir)  # type: ignore[return-value]
    finally:
        place.cluster.down()


class _Served:
    """What the running node answered, kept for after its end."""

    def __init__(self, scene: Scene, said: Any) -> None:
        self.config, self.said = scene.config, said


NOT_HERE: Final = {
    "keys.hsm", "tls.members", "tls.crl", "net.mtu",
    "sinks.subscriptions", "sinks.streams", "sinks.hl7",
    "security.members",
}  # fmt: skip


def look(scene: Scene, check_id: str) -> Any:
    if isinstance(scene, _Served):
        return scene.said
    with scene:
        (found,) = examine(scene, chosen([check_id], []))
        return found


def state_of(said: Any) -> str:
    return str(getattr(said, "severity", getattr(said, "state", "")))


def test_every_check_has_a_case_or_says_that_its_subject_is_not_here() -> None:
    assert set(CASES) | NOT_HERE == {check.id for check in CHECKS}
    assert not set(CASES) & NOT_HERE
    assert {check.group for check in CHECKS} == set(GROUPS)
    assert len(GROUPS) == 14


@pytest.mark.parametrize("check_id", sorted(CASES))
def test_a_check_says_so_where_something_is_wrong(check_id: str, place: Place) -> None:
    said = look(CASES[check_id][0](place), check_id)
    assert state_of(said) in ("failure", "warning"), said


@pytest.mark.parametrize("check_id", sorted(CASES))
def test_a_check_passes_where_nothing_is_wrong(check_id: str, place: Place) -> None:
    said = look(CASES[check_id][1](place), check_id)
    assert state_of(said) == "ok", said


@pytest.mark.parametrize("check_id", sorted(NOT_HERE))
def test_what_this_version_does_not_have_is_never_called_well(
    check_id: str, place: Place
) -> None:
    for scene in (place.scene(), place.scene(running=True)):
        assert state_of(look(scene, check_id)) == "not-applicable"


def test_mending_changes_modes_and_nothing_else(place: Place) -> None:
    for name in ("node.key", "passphrase", "tokens.jsonl"):
        (place.where / name).chmod(0o644)
    place.where.chmod(0o755)
    place.config.chmod(0o666)
    before = {path: path.read_bytes() for path in place.where.rglob("*") if path.is_file()}
    with place.scene() as scene:
        found = {item.id: item for item in examine(scene, chosen([], []), fix=True)}
    for check_id in ("keys.directory", "cfg.secrets", "cfg.writable"):
        assert found[check_id].severity == "ok", found[check_id]
        assert found[check_id].mended
    assert len(found["cfg.secrets"].mended) == 3, "the key file too, before its own check"
    assert sum(bool(item.mended) for item in found.values()) == 3
    assert {p: p.read_bytes() for p in place.where.rglob("*") if p.is_file()} == before
    assert (place.where / "node.key").stat().st_mode & 0o777 == 0o600
    (place.where / "node.key").chmod(0o640)
    with place.scene() as scene:
        (alone,) = examine(scene, chosen(["keys.mode"], []), fix=True)
    assert alone.severity == "ok"
    assert alone.mended


def test_without_settings_the_rest_is_not_called_well(place: Place) -> None:
    place.config.write_text("not toml at all [")
    with place.scene() as scene:
        found = list(examine(scene, CHECKS))
    assert [item.id for item in found if item.severity == "failure"] == ["cfg.parse"]
    well = {item.group for item in found if item.severity == "ok"}
    assert well == {"os"}

"""Members that lie about snapshots are named, cost bounded time, and do not keep a node away
from those that do not lie."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from consensus import wire
from node.diskspace import DiskSpace
from node.engines import dialects
from node.ledger import checkpoint as checkpoints
from node.ledger import snapshot, statechunk
from node.ledger.checkpoint import Checkpoint
from node.ledger.genesis import Genesis
from node.ledger.merkle import EMPTY_ROOT
from node.ledger.snapshot import Evidence, Manifest
from node.snapshot_install import Installer
from node.snapshot_load import Verified
from node.snapshot_shelf import Shelf
from node.snapshot_trust import Trust
from node.snapshot_wire import FIRST_CHUNK, Offer, Offers, SnapshotRequest, SnapshotResponse
from node.statesync import Patience, StateSync
from storage.snapshots import Snapshots
from storage.store import Store
from tests.support.ledger import Chain, key
from tests.support.snapshots import snapshot_of

Serve = Callable[[SnapshotRequest], SnapshotResponse | None]
Parts = tuple[bytes, bytes]  # manifest and evidence, encoded
QUICK = Patience(
    look_s=0.01,
    look_max_s=0.01,
    answer_s=0.5,
    chunk_s=0.5,
    window_s=2.0,
    window_bytes=1,
    shunned_s=600.0,
)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statechunk, "CHUNK_BYTES_TARGET", 1 << 10)
    monkeypatch.setattr(statechunk, "CHUNK_BYTES_MAX", 2 << 10)


@pytest.fixture
def chain(tmp_path: Path, small_chunks: None) -> Chain:
    made = Chain(tmp_path / "honest")
    for _ in range(12):
        made.commit(*(made.tx() for _ in range(6)))
    snapshot_of(made)
    return made


def shelf_of(chain: Chain) -> Shelf:
    return Shelf(
        chain.store,
        Snapshots(chain.directory),
        DiskSpace(chain.directory, min_free_bytes=0),
        parameters=lambda: chain.genesis.parameters,
        every=0,
        keep=8,
    )


class Rig:
    """A node without a ledger, and members that answer it as they are told to."""

    def __init__(self, data_dir: Path, genesis: Genesis, pinned: Checkpoint | None) -> None:
        self.data_dir = data_dir
        self.genesis = genesis
        self.members: dict[str, Serve] = {}
        self.asked: list[tuple[str, SnapshotRequest]] = []
        self.store = Store.open(data_dir, network=genesis.network, create=True)
        self.installer = Installer(
            data_dir,
            genesis,
            segment_bytes_max=1 << 26,
            pinned=pinned,
            own=lambda: (0, EMPTY_ROOT),
        )
        self.sync = StateSync(
            data_dir=data_dir,
            trust=Trust(genesis, dialects(genesis), pinned),
            gap_blocks=4,
            ask=self._ask,
            connected=lambda: sorted(self.members),
            height=lambda: 0,
            fill=self._fill,
            patience=QUICK,
        )

    def _ask(self, peer: str, request: SnapshotRequest) -> None:
        self.asked.append((peer, request))
        answer = self.members[peer](request)
        if answer is not None:
            asyncio.get_running_loop().call_soon(self.sync.received, peer, answer)

    async def _fill(self, verified: Verified) -> None:
        await asyncio.to_thread(self.installer.fill, verified)

    @property
    def blamed(self) -> set[tuple[str, str]]:
        return set(self.sync.counters.faults)

    async def joined(self, chain: Chain) -> None:
        """Take a snapshot; the store that comes of it is the chain's."""
        async with asyncio.timeout(15):
            await self.sync.run()
        self.installer.ready = True
        self.installer.switch(self.store)
        self.store.close()
        with Store.open(self.data_dir, network=self.genesis.network) as store:
            assert store.applied() == chain.store.applied()


@asynccontextmanager
async def rig_for(
    tmp_path: Path, chain: Chain, *honest: str, pinned: Checkpoint | None = None
) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path / "new", chain.genesis, pinned)
    shelf = shelf_of(chain)
    rig.members = dict.fromkeys(honest, shelf.serve)
    try:
        yield rig
    finally:
        rig.store.close()


def changed(
    serve: Serve, part: Callable[[int], bool], change: Callable[[bytes], bytes]
) -> Serve:
    """Return a member that changes the payload of some parts of a snapshot."""

    def lie(request: SnapshotRequest) -> SnapshotResponse | None:
        answer = serve(request)
        if answer is None or not request.digest or not part(request.part):
            return answer
        return replace(answer, payload=change(answer.payload))

    return lie


def flipped(raw: bytes) -> bytes:
    return raw[:-1] + bytes([raw[-1] ^ 1])


async def test_a_wrong_chunk_names_its_sender_and_the_others_give_the_rest(
    tmp_path: Path, chain: Chain
) -> None:
    async with rig_for(tmp_path, chain, "birch", "cedar") as rig:
        rig.members["alder"] = changed(
            rig.members["birch"], lambda n: n >= FIRST_CHUNK, flipped
        )
        await rig.joined(chain)
        assert rig.blamed == {("alder", "bad-chunk")}
        lied = [r for peer, r in rig.asked if peer == "alder" and r.part >= FIRST_CHUNK]
        assert len(lied) <= QUICK.in_flight


async def test_the_chunk_of_another_place_is_refused(tmp_path: Path, chain: Chain) -> None:
    async with rig_for(tmp_path, chain, "birch") as rig:
        honest = rig.members["birch"]

        def lie(request: SnapshotRequest) -> SnapshotResponse | None:
            if request.part <= FIRST_CHUNK:
                return honest(request)
            other = honest(replace(request, part=request.part - 1))
            return None if other is None else replace(other, part=request.part)

        rig.members["alder"] = lie
        await rig.joined(chain)
        assert rig.blamed == {("alder", "bad-chunk")}


async def test_a_wrong_manifest_names_its_sender(tmp_path: Path, chain: Chain) -> None:
    async with rig_for(tmp_path, chain, "birch", "cedar") as rig:
        rig.members["alder"] = changed(rig.members["birch"], lambda n: n == 0, flipped)
        await rig.joined(chain)
        assert rig.blamed == {("alder", "bad-manifest")}


def forged(serve: Serve, forge: Callable[[Manifest, Evidence], Parts], height: int) -> Serve:
    """Return a member that offers a manifest of its own making at ``height``."""
    listed = serve(SnapshotRequest(b"", 0))
    assert listed is not None
    true = wire.decode(Offers, listed.payload, size_max=1 << 12).offers[0]
    parts = [serve(SnapshotRequest(true.digest, part)) for part in (0, 1)]
    raws = [b"" if part is None else part.payload for part in parts]
    made = forge(Manifest.decode(raws[0]), Evidence.decode(raws[1]))
    digest = snapshot.digest_of(made[0])

    def lie(request: SnapshotRequest) -> SnapshotResponse | None:
        if not request.digest:
            offers = Offers(1, height, (Offer(height, digest),))
            return replace(request_answer(request), payload=wire.encode(offers))
        if request.part < FIRST_CHUNK:
            return replace(request_answer(request), payload=made[request.part])
        return None

    return lie


def request_answer(request: SnapshotRequest) -> SnapshotResponse:
    return SnapshotResponse(request.digest, request.part, b"")


def _strangers(manifest: Manifest, genesis: Genesis) -> bytes:
    """Return a note over the manifest's log that keys of nobody cosigned."""
    head = Checkpoint(genesis.origin, manifest.log_size, manifest.log_root)
    lines = [
        checkpoints.cosign(
            head,
            name=checkpoints.cosigner_name(genesis.origin, name),
            signer=key("nobody"),
            time_s=7,
        )
        for name in ("alder", "birch", "cedar")
    ]
    signatures = "".join(item.note_signature().line() for item in lines)
    return head.text() + b"\n" + signatures.encode()


@pytest.mark.parametrize(
    "how", ["another height", "root", "era", "outcomes", "note", "certificate", "lineage"]
)
async def test_a_manifest_that_proves_nothing_is_refused(
    tmp_path: Path, chain: Chain, how: str
) -> None:
    def forge(manifest: Manifest, evidence: Evidence) -> Parts:
        match how:
            case "another height":
                manifest = replace(manifest, height=99)
            case "root":
                manifest = replace(manifest, log_root=bytes(32))
            case "era":
                manifest = replace(manifest, era_seal=manifest.seal)
            case "outcomes":
                manifest = replace(manifest, results=flipped(manifest.results))
            case "note":
                note = _strangers(manifest, chain.genesis)
                evidence = replace(evidence, note=note)
            case "certificate":
                evidence = replace(evidence, certificate=b"\x90")
            case _:
                evidence = replace(evidence, lineage=b"links")
        return (manifest.encode(), evidence.encode())

    async with rig_for(tmp_path, chain, "birch") as rig:
        height = 99 if how == "another height" else 12
        rig.members["alder"] = forged(rig.members["birch"], forge, height)
        await rig.joined(chain)
        assert rig.blamed == {("alder", "bad-manifest")}


async def test_a_stale_snapshot_offered_as_a_new_one_names_its_sender(
    tmp_path: Path, chain: Chain
) -> None:
    async with rig_for(tmp_path, chain, "birch") as rig:

        def forge(manifest: Manifest, evidence: Evidence) -> Parts:
            return (manifest.encode(), evidence.encode())

        rig.members["alder"] = forged(rig.members["birch"], forge, 1_000_000)
        await rig.joined(chain)
        assert rig.blamed == {("alder", "stale")}


async def test_an_endless_list_names_its_sender(tmp_path: Path, chain: Chain) -> None:
    def lie(request: SnapshotRequest) -> SnapshotResponse:
        return replace(
            request_answer(request), payload=b"\x93\x01\x01\xdc\xff\xff" + bytes(999)
        )

    async with rig_for(tmp_path, chain, "birch") as rig:
        rig.members["alder"] = lie
        await rig.joined(chain)
        assert rig.blamed == {("alder", "bad-list")}


async def test_whoever_never_answers_is_left_alone(tmp_path: Path, chain: Chain) -> None:
    async with rig_for(tmp_path, chain, "birch") as rig:
        honest = rig.members["birch"]
        rig.members["alder"] = lambda r: None if r.part >= FIRST_CHUNK else honest(r)
        rig.members["cedar"] = lambda request: None
        await rig.joined(chain)
        assert rig.blamed == {("alder", "silent")}
        silent = [r for peer, r in rig.asked if peer == "alder" and r.part >= FIRST_CHUNK]
        assert len(silent) <= QUICK.in_flight


async def test_an_endless_snapshot_is_given_up_for_one_that_ends(
    tmp_path: Path, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its manifest is true and its state is cut to dust: nobody else has it under that name."""
    async with rig_for(tmp_path, chain, "birch") as rig:

        def forge(manifest: Manifest, evidence: Evidence) -> Parts:
            dust = replace(manifest, state_depths=bytes([16]) * (1 << 16))
            return (dust.encode(), evidence.encode())

        endless = forged(rig.members["birch"], forge, 12)
        begun = asyncio.Event()

        def lie(request: SnapshotRequest) -> SnapshotResponse | None:
            if request.part >= FIRST_CHUNK:
                begun.set()
            return endless(request)

        honest = rig.members.pop("birch")
        rig.members["alder"] = lie
        joining = asyncio.create_task(rig.joined(chain))
        await begun.wait()
        rig.members["birch"] = honest
        await joining
        assert {peer for peer, _ in rig.blamed} == {"alder"}


async def test_what_was_verified_stays_and_is_not_asked_for_again(
    tmp_path: Path, chain: Chain
) -> None:
    async with rig_for(tmp_path, chain) as rig:
        honest = shelf_of(chain).serve
        served: list[int] = []
        half = asyncio.Event()

        def halting(request: SnapshotRequest) -> SnapshotResponse | None:
            if request.part >= FIRST_CHUNK:
                if len(served) >= 5:
                    half.set()
                    return None
                served.append(request.part)
            return honest(request)

        rig.members["birch"] = halting
        first = asyncio.create_task(rig.sync.run())
        await half.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        (directory,) = (tmp_path / "new" / "statesync").iterdir()
        kept = {int(path.name[6:]) + FIRST_CHUNK for path in directory.glob("chunk-*")}
    # The process ends here; the next one finds what was kept.
    async with rig_for(tmp_path, chain, "birch", "cedar") as rig:
        await rig.joined(chain)
        again = [r.part for _, r in rig.asked if r.part >= FIRST_CHUNK]
        assert len(again) == len(set(again))
        assert kept
        assert not set(again) & kept


async def test_a_chunk_that_the_disk_damaged_is_fetched_again(
    tmp_path: Path, chain: Chain
) -> None:
    async with rig_for(tmp_path, chain, "birch") as rig:
        (offer,) = Snapshots(chain.directory).heights()
        manifest = Snapshots(chain.directory).read(offer, "manifest") or b""
        directory = tmp_path / "new" / "statesync" / snapshot.digest_of(manifest).hex()
        directory.mkdir(parents=True)
        raw = (Snapshots(chain.directory).path(offer) / "chunk-000001").read_bytes()
        (directory / "chunk-000001").write_bytes(flipped(raw))
        await rig.joined(chain)
        assert rig.blamed == set()


async def test_a_snapshot_older_than_the_pinned_checkpoint_is_refused(
    tmp_path: Path, chain: Chain
) -> None:
    pinned = Checkpoint(chain.genesis.origin, chain.book.tip.log_size + 1, bytes(32))
    async with rig_for(tmp_path, chain, "birch", pinned=pinned) as rig:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await rig.sync.run()
        assert rig.blamed == {("birch", "bad-manifest")}


async def test_a_log_that_contradicts_the_pinned_checkpoint_is_never_installed(
    tmp_path: Path, chain: Chain
) -> None:
    """A quorum of lost keys can certify anything: the pin is what remains."""
    pinned = Checkpoint(chain.genesis.origin, chain.book.tip.log_size - 3, bytes(32))
    async with rig_for(tmp_path, chain, "birch", pinned=pinned) as rig:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await rig.sync.run()
        assert list((tmp_path / "new" / "statesync").iterdir()) == []
        assert not (tmp_path / "new" / "incoming").exists()


async def test_a_pinned_checkpoint_that_the_log_contains_is_no_hindrance(
    tmp_path: Path, chain: Chain
) -> None:
    row = chain.store.block(7)
    assert row is not None
    pinned = Checkpoint(chain.genesis.origin, row.log_size, row.log_root)
    async with rig_for(tmp_path, chain, "birch", pinned=pinned) as rig:
        await rig.joined(chain)

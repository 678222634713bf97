"""Archives: static tiles that anybody can check, and what they give back."""

import hashlib
import json
import random
from pathlib import Path

import pytest

from consensus import wire
from node.archive import layout, use
from node.archive.layout import ArchiveInvalid
from node.archive.verify import verify
from node.archive.write import write
from node.check import check_ledger
from node.errors import ChartsealError
from node.ledger import lineage
from node.ledger import receipt as receipts
from node.ledger.checkpoint import parse_note
from node.ledger.lineage import Lineage
from node.publish import policy_of
from storage.check import check
from storage.errors import Pruned
from storage.store import Store
from tests.support.eras import Eras
from tests.support.eras import founded as eras_founded
from tests.support.ledger import Chain, anchor, genesis


def opened(directory: Path, engine: str = "raft") -> Chain:
    founded = genesis(engine)
    store = Store.open(
        directory, network=founded.network, create=True, segment_bytes_max=1 << 14
    )
    return Chain(directory, founded, store=store)


def grow(chain: Chain, blocks: int, *, transactions: int = 4) -> None:
    """Add blocks; each repeats a transaction of the one before, as a proposer may."""
    before = None
    for _ in range(blocks):
        fresh = [chain.tx() for _ in range(transactions)]
        chain.commit(*fresh, *([] if before is None else [before]))
        before = fresh[0]
        if chain.book.tip.height % 3 == 0:
            chain.certify()


# --- the layout ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "width", "path"),
    [
        (0, 256, "tile/0/000"),
        (7, 12, "tile/0/007.p/12"),
        (1234067, 256, "tile/0/x001/x234/067"),
        (1000, 1, "tile/0/x001/000.p/1"),
    ],
)
def test_paths_are_those_of_c2sp(tmp_path: Path, number: int, width: int, path: str) -> None:
    assert layout.path_of(tmp_path, "tile/0", number, width) == tmp_path / path


def test_a_reader_that_knows_only_tlog_tiles_gets_root_and_leaves(tmp_path: Path) -> None:
    """Written out once more from the specification, without our own code."""
    with opened(tmp_path / "data") as chain:
        grow(chain, 90)
        chain.certify()
        write(chain.store, chain.genesis, tmp_path / "a", up_to=None)
        size, root = chain.book.tip.log_size, chain.book.tip.log_root
    lines = (tmp_path / "a" / "checkpoint").read_text(encoding="utf-8").split("\n")
    assert int(lines[1]) == size > 256
    hashes = []
    for number in range(-(-size // 256)):
        width = min(256, size - 256 * number)
        name = f"{number:03d}" + ("" if width == 256 else f".p/{width}")
        bundle = (tmp_path / "a" / "tile" / "entries" / name).read_bytes()
        leaves = []
        while bundle:
            length = int.from_bytes(bundle[:2], "big")
            leaves.append(bundle[2 : 2 + length])
            bundle = bundle[2 + length :]
        tile = b"".join(hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves)
        assert tile == (tmp_path / "a" / "tile" / "0" / name).read_bytes()
        hashes += [tile[at : at + 32] for at in range(0, len(tile), 32)]

    def mth(part: list[bytes]) -> bytes:
        if len(part) == 1:
            return part[0]
        half = 1 << (len(part) - 1).bit_length() - 1
        return hashlib.sha256(b"\x01" + mth(part[:half]) + mth(part[half:])).digest()

    assert mth(hashes) == root
    assert parse_note((tmp_path / "a" / "checkpoint").read_bytes())[0].root == root


# --- writing and verifying ----------------------------------------------------------------


@pytest.mark.parametrize("engine", ["raft", "pbft"])
def test_an_archive_that_grew_in_steps_is_the_one_made_at_once(
    tmp_path: Path, engine: str
) -> None:
    with opened(tmp_path / "data", engine) as chain:
        for blocks in (1, 7, 60, 200, 10):
            grow(chain, blocks, transactions=2)
            chain.certify()
            done = write(chain.store, chain.genesis, tmp_path / "steps", up_to=None)
            assert done.height == chain.book.tip.height
            assert verify(tmp_path / "steps", chain.genesis) == []
        write(chain.store, chain.genesis, tmp_path / "once", up_to=None)
    assert contents(tmp_path / "steps") == contents(tmp_path / "once")
    assert verify(tmp_path / "once", chain.genesis) == []


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_it_ends_at_a_certified_height_and_says_when_there_is_none(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as chain:
        chain.commit()
        with pytest.raises(ChartsealError, match="not-found"):
            write(chain.store, chain.genesis, tmp_path / "a", up_to=None)
        grow(chain, 10)
        assert write(chain.store, chain.genesis, tmp_path / "a", up_to=8).height == 6
        assert write(chain.store, chain.genesis, tmp_path / "a", up_to=3).height == 6
        assert write(chain.store, chain.genesis, tmp_path / "a", up_to=None).height == 9
        assert verify(tmp_path / "a", chain.genesis) == []


def test_a_flipped_bit_in_any_file_is_found_and_named(tmp_path: Path) -> None:
    rng = random.Random(5)
    with opened(tmp_path / "data", "pbft") as chain:
        grow(chain, 12, transactions=30)
        write(chain.store, chain.genesis, tmp_path / "a", up_to=None)
        founded = chain.genesis
    files = [path for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert len(files) == 10
    for path in files:
        sound = path.read_bytes()
        for _ in range(6):
            raw = bytearray(sound)
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
            path.write_bytes(raw)
            found = verify(tmp_path / "a", founded)
            assert found, path
            if path.name != layout.HEAD_NAME:  # a wrong size sends the reader elsewhere
                assert str(path) in {item.where for item in found}, (path, found)
        path.unlink()
        assert verify(tmp_path / "a", founded) != []
        path.write_bytes(sound)
    assert verify(tmp_path / "a", founded) == []


def test_an_archive_of_another_network_is_refused_and_found(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as chain:
        grow(chain, 3)
        write(chain.store, chain.genesis, tmp_path / "a", up_to=None)
    assert verify(tmp_path / "a", genesis("pbft")) != []
    with opened(tmp_path / "other", "pbft") as other:
        grow(other, 3)
        with pytest.raises(ChartsealError, match="foreign-data-dir"):
            write(other.store, other.genesis, tmp_path / "a", up_to=None)


def test_an_attempt_that_died_leaves_the_archive_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = layout.put
    with opened(tmp_path / "data") as chain:
        grow(chain, 30)
        write(chain.store, chain.genesis, tmp_path / "a", up_to=None)
        grow(chain, 30)
        for survives in range(20):
            left = survives

            def dying(path: Path, data: bytes) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    raise ChartsealError("file-unreadable", "the power is gone")
                real(path, data)

            monkeypatch.setattr(layout, "put", dying)
            try:
                write(chain.store, chain.genesis, tmp_path / "a", up_to=None)
            except ChartsealError:
                monkeypatch.setattr(layout, "put", real)
            else:
                break
            if json.loads((tmp_path / "a" / layout.HEAD_NAME).read_bytes())["height"] == 30:
                named = {
                    Path(item.where).name for item in verify(tmp_path / "a", chain.genesis)
                }
                assert named <= {layout.CHECKPOINT_NAME}
        assert survives > 4
        assert verify(tmp_path / "a", chain.genesis) == []


# --- pruned ledgers -----------------------------------------------------------------------


def test_what_was_pruned_comes_back_byte_by_byte(tmp_path: Path) -> None:
    with opened(tmp_path / "data", "pbft") as chain:
        grow(chain, 150)
        chain.certify()
        bodies = [block.body for block in chain.store.iter_blocks(1, 151)]
        write(chain.store, chain.genesis, tmp_path / "a", up_to=None)
        done = chain.store.prune(140)
        assert done is not None
        assert done.floor.lowest > use.STEP_BLOCKS
        grow(chain, 3)
        with pytest.raises(Pruned):
            write(chain.store, chain.genesis, tmp_path / "fresh", up_to=None)
        write(chain.store, chain.genesis, tmp_path / "a", up_to=None)  # it goes on, though
        brought = use.import_blocks(chain.store, tmp_path / "a")
        assert brought == done.floor.lowest - 1
        assert chain.store.lowest_body() == 1
        assert [block.body for block in chain.store.iter_blocks(1, 151)] == bodies
        assert check(chain.store).clean
        assert use.import_blocks(chain.store, tmp_path / "a") == 0
        founded = chain.genesis
    assert check_ledger(tmp_path / "data", founded).clean  # executed again from the first block


def test_part_of_it_can_be_brought_back_and_pruned_again(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as chain:
        grow(chain, 60)
        chain.certify()
        write(chain.store, chain.genesis, tmp_path / "a", up_to=None)
        done = chain.store.prune(50)
        assert done is not None
        use.import_blocks(chain.store, tmp_path / "a", down_to=20)
        assert chain.store.lowest_body() == 20
        assert check(chain.store).clean
        grow(chain, 60)
        again = chain.store.prune(110)
        assert again is not None
        assert check(chain.store).clean


def test_another_chains_archive_is_not_imported(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as chain, opened(tmp_path / "fork") as fork:
        grow(chain, 60)
        fork.commit(fork.tx(anchor("elsewhere")))
        grow(fork, 60)
        fork.certify()
        write(fork.store, fork.genesis, tmp_path / "a", up_to=None)
        assert chain.store.prune(50) is not None
        before = chain.store.lowest_body()
        with pytest.raises(ChartsealError, match="foreign-data-dir"):
            use.import_blocks(chain.store, tmp_path / "a")
        assert chain.store.lowest_body() == before
    with pytest.raises(ArchiveInvalid, match="missing"):
        use.receipt(tmp_path / "nothing", bytes(32))


def test_a_receipt_is_made_from_the_archives_files_alone(tmp_path: Path) -> None:
    with opened(tmp_path / "data", "pbft") as chain:
        grow(chain, 20)
        wanted = [chain.tx(anchor("one")), chain.tx(anchor("one"))]  # the second is refused
        chain.commit(*wanted)
        grow(chain, 40, transactions=9)
        write(chain.store, chain.genesis, tmp_path / "a", up_to=None)
        policy = policy_of(chain.genesis)
    codes = []
    for tx in wanted:
        made = use.receipt(tmp_path / "a", tx.txid)
        assert made is not None
        verified = receipts.verify_receipt(made, policy)
        codes.append(verified.code)
        assert made.transaction == tx.raw
    assert codes[0] == 0
    assert codes[1] != 0
    assert use.receipt(tmp_path / "a", bytes(32)) is None


# --- eras ---------------------------------------------------------------------------------


def lived(directory: Path) -> tuple[Eras, Store]:
    """Return a ledger whose members changed twice, so that no founder is left."""
    founded = eras_founded()
    store = Store.open(directory, network=founded.network, create=True)
    made = Eras(founded, store=store)
    for members in (("birch", "cedar", "dogwood"), ("dogwood", "elm", "fir")):
        for _ in range(3):
            made.block(2)
        made.certify()
        link = made.barrier(members)
        made.certify()
        store.save_links([(link.era.epoch, wire.encode(link))])
    for _ in range(3):
        made.block(2)
    made.certify()
    return made, store


def test_eras_without_any_founder_are_proven_from_the_founders_on(tmp_path: Path) -> None:
    made, store = lived(tmp_path / "data")
    with store:
        write(store, made.genesis, tmp_path / "a", up_to=None)
    assert verify(tmp_path / "a", made.genesis) == []


def test_a_lineage_that_lacks_a_link_or_is_anothers_is_found(tmp_path: Path) -> None:
    made, store = lived(tmp_path / "data")
    with store:
        write(store, made.genesis, tmp_path / "a", up_to=None)
    path = tmp_path / "a" / layout.LINEAGE_NAME
    whole = path.read_bytes()
    for links in ((), tuple(made.links[:1]), tuple(made.links[1:])):
        path.write_bytes(lineage.encode(Lineage(links)))
        assert verify(tmp_path / "a", made.genesis) != []
    path.write_bytes(whole)
    assert verify(tmp_path / "a", made.genesis) == []

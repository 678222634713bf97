"""The check finds every kind of damage it names, and nothing in a sound store."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from consensus import codec, wire
from storage import keys
from storage.blocks import Applied, BlockRow
from storage.check import (
    Code,
    Finding,
    check,
    expected_tiles,
    merkle_root,
)
from storage.errors import DataDirLocked, DataDirMissing, SchemaMismatch
from storage.level import LevelKV
from storage.segments import Pointer
from storage.store import Store
from tests.storage.chain import NETWORK, Chain, extend

BLOCKS = 5


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path, network=NETWORK, create=True) as opened:
        extend(opened, Chain(), BLOCKS)
        yield opened


def codes(store: Store) -> set[Code]:
    return {finding.code for finding in check(store).findings}


def overwrite(store: Store, key: bytes, value: bytes | None) -> None:
    store._kv.write([(key, value)], sync=True)


def change_row(store: Store, height: int, /, **changes: object) -> None:
    row = store.block(height)
    assert row is not None
    overwrite(store, keys.block(height), wire.encode(replace(row, **changes)))  # type: ignore[arg-type]


def body_place(store: Store, height: int) -> Pointer:
    row = store.block(height)
    assert row is not None
    raw = store._kv.get(keys.BODY + row.digest)
    assert raw is not None
    return Pointer.decode(raw)


def test_a_sound_store_checks_clean_and_everything_was_read(store: Store) -> None:
    store.save([], bodies=[(sha256(b"waiting").digest(), b"body")], sync=True)
    stages: list[tuple[str, int, int]] = []
    report = check(store, progress=lambda *step: stages.append(step))
    assert report.clean, report.findings
    assert report.blocks == BLOCKS
    assert report.records == BLOCKS + 1
    assert report.tiles == 1
    assert report.pairs == len(list(store.scan_all()))
    assert ("blocks", BLOCKS, BLOCKS) in stages
    assert ("segments", 0, 1) in stages


def test_an_empty_store_checks_clean(tmp_path: Path) -> None:
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        assert check(store).clean


def test_a_log_of_several_tiles_checks_clean(tmp_path: Path) -> None:
    with Store.in_memory(NETWORK, tmp_path) as store:
        extend(store, Chain(transactions=150), 4)
        report = check(store)
        assert report.clean, report.findings
        assert report.tiles == 4  # 604 leaves: two full, one partial, one above


def test_a_stopped_nodes_directory_is_checked_by_its_path(tmp_path: Path) -> None:
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        extend(store, Chain(), 2)
        with pytest.raises(DataDirLocked):
            check(tmp_path)
    report = check(tmp_path)
    assert (report.clean, report.blocks) == (True, 2)
    Store.open(tmp_path, network=NETWORK).close()


def test_what_is_no_ledger_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataDirMissing):
        check(tmp_path)
    LevelKV(tmp_path / "kv", create=True).close()
    with pytest.raises(SchemaMismatch):
        check(tmp_path)


def test_a_flipped_byte_in_a_body_is_found(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "segments" / "00000001.seg"
    raw = bytearray(path.read_bytes())
    raw[body_place(store, 3).offset + 50] ^= 0x80
    path.write_bytes(raw)
    report = check(store)
    assert [finding.code for finding in report.findings] == [
        Code.SEGMENT_CORRUPT,
        Code.BODY_CORRUPT,
    ]
    assert "block 3" in report.findings[1].where
    assert report.blocks == BLOCKS


def test_a_flipped_byte_in_leveldb_is_found(tmp_path: Path) -> None:
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        extend(store, Chain(), 50)
    kv = LevelKV(tmp_path / "kv", create=False)
    kv._source.compact_range()
    kv.close()
    for path in (tmp_path / "kv").glob("*.ldb"):
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
    report = check(tmp_path)
    assert [finding.code for finding in report.findings] == [Code.KV_UNREADABLE]


def test_a_directory_too_damaged_to_open_is_a_finding(tmp_path: Path) -> None:
    with Store.open(tmp_path, network=NETWORK, create=True) as store:
        extend(store, Chain(), 1)
    (tmp_path / "segments" / "00000001.seg").unlink()
    (finding,) = check(tmp_path).findings
    assert finding.code is Code.KV_UNREADABLE
    assert "00000001.seg" in finding.detail


def test_a_waiting_body_whose_pointer_leads_nowhere_is_found(store: Store) -> None:
    overwrite(store, keys.BODY + sha256(b"w").digest(), Pointer(1, 1 << 40, 9).encode())
    assert codes(store) == {Code.BODY_CORRUPT}


def header_of(store: Store, height: int, /, **changes: object) -> None:
    """Rewrite fields of a header and everything that names its digest at that height."""
    row = store.block(height)
    assert row is not None
    fields = codec.decode(row.header, size_max=4096)
    for name, value in changes.items():
        fields[{"network": 1, "height": 3, "parent": 4, "txids_root": 7}[name]] = value
    change_row(store, height, header=codec.encode(fields))


def reseal(store: Store, height: int, field: int, value: object) -> None:
    data = store.seal(height)
    assert data is not None
    tag = b"chartseal/seal/v1\0"
    fields = codec.decode(data.removeprefix(tag), size_max=4096)
    fields[field] = value
    overwrite(store, keys.seal(height), tag + codec.encode(fields))


def change_applied(store: Store) -> None:
    applied = store.applied()
    assert applied is not None
    changed: Applied = replace(applied, state_root=b"?" * 32)
    overwrite(store, keys.APPLIED, wire.encode(changed))


def bare_row(height: int) -> bytes:
    return wire.encode(BlockRow(height, b"", b"", b"", 0, 0, 0, b"", b"", 0, b""))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda s: overwrite(s, keys.BODY + s.block(2).digest, None), {Code.BODY_MISSING}),
        (lambda s: overwrite(s, keys.block(3), None), {Code.BLOCK_MISSING}),
        (lambda s: overwrite(s, keys.block(3), b"?"), {Code.BLOCK_UNREADABLE}),
        (
            lambda s: overwrite(s, keys.HEIGHT_OF + s.block(3).digest, keys.be64(4)),
            {Code.BLOCK_UNREADABLE},
        ),
        (
            lambda s: header_of(s, 3, parent=b"?" * 32),
            {Code.DIGEST_WRONG, Code.PARENT_BROKEN},
        ),
        (
            lambda s: header_of(s, 1, parent=b"?" * 32),
            {Code.DIGEST_WRONG, Code.PARENT_BROKEN},
        ),
        (
            lambda s: header_of(s, 3, network=b"?" * 32),
            {Code.DIGEST_WRONG, Code.HEADER_WRONG},
        ),
        (lambda s: header_of(s, 3, height=4), {Code.DIGEST_WRONG, Code.HEADER_WRONG}),
        (lambda s: change_row(s, 3, header=b"?"), {Code.DIGEST_WRONG, Code.HEADER_WRONG}),
        (lambda s: change_row(s, 3, txids=bytes(96)), {Code.TXIDS_WRONG}),
        (lambda s: change_row(s, 3, results=b"\0\1" * 3), {Code.SEAL_WRONG}),
        (lambda s: change_row(s, 3, state_height=2), {Code.SEAL_WRONG}),
        (
            lambda s: change_row(s, 3, first_index=9),
            {Code.SEAL_WRONG, Code.LOG_GAP},
        ),
        (lambda s: overwrite(s, keys.seal(3), None), {Code.SEAL_MISSING}),
        (lambda s: overwrite(s, keys.seal(3), s.seal(3)[5:]), None),
        (lambda s: reseal(s, 3, 1, b"?" * 32), {Code.SEAL_CHAIN_BROKEN}),
        (lambda s: reseal(s, 3, 2, b"?" * 32), {Code.SEAL_WRONG, Code.SEAL_CHAIN_BROKEN}),
        # a seal changed where only its successor can tell
        (lambda s: reseal(s, 3, 9, b"?" * 32), {Code.SEAL_CHAIN_BROKEN}),
        (lambda s: reseal(s, BLOCKS, 9, b"?" * 32), {Code.APPLIED_WRONG}),
        (lambda s: overwrite(s, keys.certificate(3), None), {Code.CERTIFICATE_MISSING}),
        (lambda s: overwrite(s, keys.tile(0, 0), None), {Code.TILE_WRONG}),
        (lambda s: overwrite(s, keys.tile(0, 0), s.tile(0, 0)[:-32]), {Code.TILE_WRONG}),
        (change_applied, {Code.APPLIED_WRONG}),
        (
            lambda s: overwrite(s, keys.block(BLOCKS + 1), bare_row(BLOCKS + 1)),
            {Code.APPLIED_WRONG},
        ),
    ],
)
def test_damage_is_found_and_named(
    store: Store, damage: Callable[[Store], None], expected: set[Code] | None
) -> None:
    assert codes(store) == set()
    damage(store)
    if expected is None:
        assert Code.SEAL_WRONG in codes(store)
    else:
        assert codes(store) == expected


def test_verifiers_add_what_only_the_ledger_can_know(store: Store) -> None:
    def leaves_are_odd(checked: Store) -> Iterable[Finding]:
        for block in checked.iter_blocks(1, 3):
            yield Finding(Code.LEDGER_WRONG, f"block {block.row.height}", "as planned")

    report = check(store, verifiers=[leaves_are_odd])
    assert [finding.where for finding in report.findings] == ["block 1", "block 2"]


@pytest.mark.parametrize(
    ("log_size", "tiles"),
    [
        (0, []),
        (1, [(0, 0, 1)]),
        (256, [(0, 0, 256), (1, 0, 1)]),
        (300, [(0, 0, 256), (0, 1, 44), (1, 0, 1)]),
        (65536, [*((0, n, 256) for n in range(256)), (1, 0, 256), (2, 0, 1)]),
    ],
)
def test_the_tiles_a_log_must_have(log_size: int, tiles: list[tuple[int, int, int]]) -> None:
    assert list(expected_tiles(log_size)) == tiles


def dumb_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = dumb_root(leaves[:split]), dumb_root(leaves[split:])
    return sha256(b"\x01" + left + right).digest()


@pytest.mark.parametrize("size", range(20))
def test_the_merkle_root_is_the_rfcs(size: int) -> None:
    leaves = [sha256(b"%d" % n).digest() for n in range(size)]
    assert merkle_root(leaves) == dumb_root(leaves)

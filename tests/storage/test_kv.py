"""The contract of the key-value seam, held by LevelDB and by its twin in memory."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import plyvel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.errors import Corrupt
from storage.kv import KV, MemoryKV
from storage.level import (
    CACHE_BYTES_MAX,
    OPEN_FILES_MAX,
    TABLE_BYTES_MAX,
    WRITE_BUFFER_BYTES,
    LevelKV,
)
from tests.support.manual import DOCS


@pytest.fixture(params=["memory", "leveldb"])
def kv(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KV]:
    store: KV = (
        MemoryKV() if request.param == "memory" else LevelKV(tmp_path / "kv", create=True)
    )
    yield store
    store.close()


def letters(kv: KV, text: str) -> None:
    kv.write([(bytes([ord(c)]), b"=" + bytes([ord(c)])) for c in text], sync=False)


def keys_of(pairs: Iterator[tuple[bytes, bytes]]) -> bytes:
    return b"".join(key for key, _ in pairs)


def test_what_was_written_is_read_and_what_was_not_is_none(kv: KV) -> None:
    kv.write([(b"a", b"1"), (b"b", b""), (b"", b"empty key")], sync=True)
    assert kv.get(b"a") == b"1"
    assert kv.get(b"b") == b""
    assert kv.get(b"c") is None
    assert kv.get_many([b"c", b"b", b"a", b""]) == [None, b"", b"1", b"empty key"]


def test_what_lies_under_a_prefix_is_read_in_order_and_no_more_than_asked_for(kv: KV) -> None:
    kv.write([(key, b"=" + key) for key in (b"a", b"ab", b"abc", b"ac", b"b")], sync=True)
    under = kv.get_under([b"b", b"a", b"c", b"ab", b"abcd"], 3)
    assert [keys_of(iter(pairs)) for pairs in under] == [b"b", b"aababc", b"", b"ababc", b""]
    assert kv.get_under([b"a"], 3)[0][1] == (b"ab", b"=ab")
    assert kv.get_under([], 3) == []


def test_a_batch_overwrites_deletes_and_lets_the_last_word_win(kv: KV) -> None:
    letters(kv, "ab")
    kv.write([(b"a", None), (b"b", b"1"), (b"b", b"2"), (b"c", b"3"), (b"c", None)], sync=False)
    assert kv.get_many([b"a", b"b", b"c"]) == [None, b"2", None]


def test_deleting_what_is_not_there_is_harmless(kv: KV) -> None:
    kv.write([(b"ghost", None)], sync=True)
    assert kv.get(b"ghost") is None


def test_a_batch_whose_source_raises_changes_nothing(kv: KV) -> None:
    def pairs() -> Iterator[tuple[bytes, bytes | None]]:
        yield b"a", b"1"
        raise RuntimeError("the caller's own fault")

    with pytest.raises(RuntimeError, match="own fault"):
        kv.write(pairs(), sync=True)
    assert kv.get(b"a") is None


def test_scan_includes_the_low_end_and_excludes_the_high_end(kv: KV) -> None:
    letters(kv, "dcbae")
    assert keys_of(kv.scan(b"b", b"d")) == b"bc"
    assert list(kv.scan(b"e", b"z")) == [(b"e", b"=e")]


def test_scan_goes_backwards_and_stops_at_the_limit(kv: KV) -> None:
    letters(kv, "abcde")
    assert keys_of(kv.scan(b"b", b"e", reverse=True)) == b"dcb"
    assert keys_of(kv.scan(b"a", b"z", limit=2)) == b"ab"
    assert keys_of(kv.scan(b"a", b"z", reverse=True, limit=2)) == b"ed"
    assert keys_of(kv.scan(b"a", b"z", limit=0)) == b""


def test_scan_of_an_empty_or_inverted_range_yields_nothing(kv: KV) -> None:
    letters(kv, "abc")
    assert keys_of(kv.scan(b"b", b"b")) == b""
    assert keys_of(kv.scan(b"c", b"a")) == b""


def test_scan_sees_the_moment_of_the_call(kv: KV) -> None:
    letters(kv, "abc")
    pairs = kv.scan(b"a", b"z")
    kv.write([(b"b", None), (b"d", b"new")], sync=False)
    assert keys_of(pairs) == b"abc"
    assert keys_of(kv.scan(b"a", b"z")) == b"acd"


def test_a_snapshot_keeps_its_moment_until_closed(kv: KV) -> None:
    letters(kv, "ab")
    snapshot = kv.snapshot()
    kv.write([(b"a", b"changed"), (b"b", None), (b"c", b"new")], sync=True)
    assert snapshot.get_many([b"a", b"b", b"c"]) == [b"=a", b"=b", None]
    assert keys_of(snapshot.scan(b"a", b"z", reverse=True)) == b"ba"
    assert snapshot.get(b"a") == b"=a"
    snapshot.close()
    snapshot.close()
    assert kv.get(b"a") == b"changed"


def test_size_grows_with_content_and_closing_twice_is_harmless(kv: KV) -> None:
    before = kv.approximate_bytes()
    kv.write([(b"%d" % n, b"v" * 100) for n in range(100)], sync=True)
    assert kv.approximate_bytes() >= before + 10_000
    kv.close()
    kv.close()


key_bytes = st.binary(max_size=3)
batches = st.lists(
    st.lists(st.tuples(key_bytes, st.none() | st.binary(max_size=3)), max_size=6), max_size=6
)


def test_backwards_finds_a_key_that_is_the_start_of_its_range(kv: KV) -> None:
    kv.write([(key, b"") for key in (b"", b"a1", b"k1", b"k2")], sync=False)
    for lo, hi, found in (
        (b"", b"\x00", [b""]),
        (b"a1", b"b", [b"a1"]),
        (b"k1", b"k2", [b"k1"]),
        (b"k1", b"l", [b"k2", b"k1"]),
        (b"b", b"c", []),
    ):
        assert [key for key, _ in kv.scan(lo, hi, reverse=True)] == found


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(batches=batches, lo=key_bytes, hi=key_bytes, reverse=st.booleans())
def test_any_history_reads_like_a_sorted_dictionary(
    kv: KV,
    batches: list[list[tuple[bytes, bytes | None]]],
    lo: bytes,
    hi: bytes,
    reverse: bool,
) -> None:
    kv.write([(key, None) for key, _ in list(kv.scan(b"", b"\xff" * 4))], sync=False)
    model: dict[bytes, bytes] = {}
    for batch in batches:
        kv.write(batch, sync=False)
        for key, value in batch:
            if value is None:
                model.pop(key, None)
            else:
                model[key] = value
    expected = sorted(((k, v) for k, v in model.items() if lo <= k < hi), reverse=reverse)
    assert list(kv.scan(lo, hi, reverse=reverse)) == expected
    assert kv.get_many([lo, hi]) == [model.get(lo), model.get(hi)]


def test_a_damaged_last_block_does_not_end_a_scan_in_silence(tmp_path: Path) -> None:
    """plyvel looks for damage only where a next pair is; at the end there is none."""
    path, count = tmp_path / "kv", 500
    with plyvel.DB(str(path), create_if_missing=True) as database:
        for number in range(count):
            database.put(b"%06d" % number, secrets.token_bytes(100))
        database.compact_range()
    (table,) = path.glob("*.ldb")
    content = bytearray(table.read_bytes())
    content[len(content) * 967 // 1000] ^= 0x40  # before filter, index and footer
    table.write_bytes(content)
    store = LevelKV(path, create=False)
    found = 0
    try:
        with pytest.raises(Corrupt):
            list(store.scan(b"", b"\xff"))
        for number in range(0, count, 10):
            try:
                (pairs,) = store.get_under([b"%05d" % (number // 10)], 11)
            except Corrupt:
                continue
            assert len(pairs) == 10, "never silently fewer"
            found += 1
    finally:
        store.close()
    assert 0 < found < count // 10


def test_the_manual_tells_what_leveldb_may_hold() -> None:
    cache, buffer, table = (
        size >> 20 for size in (CACHE_BYTES_MAX, WRITE_BUFFER_BYTES, TABLE_BYTES_MAX)
    )
    blocks, writes = (
        f"{cache} MiB of blocks",
        f"2 \N{MULTIPLICATION SIGN} {buffer} MiB of writes",
    )
    row = f"| LevelDB | {blocks}, {writes}, {OPEN_FILES_MAX:,} open tables of {table} MiB |"
    assert row in (DOCS / "limits.md").read_text()

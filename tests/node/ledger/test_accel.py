"""The two backends of the seam give the same answers, whatever the bytes are."""

import os
import subprocess
import sys
import threading
from dataclasses import FrozenInstanceError, replace
from itertools import product
from pathlib import Path
from random import Random
from types import SimpleNamespace

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.ledger import accel, crypto, merkle, pages, transaction
from node.ledger.accel import native, pure
from node.ledger.transaction import TransactionMalformed
from tests.node.ledger.test_crypto import ORDER, SMALL_ORDER
from tests.node.ledger.test_transaction import GOOD, PLAIN, SIGNERS, framed

ROOT = Path(__file__).parents[3]
KEYS = [crypto.Signer(bytes([number]) * 32) for number in range(3)]
LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(600)]
BYTES = st.binary(max_size=80)


@pytest.fixture(scope="module")
def both() -> None:
    if reason := native.unusable():
        pytest.skip(f"the native accelerator was not compared with the pure one: {reason}")


def item(number: int, *, message: bytes | None = None) -> tuple[bytes, bytes, bytes]:
    signer, signed = KEYS[number % 3], b"message %d" % number
    return signer.public_key, signed if message is None else message, signer.sign(signed)


# --- signatures ---------------------------------------------------------------------------


@pytest.mark.usefixtures("both")
def test_every_pattern_of_bad_signatures_is_found_by_halving() -> None:
    for size in range(8):
        for pattern in product([True, False], repeat=size):
            items = [
                item(at, message=None if good else b"another")
                for at, good in enumerate(pattern)
            ]
            assert native.verify_batch(items) == list(pattern)


@pytest.mark.usefixtures("both")
def test_one_bad_signature_spoils_no_other_in_a_large_batch() -> None:
    items = [item(at) for at in range(600)]
    for bad in (0, 299, 300, 599):
        changed = list(items)
        changed[bad] = item(bad, message=b"another")
        assert native.verify_batch(changed) == [at != bad for at in range(600)]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[bytes, bytes, bytes]:
    """A signature with at most one part bent: a bit, its length, or a point of small order."""
    parts = list(item(draw(st.integers(0, 8))))
    at = draw(st.integers(0, 2))
    part = bytearray(parts[at])
    match draw(st.sampled_from(["good", "bit", "cut", "small", "order", "garbage"])):
        case "bit":
            bit = draw(st.integers(0, len(part) * 8 - 1))
            part[bit // 8] ^= 1 << bit % 8
        case "cut":
            del part[draw(st.integers(0, len(part))) :]
        case "small" if at != 1:
            part[:32] = draw(st.sampled_from(SMALL_ORDER))
        case "order" if at == 2:
            shifted = int.from_bytes(part[32:], "little") + ORDER
            part[32:] = shifted.to_bytes(32, "little")
        case "garbage":
            part = bytearray(draw(BYTES))
    parts[at] = bytes(part)
    return parts[0], parts[1], parts[2]


@pytest.mark.usefixtures("both")
@settings(max_examples=300, deadline=None)
@given(st.lists(mutated(), max_size=12))
def test_bent_signatures_get_the_same_verdicts_alone_and_together(
    items: list[tuple[bytes, bytes, bytes]],
) -> None:
    expected = pure.verify_batch(items)
    assert native.verify_batch(items) == expected
    assert [native.verify_batch([one])[0] for one in items] == expected


@pytest.mark.usefixtures("both")
def test_points_of_small_order_among_good_and_bad_signatures() -> None:
    odd = [(key, b"m", point + bytes(32)) for key, point in product(SMALL_ORDER, SMALL_ORDER)]
    bent = [(key, b"m", point + b"\x01" + bytes(31)) for key, _, point in odd[:20]]
    items = [*odd, *(item(at) for at in range(50)), *bent, item(1, message=b"another")]
    Random(1).shuffle(items)
    assert native.verify_batch(items) == pure.verify_batch(items)


# --- Merkle trees -------------------------------------------------------------------------


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize("size", [*range(20), 255, 256, 257, 511, 512, 600])
def test_roots_of_every_shape_are_the_same(size: int) -> None:
    hashes = LEAVES[:size]
    row = b"".join(hashes)
    ranges = [(start, end) for end in range(0, size + 1, 7) for start in (0, end // 2, end)]
    assert native.merkle_root(hashes) == native.row_root(row) == pure.merkle_root(hashes)
    assert pure.row_root(row) == pure.merkle_root(hashes)
    assert native.roots_of_ranges(hashes, ranges) == pure.roots_of_ranges(hashes, ranges)
    for width in (1, 2, 3, 256):
        assert native.roots_of_runs(row, width) == pure.roots_of_runs(row, width)


@pytest.mark.usefixtures("both")
@given(st.lists(st.binary(min_size=32, max_size=32), max_size=70))
def test_the_root_over_the_items_of_a_row_is_that_over_their_leaf_hashes(
    items: list[bytes],
) -> None:
    row, expected = b"".join(items), pure.merkle_root(pure.leaf_hashes(items))
    for each in (native, pure):
        assert each.items_root(row) == expected
        with pytest.raises(ValueError, match="32"):
            each.items_root(row + b"x")


ROWS = st.lists(st.tuples(st.binary(max_size=6), st.none() | st.binary(max_size=3)))


@pytest.mark.usefixtures("both")
@given(st.binary(max_size=2), ROWS)
def test_rows_are_put_in_order_under_their_whole_keys(
    head: bytes, rows: list[tuple[bytes, bytes | None]]
) -> None:
    ordered = pure.sorted_rows(head, rows)
    assert native.sorted_rows(head, rows) == ordered
    keys = [key for key, _ in ordered]
    assert keys == sorted(head + key for key, _ in rows)
    # What a database makes of them, one put after the other, is what it was.
    assert dict(ordered) == {head + key: value for key, value in rows}


ITEMS = st.lists(
    st.tuples(
        st.binary(max_size=3),
        st.lists(st.binary(min_size=32, max_size=32), max_size=9).map(b"".join),
        st.binary(max_size=3),
        st.binary(max_size=3),
    )
)


@pytest.mark.usefixtures("both")
@given(st.binary(max_size=2), ROWS, ITEMS)
def test_rows_of_items_are_put_in_order_among_the_others(
    head: bytes, rows: list[tuple[bytes, bytes | None]], items: list[accel.Items]
) -> None:
    made = [
        (first + row[32 * number : 32 * number + 32] + tail + number.to_bytes(4, "big"), value)
        for first, row, tail, value in items
        for number in range(len(row) // 32)
    ]
    ordered = pure.sorted_rows(head, [*rows, *made])
    for each in (native, pure):
        assert each.sorted_rows(head, rows, items) == ordered
        with pytest.raises(ValueError, match="32"):
            each.sorted_rows(head, rows, [*items, (b"", b"x", b"", b"")])


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize("length", [*range(12), 40])
def test_keys_that_differ_late_or_only_in_length_are_in_order(length: int) -> None:
    names = [bytes(length) + last for last in (b"", b"\x00", b"\x00\x00", b"\x01", b"\xff")]
    rows = [(name, b"%d" % at) for at, name in enumerate([*names, *reversed(names)])]
    for each in (native, pure):
        ordered = each.sorted_rows(b"i", rows)
        assert ordered == sorted(
            ((b"i" + key, value) for key, value in rows), key=lambda row: row[0]
        )


@pytest.mark.usefixtures("both")
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_leaf_hashes_are_the_same(leaves: list[bytes]) -> None:
    assert native.leaf_hashes(leaves) == pure.leaf_hashes(leaves)


@pytest.mark.usefixtures("both")
@given(st.lists(st.integers(0, 40), max_size=8))
def test_frontiers_grow_alike(steps: list[int]) -> None:
    size, peaks = 0, b""
    for step in steps:
        added = LEAVES[size : size + step]
        grown = native.extend_frontier(size, peaks, added)
        assert grown == pure.extend_frontier(size, peaks, added)
        size, peaks = size + step, grown
    assert len(peaks) == 32 * size.bit_count()


def test_what_is_no_row_of_hashes_is_refused_alike(each_backend: str) -> None:
    for call in (
        lambda: accel.merkle_root([LEAVES[0], b"short"]),
        lambda: accel.row_root(bytes(33)),
        lambda: accel.roots_of_runs(bytes(31), 1),
        lambda: accel.roots_of_runs(bytes(32), 0),
        lambda: accel.roots_of_runs(bytes(32), -1),
        lambda: accel.roots_of_ranges(LEAVES[:2], [(0, 3)]),
        lambda: accel.roots_of_ranges(LEAVES[:2], [(2, 1)]),
        lambda: accel.roots_of_ranges(LEAVES[:2], [(-1, 1)]),
        lambda: accel.extend_frontier(1, b"", LEAVES[:1]),
        lambda: accel.extend_frontier(0, b"", [b"short"]),
        lambda: accel.extend_frontier(-1, LEAVES[0], LEAVES[:1]),
        lambda: accel.extend_frontier((1 << 63) + 1, b"".join(LEAVES[:2]), LEAVES[:1]),
        lambda: accel.update_state([], lambda _: None),
    ):
        with pytest.raises(ValueError, match=r"hashes|peaks|changes"):
            call()


# --- state --------------------------------------------------------------------------------


class Pages(dict[bytes, bytes]):
    """Stored pages that remember which of them were read."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bytes] = []

    def read(self, name: bytes) -> bytes | None:
        self.asked.append(name)
        return self.get(name)


NAMES = [b"key-%d" % number for number in range(60)]
CHANGES = st.dictionaries(st.sampled_from(NAMES), st.none() | BYTES, min_size=1, max_size=40)


@pytest.mark.usefixtures("both")
@settings(max_examples=150, deadline=None)
@given(st.lists(CHANGES, max_size=6))
def test_state_updates_have_the_same_root_reads_and_writes(
    batches: list[dict[bytes, bytes | None]],
) -> None:
    stored = Pages()
    for batch in batches:
        expected = pure.update_state(list(batch.items()), pages.one_by_one(stored.read))
        asked = sorted(stored.asked)
        stored.asked = []
        assert (
            native.update_state(list(batch.items()), pages.one_by_one(stored.read)) == expected
        )
        assert sorted(stored.asked) == asked
        stored.asked = []
        for name, page in expected[1]:
            stored.pop(name, None)
            if page is not None:
                stored[name] = page


@pytest.mark.usefixtures("both")
def test_a_large_state_has_the_same_pages_after_every_batch() -> None:
    random, stored = Random(3), Pages()
    keys = [b"%d" % number for number in range(4_000)]
    for _ in range(8):
        batch = [(key, random.choice([None, b"a", b"b"])) for key in random.sample(keys, 900)]
        after = native.update_state(batch, pages.one_by_one(stored.get))
        assert after == pure.update_state(batch, pages.one_by_one(stored.get))
        for name, page in after[1]:
            stored.pop(name, None)
            if page is not None:
                stored[name] = page
    assert len(stored) > 200


@pytest.mark.usefixtures("both")
def test_damaged_pages_are_refused_in_the_same_words() -> None:
    stored = Pages()
    changes = [(name, b"v") for name in NAMES]
    for name, page in pure.update_state(changes, pages.one_by_one(stored.get))[1]:
        assert page is not None
        stored[name] = page
    later = [(name, b"w") for name in NAMES]
    for name, page in list(stored.items()):
        others = [other for key, other in stored.items() if key[:1] == name[:1]]
        bent = bytearray(page)
        bent[len(page) // 2] ^= 1
        for damaged in (bytes(bent), page[:-1], page[:1], page[:3], b"", None, others[0]):
            if damaged == page:
                continue
            stored[name] = damaged  # type: ignore[assignment]
            said = [refusal(backend, later, stored) for backend in (pure, native)]
            # An empty root page is no tree; every other damage is told.
            assert said[0] == said[1]
            assert said[0] or (damaged is None and name == b"\x00")
        stored[name] = page


def refusal(backend: accel.Backend, changes: list[tuple[bytes, bytes]], stored: Pages) -> str:
    try:
        backend.update_state(changes, pages.one_by_one(stored.get))
    except pages.PageCorrupt as damage:
        return str(damage)
    return ""


def test_a_failing_read_ends_the_update_with_its_own_error(each_backend: str) -> None:
    def fail(_name: bytes) -> bytes | None:
        raise OSError("the disk failed")

    with pytest.raises(OSError, match="the disk failed"):
        accel.update_state([(b"k", b"v")], pages.one_by_one(fail))


# --- transactions -------------------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(max_size=40)
    | st.binary(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=20)
        | st.dictionaries(st.text(max_size=3) | st.binary(max_size=2), inner, max_size=4)
    ),
    max_leaves=20,
)
EDGES = [
    *(msgpack.packb(1 << bits) for bits in range(64)),
    *(msgpack.packb((1 << bits) - 1) for bits in range(65)),
    *(msgpack.packb(-(1 << bits)) for bits in range(64)),
    *(msgpack.packb(-(1 << bits) - 1) for bits in range(63)),
    *(msgpack.packb(kind * size) for kind in (b"x", "x", [0]) for size in
      (0, 15, 16, 31, 32, 255, 256, 65_535, 65_536)),
    *(b"\x91" * depth + b"\xc0" for depth in range(14, 20)),
    *(b"\x91" * depth + b"\x80" for depth in range(14, 20)),
    *(b"\x81\xa1k" * depth + b"\xc0" for depth in range(14, 20)),
    *(msgpack.packb({f"{at:05}": at for at in range(size)}) for size in (15, 16, 65_536)),
    b"\x81\xa1\xff\x01", b"\xa3\xed\xa0\x80", b"\xa4\xf4\x90\x80\x80", b"\xa2\xc0\x80",
    b"\x82\xa1a\x01\xa1a\x02", b"\x82\xa1b\x01\xa1a\x02", b"\x82\xa0\x01\xa1a\x02",
    b"\x81\xc4\x01a\x01", b"\x81\x01\x01", b"\xc1", b"\xc7\x00\x01", b"\xd6\xff" + bytes(4),
    b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"",
    *(bytes([head]) + body for head in range(0xC0, 0xE0)
      for body in (b"", bytes(9), b"\x00\x01a", b"\xff" * 8, b"\x7f" * 4, b"\x80\x00")),
]  # fmt: skip


@pytest.mark.usefixtures("both")
def test_every_edge_of_the_canonical_form_is_judged_alike() -> None:
    verdicts = pure.are_canonical(EDGES)
    assert native.are_canonical(EDGES) == verdicts
    assert 250 < sum(verdicts) < len(EDGES) - 100


@pytest.mark.usefixtures("both")
@settings(max_examples=400, deadline=None)
@given(VALUES, st.integers(0, 1 << 20), st.integers(0, 255))
def test_values_and_bent_values_are_judged_alike(value: object, at: int, byte: int) -> None:
    raw = msgpack.packb(value)
    bent = bytearray(raw)
    bent[at % len(bent)] = byte
    raws = [raw, bytes(bent), raw[: at % len(raw)], raw + b"\xc0"]
    assert native.are_canonical(raws) == pure.are_canonical(raws)


def told(backend: accel.Backend, raws: list[bytes]) -> list[object]:
    return [shown(found) for found in backend.open_batch(raws)]


def shown(found: transaction.Opened | TransactionMalformed) -> object:
    return str(found) if isinstance(found, TransactionMalformed) else found


def accepted(raws: list[bytes]) -> list[bool]:
    """Return what the wheel itself takes, before the slow way has its word."""
    made = native._wheel.open_batch(
        raws, transaction.Transaction, transaction.Payload, transaction.Op
    )
    return [item is not None for item in made]


def judged_alike(raws: list[bytes]) -> list[bool]:
    """Return which are transactions, after both backends and the wheel alone said the same."""
    expected = pure.open_batch(raws)
    assert told(native, raws) == [shown(found) for found in expected]
    good = [not isinstance(found, TransactionMalformed) for found in expected]
    assert accepted(raws) == good
    return good


@pytest.mark.usefixtures("both")
@given(st.integers(1, 3), st.integers(0, 1 << 20), st.integers(0, 255))
def test_bent_frames_are_opened_alike(signers: int, at: int, byte: int) -> None:
    raw = transaction.sign(GOOD, *SIGNERS[:signers])
    bent = bytearray(raw)
    bent[at % len(bent)] = byte
    raws = [raw, bytes(bent), raw[: at % len(raw)], raw + bytes([byte]), b"", bytes(65_536)]
    assert judged_alike(raws)[0]


FIELDS = [
    st.sampled_from([1, 0, 2, True, None, b"\x01"]),
    st.sampled_from([bytes(32), bytes(31), bytes(33), "0" * 32]),
    st.sampled_from(
        ["alder", "a", "a-b", "-a", "", "A", "a_b", "a" * 63, "a" * 64, "\u00e4", 1]
    )
    | st.text("ab-09.\n", max_size=4),
    st.sampled_from([0, 1000, (1 << 63) - 1, 1 << 63, -1, None, False]),
    st.sampled_from([bytes(8), bytes(7), "00000000"]),
]
KINDS = (
    st.sampled_from(
        ["record.anchor", "a.b.c", "a", "a.", ".a", "a..b", "", "A.b", "a.b\n", "a1.b"]
    )
    | st.sampled_from(["\u00df.a", "a." + "b" * 62, "a." + "b" * 63, 7])
    | st.text("ab.", max_size=6)
)
OPS = st.lists(
    st.tuples(KINDS, st.lists(VALUES, max_size=3) | VALUES).map(list)
    | st.lists(VALUES, max_size=3),
    max_size=3,
)


@pytest.mark.usefixtures("both")
@settings(max_examples=400, deadline=None)
@given(st.tuples(*FIELDS), OPS, st.sampled_from([None, 0, 1, 2, 3, 4]), st.booleans())
def test_payloads_are_judged_and_read_alike(
    odd: tuple[object, ...], ops: list[object], bent: int | None, whole: bool
) -> None:
    """At most one field is odd: a payload with two faults would hide one of them."""
    fields = [*PLAIN[:5], ops]
    if bent is not None:
        fields[bent] = odd[bent]
    good_ops = [*PLAIN[:5], [["a.b", [item]] for item in ops]]
    raws = [framed(msgpack.packb(item)) for item in (fields, good_ops, fields[:5])]
    judged_alike(raws)


@pytest.mark.usefixtures("both")
def test_the_bounds_of_operations_and_organisations_are_the_same() -> None:
    def payload(at: int, value: object) -> bytes:
        return framed(msgpack.packb([*PLAIN[:at], value, *PLAIN[at + 1 :]]))

    op = ["a.b", []]
    raws = [payload(5, [op] * count) for count in (0, 1, 512, 513)]
    raws += [payload(2, "a" * size) for size in (0, 1, 63, 64)]
    raws += [payload(5, [["a." + "b" * size, []]]) for size in (0, 1, 62, 63)]
    raws += [payload(3, height) for height in (-1, 0, (1 << 63) - 1, 1 << 63)]
    assert judged_alike(raws) == [False, True, True, False] * 4


def test_records_made_natively_are_like_any_other(each_backend: str) -> None:
    raw = transaction.sign(GOOD, *SIGNERS)
    ((made, _),) = transaction.open_all([raw])
    assert made == transaction.parse(raw)
    assert (hash(made.txid), repr(made)) == (hash(made.txid), repr(transaction.parse(raw)))
    assert type(made) is transaction.Transaction
    assert replace(made.payload, org="birch").org == "birch"
    with pytest.raises(FrozenInstanceError):
        made.raw = b""  # type: ignore[misc]
    for record in (transaction.Transaction, transaction.Payload, transaction.Op):
        assert not hasattr(record, "__post_init__"), "it would not be called"
        assert record.__mro__ == (record, object), "the wheel makes these without __new__"


def alone(raw: bytes) -> transaction.Opened | TransactionMalformed:
    try:
        return transaction.parse(raw), transaction.slice_frame(raw).checks
    except TransactionMalformed as error:
        return error


def test_a_batch_gives_what_each_gives_alone(each_backend: str) -> None:
    raws = [transaction.sign(GOOD, *SIGNERS[:number]) for number in (1, 2, 3)]
    raws += [raws[0][:-1], b"nonsense", framed(msgpack.packb([2, *PLAIN[1:]])), framed(b"\x91")]
    for raw, found in zip(raws, transaction.open_batch(raws), strict=True):
        assert shown(found) == shown(alone(raw))
    assert transaction.open_all(raws[:3]) == transaction.open_batch(raws[:3])
    with pytest.raises(TransactionMalformed, match="length does not match"):
        transaction.open_all(raws)


# --- which backend ------------------------------------------------------------------------


CALLS_MAX = 2000


def test_a_call_frees_other_threads_exactly_when_it_says_so(each_backend: str) -> None:
    items = [item(at) for at in range(500)]
    turns, ended, interval = [0], threading.Event(), sys.getswitchinterval()

    def count() -> None:
        while not ended.is_set():
            turns[0] += 1
            Path("/").stat()  # a system call: gives the lock away by itself

    counter = threading.Thread(target=count)
    sys.setswitchinterval(1000)  # from here on nobody is made to give the lock away
    try:
        counter.start()
        # A busy machine may have no core for the other thread during one call, or some; a
        # call that keeps the lock lets it run in none.
        freed = False
        for _ in range(CALLS_MAX if accel.releases_lock() else 5):
            before = turns[0]
            verdicts = accel.verify_batch(items)
            freed = freed or turns[0] > before
            if freed:
                break
    finally:
        sys.setswitchinterval(interval)
        ended.set()
        counter.join()
    assert all(verdicts)
    assert freed is accel.releases_lock()


def test_a_wheel_of_another_interface_is_not_used() -> None:
    assert native.unusable(None) == "the package chartseal-native is not installed"
    reason = native.unusable(SimpleNamespace(ABI=native.ABI + 1))
    assert reason == f"the installed chartseal-native has interface {native.ABI + 1}, " + (
        f"this software needs {native.ABI}"
    )
    assert native.unusable(SimpleNamespace(ABI=native.ABI)) is None


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "CHARTSEAL_ACCEL"}
    return subprocess.run(
        [sys.executable, "-m", "node", *arguments],
        cwd=ROOT, env=kept | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def foreign(tmp_path: Path) -> str:
    """A directory whose chartseal_native speaks an interface of the future."""
    (tmp_path / "chartseal_native.py").write_text("ABI = 999\nVERSION = '9.9'\n")
    return str(tmp_path)


def test_without_a_fitting_wheel_the_pure_backend_serves_and_says_why(foreign: str) -> None:
    shown = run("version", PYTHONPATH=foreign)
    assert shown.returncode == 0
    assert "pure (the installed chartseal-native has interface 999" in shown.stdout


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_forced_backend_that_is_missing_ends_the_start(foreign: str, how: str) -> None:
    done = (
        run("--accel", "native", "version", PYTHONPATH=foreign)
        if how == "option"
        else run("version", PYTHONPATH=foreign, CHARTSEAL_ACCEL="native")
    )
    assert (done.returncode, done.stdout) == (78, "")
    assert "accelerator-missing" in done.stderr
    assert "has interface 999" in done.stderr


def test_the_pure_backend_can_be_forced() -> None:
    assert "accelerator  pure (" in run("version", CHARTSEAL_ACCEL="pure").stdout
    assert run("version", CHARTSEAL_ACCEL="fast").returncode == 2

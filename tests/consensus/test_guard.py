"""SignGuard: a second, different statement never gets a signature, restart or not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.guard import PREFIX, GuardRefused, SignGuard
from consensus.types import Delete, Put, Record, Statement

A, B = b"a" * 32, b"b" * 32


def statement(kind: str, at: int, height: int = 0, digest: bytes = A) -> Statement:
    return Statement(kind, 1, at, height, digest, b"signed")


class Store:
    """The records of a guard on a disk, as the driver would write them."""

    def __init__(self) -> None:
        self.pairs: dict[bytes, bytes] = {}

    def write(self, records: tuple[Record, ...]) -> None:
        for record in records:
            assert isinstance(record, Put | Delete)
            assert record.key.startswith(PREFIX)
            if isinstance(record, Put):
                self.pairs[record.key] = record.value
            else:
                del self.pairs[record.key]

    def guard(self) -> SignGuard:
        return SignGuard(self.pairs.items())


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.mark.parametrize("kind", ["vote", "prepare", "commit", "view-change", "suspect"])
def test_a_second_digest_in_one_slot_is_refused(store: Store, kind: str) -> None:
    guard = store.guard()
    store.write(guard.admit(statement(kind, 3, 7)))
    for holder in (guard, store.guard()):  # the running one, and the one after a restart
        with pytest.raises(GuardRefused, match=kind):
            holder.admit(statement(kind, 3, 7, B))


def test_repeating_a_statement_is_allowed_and_writes_nothing(store: Store) -> None:
    guard = store.guard()
    store.write(guard.admit(statement("commit", 3, 7)))
    assert guard.admit(statement("commit", 3, 7)) == ()
    assert store.guard().admit(statement("commit", 3, 7)) == ()


def test_prepare_and_commit_are_different_slots(store: Store) -> None:
    guard = store.guard()
    assert guard.admit(statement("prepare", 3, 7, A))
    assert guard.admit(statement("commit", 3, 7, B))


def test_one_vote_in_a_term_and_none_in_an_earlier_one(store: Store) -> None:
    guard = store.guard()
    store.write(guard.admit(statement("vote", 5)))
    for holder in (guard, store.guard()):
        with pytest.raises(GuardRefused, match="newer"):
            holder.admit(statement("vote", 4, digest=B))
    store.write(guard.admit(statement("vote", 6, digest=B)))
    assert len(store.pairs) == 1, "only the newest vote is kept"


def test_a_view_that_was_left_gets_no_more_votes(store: Store) -> None:
    guard = store.guard()
    store.write(guard.admit(statement("view-change", 4)))
    for holder in (guard, store.guard()):
        for kind in ("prepare", "commit"):
            with pytest.raises(GuardRefused, match="left"):
                holder.admit(statement(kind, 3, 9))
    assert guard.admit(statement("prepare", 4, 9))


def test_what_was_said_before_the_view_was_left_may_be_repeated(store: Store) -> None:
    guard = store.guard()
    store.write(guard.admit(statement("commit", 3, 9)))
    store.write(guard.admit(statement("view-change", 4)))
    assert store.guard().admit(statement("commit", 3, 9)) == ()


def test_suspicion_outlives_the_view(store: Store) -> None:
    guard = store.guard()
    guard.admit(statement("view-change", 4))
    assert guard.admit(statement("suspect", 3, 9))


def test_pruning_forgets_slots_but_never_signs_below_the_floor_again(store: Store) -> None:
    guard = store.guard()
    for height in range(1, 6):
        store.write(guard.admit(statement("prepare", 1, height)))
        store.write(guard.admit(statement("commit", 1, height)))
    store.write(guard.prune(3))
    assert len(store.pairs) == 2 * 2 + 1, "heights 4 and 5, and the floor"
    for holder in (guard, store.guard()):
        for height in (1, 3):
            with pytest.raises(GuardRefused, match="pruned"):
                holder.admit(statement("commit", 1, height, B))
        with pytest.raises(GuardRefused, match="already"):
            holder.admit(statement("commit", 1, 4, B))


def test_the_floor_only_rises(store: Store) -> None:
    guard = store.guard()
    store.write(guard.prune(9))
    assert guard.prune(9) == ()
    assert guard.prune(4) == ()
    with pytest.raises(GuardRefused, match="pruned"):
        store.guard().admit(statement("prepare", 1, 9))


def test_epochs_come_before_rounds(store: Store) -> None:
    guard = store.guard()
    guard.admit(Statement("view-change", 1, 9, 0, A, b""))
    assert guard.admit(Statement("view-change", 2, 1, 0, B, b""))
    with pytest.raises(GuardRefused):
        guard.admit(Statement("prepare", 1, 9, 3, A, b""))
    assert guard.admit(Statement("prepare", 2, 1, 3, A, b""))


requests = st.lists(
    st.tuples(
        st.sampled_from(["vote", "prepare", "commit", "view-change", "new-view", "suspect"]),
        st.integers(1, 4),
        st.integers(1, 4),
        st.sampled_from([A, B]),
        st.booleans(),
    ),
    max_size=40,
)


@given(requests)
def test_no_slot_is_ever_granted_two_digests(
    asked: list[tuple[str, int, int, bytes, bool]],
) -> None:
    store = Store()
    guard = store.guard()
    granted: dict[tuple[str, int, int], bytes] = {}
    for kind, at, height, digest, then_restart in asked:
        if kind in ("vote", "view-change", "new-view"):
            height = 0
        try:
            store.write(guard.admit(statement(kind, at, height, digest)))
        except GuardRefused:
            continue
        assert granted.setdefault((kind, at, height), digest) == digest
        if height == 4:
            store.write(guard.prune(2))
        if then_restart:
            guard = store.guard()

"""``select`` against a slow reference that tries every chain of certificates."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from consensus.certs import PreparedCert, SuspectCert, proposal_hash
from consensus.pbft.messages import ViewChange
from consensus.pbft.select import select
from consensus.types import Proposal
from tests.consensus.pbft.harness import NETWORK, block

SUSPICION = SuspectCert(1, 0, 1, b"\x07", (b"s",) * 3)


def final_chain(height: int) -> bytes:
    tip = NETWORK
    for at in range(1, height + 1):
        tip = block(at, tip).digest
    return tip


def change(signer: str, height: int, found: tuple[int, str] | None) -> ViewChange:
    """A view change on the one final chain, with at most one prepared (view, note)."""
    tip = final_chain(height)
    prepared: tuple[PreparedCert, ...] = ()
    if found is not None:
        view, note = found
        proposal = block(height + 1, tip, note)
        prepared = (PreparedCert(1, view, proposal, b"\x07", (b"s",) * 3),)
    return ViewChange(1, 9, height, tip, b"c", prepared, SUSPICION, signer)


def reference(changes: list[ViewChange]) -> tuple[int, tuple[Proposal, ...]]:
    """Try every subset of one certificate per height; keep the chain that wins by rule."""
    base = max(item.height for item in changes)
    tip = next(item.digest for item in changes if item.height == base)
    certificates = [c for item in changes for c in item.prepared]
    chains: list[tuple[PreparedCert, ...]] = [()]
    for length in (1, 2):
        for chain in product(certificates, repeat=length):
            links = [tip, *(c.proposal.digest for c in chain)]
            heights = [c.proposal.height for c in chain]
            if heights == list(range(base + 1, base + 1 + length)) and all(
                c.proposal.parent == links[i] for i, c in enumerate(chain)
            ):
                chains.append(chain)

    def worth(chain: tuple[PreparedCert, ...]) -> list[tuple[int, bytes]]:
        return [(c.view, proposal_hash(c.proposal)) for c in chain]

    best = max(chains, key=worth)
    return base, tuple(c.proposal for c in best)


found_at = st.none() | st.tuples(st.integers(0, 4), st.sampled_from("ab"))


@given(st.lists(st.tuples(st.integers(0, 3), found_at), min_size=1, max_size=5))
def test_selection_equals_the_reference_in_any_order(
    parts: list[tuple[int, tuple[int, str] | None]],
) -> None:
    changes = [change(f"m{i}", height, found) for i, (height, found) in enumerate(parts)]
    chosen = select(changes)
    assert (chosen.height, chosen.chosen) == reference(changes)
    assert select(reversed(changes)) == chosen
    assert set(chosen.holders) == {c.signer for c in changes if c.height == chosen.height}


def test_the_highest_view_wins_not_the_first_or_the_most_frequent() -> None:
    changes = [
        change("a", 0, (1, "old")),
        change("b", 0, (1, "old")),
        change("c", 0, (2, "new")),
    ]
    assert select(changes).chosen == (block(1, NETWORK, "new"),)
    assert select(changes[::-1]).chosen == (block(1, NETWORK, "new"),)


def test_a_certificate_at_or_below_the_final_height_is_not_carried_over() -> None:
    changes = [change("a", 0, (3, "")), change("b", 1, None)]
    selection = select(changes)
    assert (selection.height, selection.chosen, selection.holders) == (1, (), ("b",))


def test_nothing_is_carried_over_beyond_a_barrier() -> None:
    barrier = block(1, NETWORK, barrier=True)
    beyond = block(2, barrier.digest)
    prepared = tuple(
        PreparedCert(1, 3, each, b"\x07", (b"s",) * 3) for each in (barrier, beyond)
    )
    change = ViewChange(1, 9, 0, NETWORK, b"", prepared, SUSPICION, "a")
    assert select([change]).chosen == (barrier,)


def test_a_certificate_off_the_final_chain_is_not_carried_over() -> None:
    stray = block(2, block(1, NETWORK, "other").digest)
    prepared = (PreparedCert(1, 3, stray, b"\x07", (b"s",) * 3),)
    wrong = ViewChange(1, 9, 0, NETWORK, b"", prepared, SUSPICION, "a")
    assert select([wrong, change("b", 1, None)]).chosen == ()

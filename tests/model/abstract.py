"""The words of ``ChainPBFT.tla`` in Python: chains as tuples, certificates, view changes.

Owns an independent transcription of the operators ``Select`` and ``Contiguous``, the exhaustive
list of small inputs, and the way from an abstract input to the engine's records and back.
Only ``engine`` calls the engine's own selection.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement, product

from consensus.certs import PreparedCert, SuspectCert
from consensus.pbft.messages import ViewChange
from consensus.pbft.select import select as engine_select
from consensus.types import Proposal
from tests.consensus.pbft.harness import NETWORK, block

Chain = tuple[str, ...]
Cert = tuple[int, Chain]  # <<view, block>>: the block is the chain up to its height

VALUES = ("a", "b")
VIEWS = (0, 1)
HEIGHT_MAX = 3
LINEAGE = SuspectCert(1, 8, 1, b"\x07", (b"s",) * 3)


@dataclass(frozen=True)
class Word:
    """What one view change shows: its final chain and contiguous certificates beyond it."""

    base: Chain
    certs: tuple[Cert, ...]


def select(chain: Chain, certs: frozenset[Cert]) -> set[Chain]:
    """Operator ``Select``: every outcome; more than one only when more than f members lie."""
    linked = {(v, b) for v, b in certs if len(b) == len(chain) + 1 and b[:-1] == chain}
    if not linked:
        return {chain}
    highest = max(view for view, _ in linked)
    return set().union(*(select(b, certs) for view, b in linked if view == highest))


def outcomes(words: Iterable[Word]) -> set[Chain]:
    """What ``NewViews`` lets a new view carry over, of exactly these view changes."""
    words = tuple(words)
    longest = max(len(word.base) for word in words)
    certs = frozenset(cert for word in words for cert in word.certs)
    bases = {word.base for word in words if len(word.base) == longest}
    return set().union(*(select(base, certs) for base in bases))


def contiguous(chain: Chain, votes: frozenset[Cert]) -> set[Cert]:
    """Operator ``Contiguous``: per height the newest certificate, while they chain."""
    at = {(v, b) for v, b in votes if len(b) == len(chain) + 1}
    newest = {(v, b) for v, b in at if v == max(view for view, _ in at)}
    found = {(v, b) for v, b in newest if b[:-1] == chain}
    return found.union(*(contiguous(b, votes) for _, b in found))


def words(*, window: int) -> list[Word]:
    """Return every view change within the bounds, on one final chain.

    The values are symmetric, so the final chain may be the one of first values.
    """
    found = []
    for height in range(HEIGHT_MAX + 1):
        base = (VALUES[0],) * height
        for length in range(min(window, HEIGHT_MAX - height) + 1):
            for parts in product(product(VIEWS, VALUES), repeat=length):
                chain, certs = base, []
                for view, value in parts:
                    chain = (*chain, value)
                    certs.append((view, chain))
                found.append(Word(base, tuple(certs)))
    return found


def inputs(first: Word, rest: list[Word], *, more_max: int) -> Iterator[tuple[Word, ...]]:
    """Return ``first`` with up to ``more_max`` of ``rest``, orders left out."""
    for more in range(more_max + 1):
        for others in combinations_with_replacement(rest, more):
            yield (first, *others)


@cache
def proposal(chain: Chain) -> Proposal:
    """The engine's block for ``chain``."""
    return block(len(chain), digest(chain[:-1]), chain[-1])


@cache
def digest(chain: Chain) -> bytes:
    return proposal(chain).digest if chain else NETWORK


@cache
def certificate(view: int, chain: Chain) -> PreparedCert:
    return PreparedCert(1, view, proposal(chain), b"\x07", (b"s",) * 3)


def view_change(word: Word, position: int) -> ViewChange:
    """The engine's record of ``word``; selection looks at neither signature nor lineage."""
    prepared = tuple(certificate(view, chain) for view, chain in word.certs)
    base = digest(word.base)
    return ViewChange(1, 9, len(word.base), base, b"c", prepared, LINEAGE, f"m{position}", b"s")


def engine(words: Sequence[Word]) -> Chain:
    """Return the chain that ``consensus.pbft.select`` selects from ``words``."""
    records = [view_change(word, position) for position, word in enumerate(words)]
    found = engine_select(records)
    base = max((word.base for word in words), key=len)
    assert found.height == len(base)
    assert set(found.holders) == {r.signer for r in records if r.height == found.height}
    return chain_of(base, found.chosen)


def chain_of(base: Chain, chosen: tuple[Proposal, ...]) -> Chain:
    """Return what the engine chose in the model's words; wrong links raise."""
    chain = base
    for each in chosen:
        (value,) = [v for v in VALUES if proposal((*chain, v)) == each]
        chain = (*chain, value)
    return chain

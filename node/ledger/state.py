"""State: what the rules know, as keys and values, and how a block changes it.

Keys are ``prefix/...`` in bytes, values canonical records.  Rules read through an ``Overlay``
and write into it; a transaction's overlay is merged when all its operations pass and dropped
otherwise, which is what makes operations atomic.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

from consensus import codec, wire
from consensus.frozen import dataclass
from node.ledger.genesis import Genesis, Institution, Parameters, Voters, voters_of
from node.ledger.policies import Policy

VALUE_BYTES_MAX: Final = 1 << 16
PARAMETERS_KEY: Final = b"parameters"
ENGINE_KEY: Final = b"engine"
EPOCH_KEY: Final = b"epoch"
INSTITUTION_PREFIX: Final = b"institution/"
SUSPENDED_PREFIX: Final = b"suspended/"
INSTITUTIONS_KEY: Final = b"institutions"
SIGNER_PREFIX: Final = b"signer/"
VOTERS_PREFIX: Final = b"voters/"

T = TypeVar("T")
Read = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class SignerRow:
    """What a signing key may do: it speaks for ``org`` from ``since_height`` on."""

    org: str
    since_height: int


@dataclass(frozen=True, slots=True)
class Institutions:
    """How many institutions there are: ``institution_at_key`` counts them from 0, so that a
    list of them can be proven to leave nobody out."""

    count: int


@lru_cache(maxsize=1024)
def _decoded(kind: Any, raw: bytes) -> Any:
    return wire.decode(kind, raw, size_max=VALUE_BYTES_MAX)


def load_from(read: Read, kind: type[T], key: bytes) -> T | None:
    """Return the record that ``read`` has under ``key``.  Our own state always decodes; if
    not, stop.  ``read``: ``Overlay.get`` in a rule, ``Facts.get`` in a question."""
    raw = read(key)
    return None if raw is None else wire.decode(kind, raw, size_max=VALUE_BYTES_MAX)


class Overlay:
    """Writes on top of a reader; None marks a deletion.

    What is below may not change while it lives, except by ``merge`` of its children.
    """

    def __init__(self, read: Read, *, records: dict[bytes, Any] | None = None) -> None:
        self._read = read
        self._records: dict[bytes, Any] = {} if records is None else records
        self.writes: dict[bytes, bytes | None] = {}

    def child(self) -> "Overlay":
        """Return an overlay on this one, to be merged into it or dropped."""
        return Overlay(self.get, records=self._records)

    def get(self, key: bytes) -> bytes | None:
        if key in self.writes:
            return self.writes[key]
        return self._read(key)

    def put(self, key: bytes, value: bytes) -> None:
        assert len(value) <= VALUE_BYTES_MAX
        self.writes[key] = value
        self._records.pop(key, None)

    def delete(self, key: bytes) -> None:
        self.writes[key] = None
        self._records.pop(key, None)

    def load(self, kind: type[T], key: bytes) -> T | None:
        """Return the record under ``key``; see ``load_from``."""
        return load_from(self.get, kind, key)

    def load_shared(self, kind: type[T], key: bytes) -> T | None:
        """Like ``load``, for the few records that every transaction reads: looked up once for
        all children, which saves 2 us of the 38 that applying a transaction took."""
        own = key in self.writes
        if not own:
            known = self._records.get(key)
            if type(known) is kind:
                return known
        raw = self.get(key)
        if raw is None:
            return None
        record = cast(T, _decoded(cast(Any, kind), raw))
        if not own:
            self._records[key] = record
        return record

    def save(self, key: bytes, record: object) -> None:
        self.put(key, wire.encode(record))

    def merge(self, child: "Overlay") -> None:
        self.writes.update(child.writes)
        for key in child.writes:
            self._records.pop(key, None)


def institution_key(org: str) -> bytes:
    return INSTITUTION_PREFIX + org.encode("ascii")


def institution_at_key(number: int) -> bytes:
    """Return where the id of the institution of that number stands, from 0 in order of
    arrival; the founders are ascending by id."""
    return b"institution-at/" + number.to_bytes(8, "big")


def suspended_key(org: str) -> bytes:
    """Return where the row of an institution waits while it is suspended."""
    return SUSPENDED_PREFIX + org.encode("ascii")


def signer_key(key: bytes) -> bytes:
    return SIGNER_PREFIX + key


def voters_key(epoch: int) -> bytes:
    return VOTERS_PREFIX + epoch.to_bytes(8, "big")


def epoch_from(read: Read) -> int:
    """Return the epoch in force: how often the voters have changed."""
    raw = read(EPOCH_KEY)
    assert raw is not None, "every ledger starts with an epoch"
    return int(codec.decode(raw, size_max=9))


def epoch_of(view: Overlay) -> int:
    """Like ``epoch_from``, in a rule."""
    return epoch_from(view.get)


def voters(view: Overlay, epoch: int) -> Voters | None:
    """Return who voted in ``epoch``; None for an epoch that has not begun."""
    return view.load_shared(Voters, voters_key(epoch))


def institution(view: Overlay, org: str) -> Institution | None:
    """Return an institution that may act; None for one that is unknown or suspended."""
    return view.load_shared(Institution, institution_key(org))


def parameters(view: Overlay) -> Parameters:
    found = view.load_shared(Parameters, PARAMETERS_KEY)
    assert found is not None, "every ledger starts with parameters"
    return found


def policy_key(topic: str) -> bytes:
    """Return where the rules stand by which a topic is decided, if not the defaults."""
    return b"governance/policy/" + topic.encode()


def _policy_row(item: Policy) -> bytes:
    """Return ``facts.governance.PolicyRow`` as the vote on a policy writes it."""
    return codec.encode_typed(wire.to_value(item)[1:])


def genesis_state(genesis: Genesis) -> dict[bytes, bytes]:
    """Return the state that height 1 builds on."""
    rows: Iterable[tuple[bytes, bytes]] = [
        (PARAMETERS_KEY, wire.encode(genesis.parameters)),
        (ENGINE_KEY, genesis.engine.encode("ascii")),
        (EPOCH_KEY, b"\x00"),
        (voters_key(0), wire.encode(voters_of(0, genesis.validators))),
        (INSTITUTIONS_KEY, wire.encode(Institutions(len(genesis.institutions)))),
        *(
            (institution_at_key(number), item.id.encode("ascii"))
            for number, item in enumerate(genesis.institutions)
        ),
        *((institution_key(item.id), wire.encode(item)) for item in genesis.institutions),
        *(
            (signer_key(item.identity_key), wire.encode(SignerRow(item.id, 0)))
            for item in genesis.institutions
        ),
        *((policy_key(item.topic), _policy_row(item)) for item in genesis.policies),
    ]
    return dict(rows)

"""Questions about keys of institutions: in force when, doubted since when, guarded by whom.

"At height h" is the ledger as it stood after block h.  In the block of a change both keys may
have signed; which one came first is in the order of the block.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import Facts, Question
from node.ledger.facts import keys, numbered
from node.ledger.facts.keys import GuardRow, KeyRow
from node.ledger.facts.words import sized
from node.ledger.facts.words_identity import matching
from node.ledger.transaction import ORG_PATTERN


@dataclass(frozen=True, slots=True)
class KeyAt:
    """``at_height``: none for now; ``at_ms``: time of what the key signed, none for now."""

    key: bytes
    at_height: int | None = None
    at_ms: int | None = None

    def __post_init__(self) -> None:
        sized(self.key, 32, "key")


@dataclass(frozen=True, slots=True)
class KeyState:
    """``in_force``: it spoke for ``org`` at the height asked for; ``flagged``: what it signed
    at the time asked for is doubted.  ``status`` is today's."""

    key: bytes
    known: bool
    org: str | None = None
    use: str | None = None
    status: str | None = None
    in_force: bool = False
    flagged: bool = False
    from_height: int = 0
    from_ms: int = 0
    retires_ms: int | None = None
    until_height: int | None = None
    until_ms: int | None = None
    compromised_since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class OfOrg:
    """``at_height``: none for now."""

    org: str
    at_height: int | None = None
    start: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        matching(self.org, ORG_PATTERN, "org")


@dataclass(frozen=True, slots=True)
class History:
    org: str
    start: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        matching(self.org, ORG_PATTERN, "org")


@dataclass(frozen=True, slots=True)
class KeyList:
    keys: tuple[KeyState, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Guards:
    """``current``: who may recover now; ``pending``: who may from its ``from_ms`` on;
    ``rows``: every guard that was ever named, the oldest first."""

    current: GuardRow | None
    pending: GuardRow | None
    rows: tuple[GuardRow, ...]
    next: int | None


def _state(
    facts: Facts, key: bytes, row: KeyRow, at_height: int | None, at_ms: int | None
) -> KeyState:
    height = facts.height if at_height is None else at_height
    now_ms = facts.time_ms if at_ms is None else at_ms
    since_ms = row.compromised_since_ms
    overdue = row.retires_ms is not None and row.retires_ms <= facts.time_ms
    return KeyState(
        key=key,
        known=True,
        org=row.org,
        use=row.use,
        status=row.status,
        in_force=row.in_force(height) and not (overdue and height >= facts.height),
        flagged=since_ms is not None and since_ms <= now_ms,
        from_height=row.from_height,
        from_ms=row.from_ms,
        retires_ms=row.retires_ms,
        until_height=row.until_height,
        until_ms=row.until_ms,
        compromised_since_ms=since_ms,
    )


def _at(facts: Facts, asked: KeyAt) -> KeyState:
    row = keys.key_row(facts.get, asked.key)
    if row is None:
        return KeyState(asked.key, known=False)
    return _state(facts, asked.key, row, asked.at_height, asked.at_ms)


def _of(facts: Facts, asked: OfOrg) -> KeyList:
    rows, following = keys.keys_page(facts.get, asked.org, start=asked.start, limit=asked.limit)
    states = (_state(facts, key, row, asked.at_height, None) for key, row in rows)
    return KeyList(tuple(item for item in states if item.in_force), following)


def _history(facts: Facts, asked: History) -> KeyList:
    rows, following = keys.keys_page(facts.get, asked.org, start=asked.start, limit=asked.limit)
    return KeyList(tuple(_state(facts, key, row, None, None) for key, row in rows), following)


def _guardians(facts: Facts, asked: History) -> Guards:
    guard = keys.guard(facts.get, asked.org)
    current = guard.at(facts.time_ms)
    rows, following = numbered.page(
        facts.get, keys.guards_name(asked.org), GuardRow, start=asked.start, limit=asked.limit
    )
    pending = None if guard.pending is current else guard.pending
    return Guards(current, pending, rows, following)


QUESTIONS: Final = (
    Question(
        "identity.key.at",
        KeyAt,
        KeyState,
        _at,
        "Whose key is this, did it speak for them at that height, is it doubted?",
    ),
    Question(
        "identity.key.of",
        OfOrg,
        KeyList,
        _of,
        "Which keys spoke for this institution at that height?",
    ),
    Question(
        "identity.key.history",
        History,
        KeyList,
        _history,
        "Which keys did this institution ever have?",
    ),
    Question(
        "identity.key.guardians",
        History,
        Guards,
        _guardians,
        "Who may recover the keys of this institution?",
    ),
)

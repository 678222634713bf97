"""Does a rule reach a request, and which of the data does it speak of: none, part or all.

Pure and integer only.  Two conventions on labels, both on the safe side: a rule that names
``R`` (restricted) speaks of every sensitivity label as well, for data with such a label is
labelled restricted; and data with sensitivity labels is judged by those, its ``R`` aside.
``ETREAT`` is treatment and ``BTG`` is emergency treatment, as in HL7 v3 PurposeOfUse.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.facts.consent_rule import Exemption, Named, Rule, Scope

NONE: Final = 0
PART: Final = 1
ALL: Final = 2

SENSITIVE: Final = ("ETH", "HIV", "PSY", "SDV", "SEX")
_WIDER: Final = {"BTG": ("BTG", "ETREAT", "TREAT"), "ETREAT": ("ETREAT", "TREAT")}
CARE: Final = ("BTG", "ETREAT", "TREAT")


@dataclass(frozen=True, slots=True)
class Clause:
    """Data that one provision permits or denies.

    ``kind``: consent, law or policy; ``source``: the consent's id (16 bytes), or the id of the
    law or policy in ASCII.  Clauses with ``exempt`` stand before those of the same source
    without.  What is empty is not limited.
    """

    kind: str
    source: bytes
    permit: bool
    exempt: bool = False
    classes: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    named: tuple[Named, ...] = ()
    data_from_ms: int | None = None
    data_until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """What is asked for, or one item: None (and no labels) where that is not known.

    ``named``: commitments that the item is, relates to or was written by.
    """

    data_class: int | None
    labels: tuple[str, ...]
    from_ms: int | None
    until_ms: int | None
    named: tuple[Named, ...] | None = None


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and what for.  ``roles`` are those of the institution ``org``."""

    org: str
    roles: tuple[str, ...]
    practitioner: bytes | None
    purpose: str


def purposes_of(purpose: str) -> tuple[str, ...]:
    """Return the purposes that a rule may name to speak of ``purpose``."""
    return _WIDER.get(purpose, (purpose,))


def inherit(base: Scope, exemption: Scope) -> Scope:
    """Return what an exemption's scope means: what it leaves empty is as in the rule."""
    actors = bool(exemption.orgs or exemption.roles or exemption.practitioners)
    whom = exemption if actors else base
    dated = exemption.data_from_ms is not None or exemption.data_until_ms is not None
    made = exemption if dated else base
    limited = exemption.from_ms is not None or exemption.until_ms is not None
    holds = exemption if limited else base
    return Scope(
        orgs=whom.orgs,
        roles=whom.roles,
        practitioners=whom.practitioners,
        purposes=exemption.purposes or base.purposes,
        classes=exemption.classes or base.classes,
        labels=exemption.labels or base.labels,
        named=exemption.named or base.named,
        data_from_ms=made.data_from_ms,
        data_until_ms=made.data_until_ms,
        from_ms=holds.from_ms,
        until_ms=holds.until_ms,
    )


def exempted(rule: Rule) -> tuple[Exemption, ...]:
    """Return the exemptions of ``rule`` with what they inherit."""
    return tuple(
        Exemption(item.permit, inherit(rule.scope, item.scope)) for item in rule.exemptions
    )


def actor_rank(scope: Scope, asker: Asker) -> int | None:
    """Return how specifically ``scope`` names the asker: 3 practitioner, 2 institution, 1 role,
    0 everybody; None: not at all."""
    if asker.practitioner is not None and asker.practitioner in scope.practitioners:
        return 3
    if asker.org in scope.orgs:
        return 2
    if any(role in scope.roles for role in asker.roles):
        return 1
    return None if scope.orgs or scope.roles or scope.practitioners else 0


def names_purpose(scope: Scope, purpose: str) -> bool:
    wider = purposes_of(purpose)
    return not scope.purposes or any(item in scope.purposes for item in wider)


def specificity(scope: Scope, rank: int) -> int:
    """Return how narrow a permit is: whom it names counts first, then how many other limits."""
    limits = (scope.purposes, scope.classes, scope.labels, scope.named)
    data_period = scope.data_from_ms is not None or scope.data_until_ms is not None
    return rank * 8 + sum(map(bool, limits)) + data_period


def atoms(labels: tuple[str, ...]) -> tuple[str | None, ...]:
    """Return the labels that have to be judged, each for itself; None: not known."""
    if any(label in SENSITIVE for label in labels):
        return tuple(label for label in labels if label != "R")
    return labels or (None,)


def _label(labels: tuple[str, ...], atom: str | None) -> int:
    if not labels:
        return ALL
    if atom is None:
        return PART
    return ALL if atom in labels or ("R" in labels and atom in SENSITIVE) else NONE


def _period(clause: Clause, data: Data) -> int:
    first, last = clause.data_from_ms, clause.data_until_ms
    if (last is not None and data.from_ms is not None and data.from_ms >= last) or (
        first is not None and data.until_ms is not None and data.until_ms <= first
    ):
        return NONE
    inside = (first is None or (data.from_ms is not None and first <= data.from_ms)) and (
        last is None or (data.until_ms is not None and data.until_ms <= last)
    )
    return ALL if inside else PART


def match(clause: Clause, data: Data, atom: str | None) -> int:
    """Return how much of ``data`` under one label the clause speaks of."""
    if not clause.classes:
        by_class = ALL
    elif data.data_class is None:
        by_class = PART
    else:
        by_class = ALL if data.data_class in clause.classes else NONE
    if not clause.named:
        by_name = ALL
    elif data.named is None:
        by_name = PART
    else:
        by_name = ALL if any(item in clause.named for item in data.named) else NONE
    return min(by_class, by_name, _label(clause.labels, atom), _period(clause, data))


# --- what one source says --------------------------------------------------------------------

SILENT: Final = "silent"
DENIES: Final = "denies"
PERMITS: Final = "permits"
DENIES_PART: Final = "denies-part"
PERMITS_PART: Final = "permits-part"


def says(clauses: tuple[Clause, ...], data: Data) -> str:
    """Return what the clauses of one source say of ``data``: all of it, part of it, nothing.

    Every label is judged for itself: one that is denied denies, all must be permitted.
    """
    words = [_says(clauses, data, atom) for atom in atoms(data.labels)]
    if DENIES in words:
        return DENIES
    if all(word == PERMITS for word in words):
        return PERMITS
    if all(word in (PERMITS, PERMITS_PART) for word in words):
        return PERMITS_PART
    some = any(
        not clause.permit and match(clause, data, atom)
        for clause in clauses
        for atom in atoms(data.labels)
    )
    return DENIES_PART if some else SILENT


def _most(
    clauses: tuple[Clause, ...], data: Data, atom: str | None, sort: tuple[bool, bool]
) -> int:
    """Return the best match among clauses that are (permit, exempt) as ``sort`` says."""
    return max(
        (match(item, data, atom) for item in clauses if (item.permit, item.exempt) == sort),
        default=NONE,
    )


def _says(clauses: tuple[Clause, ...], data: Data, atom: str | None) -> str:
    except_deny = _most(clauses, data, atom, (False, True))
    except_permit = _most(clauses, data, atom, (True, True))
    deny = _most(clauses, data, atom, (False, False))
    permit = _most(clauses, data, atom, (True, False))
    if except_deny == ALL:
        return DENIES
    if except_permit == ALL or (permit == ALL and deny == NONE):
        return PERMITS if except_deny == NONE else PERMITS_PART
    if except_permit or permit:
        return PERMITS_PART
    if deny == ALL:
        return DENIES
    return DENIES_PART if deny or except_deny else SILENT


def releases(residual: tuple[Clause, ...], item: Data) -> bool:
    """Return whether a server that was permitted with ``residual`` may release ``item``.

    An empty residual lets everything pass that was asked for.  Otherwise no source may deny
    the item, wholly or perhaps, and one must permit it.
    """
    if not residual:
        return True
    sources: dict[tuple[str, bytes], list[Clause]] = {}
    for clause in residual:
        sources.setdefault((clause.kind, clause.source), []).append(clause)
    words = [_of_item(tuple(clauses), item) for clauses in sources.values()]
    return PERMITS in words and DENIES not in words


def _of_item(clauses: tuple[Clause, ...], item: Data) -> str:
    """Return permits, denies or silent; what may be denied because a property of the item is
    not known is denied, what may be permitted is not."""
    word = says(clauses, item)
    if word == PERMITS_PART:
        return SILENT if all(clause.permit for clause in clauses) else DENIES
    return DENIES if word == DENIES_PART else word

"""Random consents for properties: rules, requests, and a ledger that holds them."""

from itertools import combinations
from typing import Any

from hypothesis import strategies as st

from node.ledger.facts.consent_rule import MEANINGS, Exemption, Named, Rule, Scope
from tests.support.story import named

ORGS = ("clinic-b", "lab-c", "uni-r")
ROLES = ("laboratory", "research")
PURPOSES = ("BTG", "ETREAT", "HRESCH", "TREAT")
LABELS = ("HIV", "N", "PSY", "R")
LICENCES = tuple(sorted((named("dr-a"), named("dr-b"))))
RECORDS = (named("record-1"), named("record-2"))


NAMED = tuple(Named(meaning, item) for meaning in MEANINGS for item in RECORDS)


def few(items: Any, size: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    """Return ascending tuples of up to ``size`` of ``items``; about half of the time none.

    One draw each: worlds are made of many of these.
    """
    some = [found for count in range(1, size + 1) for found in combinations(items, count)]
    return st.sampled_from([*some, *[()] * len(some)])


def periods(most: int = 6) -> st.SearchStrategy[tuple[int | None, int | None]]:
    """Return half-open periods over a few ms, so that they often touch."""
    ends = [None, *range(1, most + 1)]
    starts = [None, *range(most)]
    spans = [
        (first, last)
        for first in starts
        for last in ends
        if first is None or last is None or first < last
    ]
    return st.sampled_from([*spans, *[(None, None)] * (len(spans) // 2)])


def _scope(*parts: Any) -> Scope:
    *lists, data, valid = parts
    return Scope(*lists, *data, *valid)


def scopes() -> st.SearchStrategy[Scope]:
    return st.builds(
        _scope,
        few(ORGS),
        few(ROLES, 1),
        few(LICENCES, 1),
        few(PURPOSES),
        few((3, 4)),
        few(LABELS),
        few(NAMED),
        periods(),
        periods(),
    )


def rules() -> st.SearchStrategy[Rule]:
    exemptions = st.lists(st.builds(Exemption, st.booleans(), scopes()), max_size=2)
    return st.builds(Rule, st.booleans(), scopes(), exemptions.map(tuple))

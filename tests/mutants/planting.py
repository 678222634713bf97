"""How a historical mistake is planted into the real code, and how seeds hunt for it.

A mutant replaces one rule of the product by the mistake that somebody once shipped, for as
long as a run lasts.  Owns planting and hunting; the mistakes are in raft.py and pbft.py.
Invariant: whatever happens in between, the honest code is back afterwards.
"""

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.sim.plan import planned
from tests.sim.world import World

Planting = tuple[object, str, Any]  # owner, name of the attribute, what stands there instead


@dataclass(frozen=True, slots=True)
class Mutant:
    """``plant`` names what to replace; ``source`` where the mistake was made.

    ``focus`` is the family of plans whose seeds hunt it, empty for ordinary seeds; ``known`` is
    a seed of that family that finds it, and ``quick`` says that this seed is one of the few
    that every run of the test suite plays.  ``play`` stands in for the simulator where the rule
    is about something that no simulated cluster does; it says why in its docstring.
    """

    name: str
    engine: str
    source: str
    plant: Callable[[], list[Planting]]
    known: int
    focus: str = ""
    play: Callable[[int], object] | None = None
    quick: bool = False


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    before = []
    try:
        for owner, name, other in mutant.plant():
            before.append((owner, name, getattr(owner, name)))
            setattr(owner, name, other)
        yield
    finally:
        for owner, name, honest in reversed(before):
            setattr(owner, name, honest)


@dataclass(frozen=True, slots=True)
class Found:
    """``seeds``: how many were played, the one that failed included."""

    seeds: int
    seed: int
    what: str
    seconds: float


def play(mutant: Mutant, seed: int, *, focus: str | None = None) -> None:
    """Play one seed of the mutant's family, or of ``focus``; whether it is planted is the
    caller's choice.  Raises what the seed fails with."""
    if mutant.play is not None:
        mutant.play(seed)
    else:
        family = mutant.focus if focus is None else focus
        World(planned(seed, mutant.engine, focus=family)).run()


def attempt(mutant: Mutant, seed: int, *, focus: str | None = None) -> str | None:
    """Return what ``seed`` fails with, None when it passes."""
    try:
        play(mutant, seed, focus=focus)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1].name
        return f"{type(error).__name__} in {where}: {error}"
    return None


def hunt(
    mutant: Mutant, *, first: int = 0, seeds_max: int = 5000, focus: str | None = None
) -> Found | None:
    """Play seeds with ``mutant`` planted until one fails that holds without it.

    None when there is no such seed.  A seed that fails either way says nothing of the mutant.
    """
    began = time.monotonic()
    for seed in range(first, first + seeds_max):
        with planted(mutant):
            what = attempt(mutant, seed, focus=focus)
        if what is not None and attempt(mutant, seed, focus=focus) is None:
            return Found(seed - first + 1, seed, what, time.monotonic() - began)
    return None

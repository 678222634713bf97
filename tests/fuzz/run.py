"""Fuzz the engines: ``python tests/fuzz/run.py --frames 1000000 --engine both --seed 1``.

Every frame goes the way a node takes it: decode, structural checks, signatures, bodies, step.
A fault prints the engine, the seed and the number of the episode, and that episode alone runs
again with ``--episode``.  Exit code 1 when there was one.
"""

import argparse
import copy
import random
import re
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from consensus.types import NodeId
from tests.fuzz.members import Fabric, Harvest, Node, harvest
from tests.fuzz.mutate import Mutator

ENGINES: Final = ("raft", "pbft")
EPISODE_FRAMES: Final = 400
LONG_EPISODE_FRAMES: Final = 8000
LONG_EVERY: Final = 25
HARVESTS: Final = 4
SIZES: Final = (4, 4, 3, 7)
# Parts (containers, numbers, strings) that a member may hold, its log of blocks included.
PARTS_MAX: Final = 60_000
PARTS_GROWTH_MAX: Final = 40_000
FINGERPRINT_SHARE: Final = 0.01
# Raft members trust one another's software: one that hears its final blocks contradicted has
# proof that the trust was broken, and stops on purpose.  Nothing else may stop an engine.
ON_PURPOSE: Final = {"raft": ("conflict below commit",), "pbft": ()}


class Fault(Exception):
    """An engine broke its promise to be total, bounded and unmoved by what is refused."""


@dataclass
class Tally:
    """What became of the frames."""

    frames: int = 0
    stepped: int = 0
    seconds: float = 0.0
    stopped: int = 0
    parts_most: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    situations: Counter[str] = field(default_factory=Counter)


def parts_of(thing: Any) -> int:
    """Count the objects that ``thing`` holds, each once; code and fabric do not count."""
    code = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, random.Random)
    seen: set[int] = set()
    pending = [thing]
    while pending:
        item = pending.pop()
        if id(item) in seen or isinstance(item, (*code, Fabric)):
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            pending += item.keys()
            pending += item.values()
        elif isinstance(item, list | tuple | set | frozenset) or hasattr(item, "popleft"):
            pending += item
        else:
            pending += getattr(item, "__dict__", {}).values()
            for kind in type(item).__mro__:
                names = getattr(kind, "__slots__", ())
                names = (names,) if isinstance(names, str) else names
                pending += [getattr(item, name) for name in names if hasattr(item, name)]
    return len(seen)


class Episode:
    """One frozen member, thawed, among liars of one name."""

    def __init__(self, found: Harvest, rng: random.Random, tally: Tally) -> None:
        self._rng = rng
        self._tally = tally
        situation = rng.choice(sorted(found.members))
        self._node: Node = copy.deepcopy(rng.choice(found.members[situation]))
        self._fabric = found.fabric
        self._tokens = 1 << 40
        liar = rng.choice([node for node in found.fabric.ids if node != self._node.id])
        self._mutator = Mutator(found, rng, victim=self._node.id, liar=liar)
        self._mutator.meet(self._node.driver.engine.status(), self._node.applied)
        tally.situations[situation] += 1

    def play(self, frames: int) -> None:
        engine, rng = self._node.driver.engine, self._rng
        before = parts_of(engine)
        for number in range(frames):
            sender, raw = self._mutator.frame()
            self._take(sender, raw)
            if number % 8 == 7:
                self._node.tick(self._node.now_ms + rng.choice((0, 1, 10, 10, 60, 400)))
                self._breathe()
            if number % 64 == 63:
                engine.check_invariants()
                self._mutator.meet(engine.status(), self._node.applied)
        self._breathe()
        engine.check_invariants()
        parts = parts_of(engine)
        self._tally.parts_most = max(self._tally.parts_most, parts)
        if parts > PARTS_MAX or parts - before > PARTS_GROWTH_MAX:
            raise Fault(
                f"the engine holds {parts} parts after {frames} frames, {before} before"
            )

    def _take(self, sender: str, raw: bytes) -> None:
        tally, engine = self._tally, self._node.driver.engine
        tally.frames += 1
        watched = self._rng.random() < FINGERPRINT_SHARE
        before = engine.fingerprint() if watched else b""
        message, why = self._fabric.admit(sender, raw)
        if message is None:
            tally.reasons[re.sub(r"\d+", "N", why)] += 1
            if watched and engine.fingerprint() != before:
                raise Fault(f"a refused frame moved the engine: {why}")
            return
        tally.stepped += 1
        tally.kinds[type(message).__name__] += 1
        self._node.hear(sender, message)

    def _breathe(self) -> None:
        node, rng = self._node, self._rng
        dice = rng.random()
        if dice < 0.3:
            node.driver.engine.work(rng.choice((None, node.now_ms - 100)))
        elif dice < 0.35:
            self._tokens += 1
            node.driver.engine.read(self._tokens)
        elif dice < 0.38:
            node.driver.engine.unreachable(NodeId(rng.choice(self._fabric.ids)))
        node.turns(notes=rng if rng.random() < 0.5 else None)
        node.outbox.clear()
        node.fetches.clear()


def fuzz(
    engine: str,
    *,
    seed: int,
    frames: int,
    found: Harvest | None = None,
    episode: int | None = None,
    talk: bool = False,
) -> Tally:
    """Throw at least ``frames`` frames at ``engine``; raises what an episode raised.

    The exception carries a note that names the episode.  ``found``: the one harvest to use.
    """
    tally, began = Tally(), time.perf_counter()
    grown: dict[int, Harvest] = {} if found is None else {0: found}
    number = 0 if episode is None else episode
    while tally.frames < frames:
        which = number % HARVESTS if found is None else 0
        if which not in grown:
            at = seed * HARVESTS + which
            grown[which] = harvest(engine, at, size=SIZES[which % len(SIZES)])
        rng = random.Random(f"fuzz/{engine}/{seed}/{number}")
        length = (
            LONG_EPISODE_FRAMES if number % LONG_EVERY == LONG_EVERY - 1 else EPISODE_FRAMES
        )
        try:
            Episode(grown[which], rng, tally).play(min(length, max(64, frames)))
        except Exception as error:
            if not isinstance(error, AssertionError) or not str(error).startswith(
                ON_PURPOSE[engine]
            ):
                error.add_note(f"--engine {engine} --seed {seed} --episode {number}")
                raise
            tally.stopped += 1
        if talk and number % 250 == 0:
            rate = tally.frames / (time.perf_counter() - began)
            print(f"{engine}: {tally.frames} frames, {rate:.0f}/s", file=sys.stderr, flush=True)
        number += 1
        if episode is not None:
            break
    tally.seconds = time.perf_counter() - began
    return tally


def report(engine: str, tally: Tally) -> None:
    """Print what became of the frames."""
    rate = tally.frames / max(tally.seconds, 1e-9)
    print(f"{engine}: {tally.frames} frames in {tally.seconds:.0f} s ({rate:.0f}/s), "
          f"{tally.stepped} stepped, {tally.stopped} stops on purpose, "
          f"at most {tally.parts_most} parts")  # fmt: skip
    for title, counted in (
        ("stepped", tally.kinds),
        ("refused", tally.reasons),
        ("victims", tally.situations),
    ):
        for name, count in counted.most_common(24):
            print(f"  {title:8} {count:>9}  {name}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=1_000_000, help="for each engine")
    parser.add_argument("--engine", choices=(*ENGINES, "both"), default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--episode", type=int, help="only this one, again")
    options = parser.parse_args()
    engines = ENGINES if options.engine == "both" else (options.engine,)
    faults = 0
    for engine in engines:
        try:
            tally = fuzz(
                engine,
                seed=options.seed,
                frames=options.frames,
                episode=options.episode,
                talk=True,
            )
        except Exception:
            traceback.print_exc()
            faults += 1
            continue
        report(engine, tally)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

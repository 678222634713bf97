"""What befalls whom, drawn from a seed: the same seed gives the same rounds everywhere.

Pure.  Owns: the kinds of faults, how rounds are drawn, what a kind needs to be possible.
Refuses: doing anything (``faults``).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LEADER: Final = -1  # the member that leads when the round begins


@dataclass(frozen=True, slots=True)
class Kind:
    """``say``: one line for people.  ``voters_min``: with fewer it would stop the network."""

    name: str
    say: str
    voters_min: int = 3


KINDS: Final = (
    Kind("kill", "SIGKILL, and a start later"),
    Kind("pause", "SIGSTOP: it does not notice what it misses"),
    Kind("isolate", "every link to the others is cut; clients still reach it"),
    Kind("deaf", "what it dials is lost, what the others dial is not"),
    Kind("slow", "every byte on its links is late"),
    Kind("disk-full", "the kernel refuses it any longer file; a start later"),
    Kind("clock", "restarted with a wall clock that is wrong by hours, then by nothing"),
    Kind("corrupt", "killed, one byte of its files flipped, started"),
    Kind("wipe", "killed, its ledger deleted, started"),
    Kind("restore", "killed, put back to an earlier copy of its ledger, started"),
    Kind("join", "an institution that only watched becomes a voter"),
    Kind("remove", "a voter is voted out, and watches"),
    Kind("switch", "the members vote for the other engine"),
)
NAMES: Final = tuple(kind.name for kind in KINDS)


@dataclass(frozen=True, slots=True)
class Round:
    """``target`` is a position among the voters, or ``LEADER``.  The fault lasts until clients
    completed ``during`` operations, the next begins ``after`` more."""

    number: int
    kind: str
    target: int
    during: int
    after: int
    chance: int  # seeds whatever the fault itself has to choose


def draw(seed: int, rounds: int, kinds: Sequence[str] = NAMES) -> list[Round]:
    """Return ``rounds`` rounds: every kind once in a shuffled order, then whatever comes."""
    assert kinds, "there must be something to do"
    rng = random.Random(seed)  # noqa: S311 - a rehearsal is repeated from its seed
    order = list(kinds)
    rng.shuffle(order)
    made = []
    for number in range(rounds):
        kind = order[number] if number < len(order) else rng.choice(order)
        target = LEADER if rng.random() < 0.4 else rng.randrange(1 << 16)
        during, after = rng.randrange(15, 40), rng.randrange(10, 25)
        made.append(Round(number, kind, target, during, after, rng.randrange(1 << 32)))
    return made

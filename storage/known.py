"""Which keys are surely not there: asked before LevelDB is.

Most keys that a block asks for are new: the id of each transaction, the commitment of each
record.  LevelDB answers "no" from the filters of its tables, 4 us a key, and does worse than
take its time: a ``Get`` that looks into more than one table counts against the first of them,
and a table that was counted out (one time for each 16 KiB of it) is merged into the level
below, however little there is of it (``db/version_set.cc``, allowed_seeks).  At some thousand
absent keys a second nearly every table was: 9 to 12 KB were written for a transaction of 1 KB
on a ledger of 150,000 records, instead of 3.

A key sets bits of one 64-bit word (a blocked Bloom filter with a word as its block: Putze,
Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007).  Filters are added,
each twice as large as the one before, so that none is ever made anew.

Owns: the bits.  Refuses: I/O, and any "yes": what is not surely absent is LevelDB's to answer.
Invariant: a key that was added is never absent.  ``add`` excludes ``add``: two threads that set
bits of one word at once would lose some, and a node that takes an old transaction for a new
one comes to another ledger than the others.
Bounded: ``KEYS_MAX`` keys, 2 bytes each; then it knows nothing any more.
"""

import random
import threading
from array import array
from collections.abc import Iterable
from typing import Final

FIRST_KEYS: Final = 1 << 19
FILTERS_MAX: Final = 7
KEYS_MAX: Final = FIRST_KEYS * ((1 << FILTERS_MAX) - 1)  # 66 million, 127 MiB
_KEYS_PER_WORD: Final = 4
_BITS: Final = 5
_PATTERNS: Final = 4096


def _patterns() -> list[int]:
    """Return words of ``_BITS`` bits each; whatever they are, the answers are right."""
    draw = random.Random(_PATTERNS)  # noqa: S311 - nothing is secret about them
    return [sum(1 << at for at in draw.sample(range(64), _BITS)) for _ in range(_PATTERNS)]


_BITS_OF: Final = _patterns()


def _absent(filters: "list[tuple[array[int], int]]", key: bytes) -> bool:
    place = hash(key)
    bits = _BITS_OF[place >> 40 & _PATTERNS - 1]
    for words, mask in filters:  # noqa: SIM110 - 0.4 us, all() of a generator 0.8
        if words[place & mask] & bits == bits:
            return False
    return True


class KnownKeys:
    """Keys that may be there.  It says nothing until it was told that it has been ``complete``.

    ``hash`` of the interpreter places a key: 64 bits, of a secret that each process draws, so
    that who chooses keys cannot choose where they fall.
    """

    def __init__(self) -> None:
        self._filters: list[tuple[array[int], int]] = []
        self._room = 0
        self._adding = threading.Lock()
        self._full = False
        self._complete = False

    @property
    def full(self) -> bool:
        """Return whether there were more keys than it can tell apart."""
        return self._full

    @property
    def complete(self) -> bool:
        """Return whether it knows of every key that is there."""
        return self._complete and not self._full

    def completed(self) -> None:
        """Take note that every key that is there was added, and every later one will be."""
        self._complete = True

    def add(self, keys: Iterable[bytes]) -> None:
        """Add keys, before they are there; one that may be there already takes no more room:
        rows that are written again and again would fill it."""
        with self._adding:
            for key in keys:
                if self._full:
                    return
                if not _absent(self._filters, key):
                    continue
                if not self._room and not self._grow():
                    return
                self._room -= 1
                place = hash(key)
                words, mask = self._filters[-1]
                words[place & mask] |= _BITS_OF[place >> 40 & _PATTERNS - 1]

    def _grow(self) -> bool:
        if len(self._filters) == FILTERS_MAX:
            self._full = True
            self._filters = []
            return False
        self._room = FIRST_KEYS << len(self._filters)
        words = self._room // _KEYS_PER_WORD
        self._filters.append((array("Q", [0]) * words, words - 1))
        return True

    def lacks(self, key: bytes) -> bool:
        """Return True when ``key`` is surely not there; from any thread."""
        if not self._complete:
            return False
        filters = self._filters
        if self._full:  # after the look at them: they are dropped after it is said
            return False
        return _absent(filters, key)

    def bytes_held(self) -> int:
        return sum(8 * len(words) for words, _ in self._filters)

"""Every key LevelDB holds: one letter, then the rest.

    letter  rest                    value                      example
    c       engine key              engine record              c r/log/ 00..2a
    b       body digest (32)        segment pointer (20)       b 9f86d0..
    h       height be64             block row                  h 00000000000003e8
    d       body digest (32)        height be64                d 9f86d0..
    z       height be64             seal leaf data             z 00000000000003e8
    e       height be64             commit certificate         e 00000000000003e8
    l       level u8, n be64        log tile, 32 bytes a hash  l 00 0000000000000001
    s       state key               state value                s consent/..
    n       page key, slot u8       node of the state tree     n 04a7..03
    t       txid (32)               transaction row            t 2cf24d..
    i       index key               index value                i record/..
    k       height be64             log size be64, checkpoint  k 00000000000003e8
    u       local name              local value                u backup.last
    v       be16, state key, be64   state value before         v 000a consent/.. 00..2a
    o       height be64, page key   what pages lost            o 00..2a 04a7..
    w       height be64             names of its v rows        w 00000000000003e8
    j       height be64             patches of its pages       j 00000000000003e8
    y       epoch be64              link to that era           y 00..01
    m       name                    this package's own facts   m schema, m tail, m applied,
                                                               m history, m lowest,
                                                               m migrating, m pages,
                                                               m pruned

Owns: the letters.  Refuses: the meaning of what follows them.
Invariant: letters are never reused for something else within one schema version.  Gone since
version 4: ``p`` (pages as rows) and ``q`` (what each of them lost), see ``migrations``.
Big-endian numbers make key order number order.
"""

from typing import Final

CONSENSUS: Final = b"c"
BODY: Final = b"b"
BLOCK: Final = b"h"
HEIGHT_OF: Final = b"d"
SEAL: Final = b"z"
CERTIFICATE: Final = b"e"
TILE: Final = b"l"
STATE: Final = b"s"
NODE: Final = b"n"
TRANSACTION: Final = b"t"
INDEX: Final = b"i"
CHECKPOINT: Final = b"k"
LOCAL: Final = b"u"
STATE_WAS: Final = b"v"
PAGES_WERE: Final = b"o"
WAS_AT: Final = b"w"
LINEAGE: Final = b"y"
PAGE_LOG: Final = b"j"

SCHEMA: Final = b"mschema"
TAIL: Final = b"mtail"
APPLIED: Final = b"mapplied"
HISTORY: Final = b"mhistory"
LOWEST: Final = b"mlowest"
MIGRATING: Final = b"mmigrating"
PAGES: Final = b"mpages"
PRUNED: Final = b"mpruned"

HEIGHT_MAX: Final = (1 << 64) - 1


def be64(number: int) -> bytes:
    """Return ``number`` as eight big-endian bytes."""
    return number.to_bytes(8, "big")


def block(height: int) -> bytes:
    return BLOCK + be64(height)


def seal(height: int) -> bytes:
    return SEAL + be64(height)


def certificate(height: int) -> bytes:
    return CERTIFICATE + be64(height)


def checkpoint(height: int) -> bytes:
    return CHECKPOINT + be64(height)


def link(epoch: int) -> bytes:
    return LINEAGE + be64(epoch)


def tile(level: int, n: int) -> bytes:
    return TILE + level.to_bytes(1, "big") + be64(n)


def state_was(key: bytes) -> bytes:
    """Return the name of a state key's history, without the height.

    With its length first no key's history lies within another's.
    """
    return STATE_WAS + len(key).to_bytes(2, "big") + key


def pages_were(height: int) -> bytes:
    return PAGES_WERE + be64(height)


def page_log(height: int) -> bytes:
    return PAGE_LOG + be64(height)


def was_at(height: int) -> bytes:
    return WAS_AT + be64(height)


def after(prefix: bytes) -> bytes:
    """Return the least key greater than every key that begins with ``prefix``.

    A prefix of nothing but 0xff bytes has none and is refused; our letters are ASCII.
    """
    kept = prefix.rstrip(b"\xff")
    assert kept, "no key sorts behind this prefix"
    return kept[:-1] + bytes([kept[-1] + 1])

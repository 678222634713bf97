"""Reading every byte of every file for words and for bare hashes of what can be guessed.

A text is looked for in UTF-8 and UTF-16LE, in three cases, in hexadecimal and in the three
alignments of base64; a digest as octets, in hexadecimal and in base64, by four hash functions.
All patterns are found in one pass: each starts with eight octets that are looked up at every
position of a file, and only what begins alike is compared whole.
"""

import base64
import hashlib
import json
import mmap
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import plyvel

from node.ledger import canon

KEY_BYTES: Final = 8
HASHES: Final = ("sha256", "sha1", "md5", "blake2b")
Found = tuple[str, str]  # (where, what)


def digests(raw: bytes) -> Iterator[tuple[str, bytes]]:
    for name in HASHES:
        size = {"digest_size": 32} if name == "blake2b" else {}
        yield name, hashlib.new(name, raw, usedforsecurity=False, **size).digest()


def in_base64(raw: bytes) -> Iterator[bytes]:
    """Yield what base64 makes of ``raw`` wherever it begins, without what depends on its
    neighbours, in both alphabets."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + raw)
        start = -(-before * 8 // 6)
        end = (before + len(raw)) * 8 // 6
        yield text[start:end]
        yield text[start:end].replace(b"+", b"-").replace(b"/", b"_")


def text_forms(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield (encoding, octets) of every form in which ``text`` could stand on a disk."""
    for case in (text, text.lower(), text.upper()):
        raw = case.encode()
        yield "utf-8", raw
        yield "utf-16le", case.encode("utf-16-le")
        yield "hex", raw.hex().encode()
        yield "hex", raw.hex().upper().encode()
        for coded in in_base64(raw):
            yield "base64", coded


def hash_forms(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (hash function and form, octets) of the bare hashes of ``raw``."""
    for name, digest in digests(raw):
        yield f"{name} octets", digest
        yield f"{name} hex", digest.hex().encode()
        yield f"{name} hex", digest.hex().upper().encode()
        for coded in in_base64(digest):
            yield f"{name} base64", coded


def subtrees(tree: Any) -> Iterator[Any]:
    """Yield every object and list in ``tree``, itself too: a name, an identifier, a note."""
    if isinstance(tree, dict | list):
        yield tree
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from subtrees(item)


def json_forms(tree: Any, octets: bytes | None = None) -> Iterator[bytes]:
    """Yield the octets of which somebody could take the hash of ``tree``."""
    if octets is not None:
        yield octets
        yield canon.canonical(octets, canon.JCS)
        yield canon.canonical(octets, canon.FHIR_LEX)
    for sort in (False, True):
        yield json.dumps(tree, sort_keys=sort).encode()
        yield json.dumps(tree, sort_keys=sort, separators=(",", ":")).encode()
        yield json.dumps(
            tree, sort_keys=sort, separators=(",", ":"), ensure_ascii=False
        ).encode()


@dataclass(slots=True)
class Searcher:
    """Knows the patterns; ``find`` reads octets for all of them."""

    _named: dict[bytes, str] = field(default_factory=dict)
    _begins: dict[int, list[bytes]] = field(default_factory=lambda: defaultdict(list))

    def __len__(self) -> int:
        return len(self._named)

    def add(self, forms: Iterable[tuple[str, bytes]], what: str) -> None:
        for form, raw in forms:
            assert len(raw) >= KEY_BYTES, f"{form} of {what} is too short to look for"
            if raw not in self._named:
                self._named[raw] = f"{form} of {what}"
                self._begins[_key(raw)].append(raw)

    def add_text(self, text: str) -> None:
        self.add(text_forms(text), f"text {text!r}")

    def add_hashes(self, raw: bytes, what: str) -> None:
        self.add(hash_forms(raw), what)

    def find(self, raw: bytes | memoryview) -> list[str]:
        """Return what is in ``raw``, each pattern once."""
        view = memoryview(raw)
        wanted, met = frozenset(self._begins), set[int]()
        for phase in range(KEY_BYTES):
            rest = view[phase:]
            whole = rest[: len(rest) // KEY_BYTES * KEY_BYTES]
            met |= wanted.intersection(whole.cast("Q"))
        if not met:
            return []
        octets = bytes(view)
        candidates = [item for key in met for item in self._begins[key]]
        return sorted({self._named[item] for item in candidates if item in octets})

    def search(self, path: Path) -> tuple[int, list[Found]]:
        """Return the size of a file and what it holds, its name included."""
        found = [(str(path), what) for what in self.find(os.fsencode(path.name))]
        size = path.stat().st_size
        if size:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=1) as whole:
                view = memoryview(whole)
                found += [(str(path), what) for what in self.find(view)]
                view.release()
        return size, found


def _key(raw: bytes) -> int:
    return memoryview(raw[:KEY_BYTES]).cast("Q")[0]


@dataclass(slots=True)
class Searched:
    """What was read, and what was found where."""

    files: int = 0
    bytes: int = 0
    rows: int = 0
    found: list[Found] = field(default_factory=list)


def search_tree(searcher: Searcher, directory: Path) -> Searched:
    """Read every file below ``directory``, hidden ones too."""
    done = Searched()
    for path in sorted(item for item in directory.rglob("*") if item.is_file()):
        size, found = searcher.search(path)
        done.files += 1
        done.bytes += size
        done.found += found
    return done


def databases(directory: Path) -> list[Path]:
    """Return the LevelDB directories below ``directory``."""
    return sorted(path.parent for path in directory.rglob("CURRENT"))


def rows_under(directory: Path, prefix: bytes) -> int:
    """Return how many keys of a LevelDB have ``prefix`` in them."""
    database = plyvel.DB(str(directory), create_if_missing=False, compression=None)
    try:
        return sum(prefix in key for key in database.iterator(include_value=False))
    finally:
        database.close()


def search_rows(searcher: Searcher, directory: Path) -> Searched:
    """Open a LevelDB of a stopped node and read its live keys and values as well: its log cuts
    long values into blocks of 32 KiB, so that a word may not be in one piece in the file."""
    done = Searched()
    database = plyvel.DB(str(directory), create_if_missing=False, compression=None)
    try:
        parts: list[bytes] = []
        for row in database:
            done.rows += 1
            done.bytes += sum(map(len, row))
            parts += row
        whole = b"\n".join(parts)
        done.found += [(str(directory), what) for what in searcher.find(whole)]
    finally:
        database.close()
    return done

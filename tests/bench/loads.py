"""Signed transactions in files, made before anything is measured.

Signing costs about as much as a node spends on a transaction; were it done during the run, it
would take the nodes' cores.  A payload is encoded once with marks in it; after that random
bytes are put where the marks were, which gives the same bytes as encoding each time.

File: be32 length and transaction, again and again, which is also the body of a bulk request;
or, for lines, one ``{"transaction": "<base64>"}`` each.
"""

import base64
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.ledger import merkle, transaction
from node.ledger.crypto import Signer
from node.ledger.transaction import Op, Payload

MARK: Final = b"\xfe\xed\xfa\xce"  # begins every mark; the rest is its number
PARALLEL_FROM: Final = 2000


@dataclass(frozen=True, slots=True)
class Author:
    """Who signs: the institution's id and its identity key."""

    org: str
    signer: Signer


@dataclass(frozen=True, slots=True)
class Content:
    """What one transaction carries: ``count`` anchors, or one batch of ``count`` items.

    ``inline`` batches list every item, and every node indexes each; others carry the root only.
    """

    kind: str  # anchors or batch
    count: int
    inline: bool = True

    @property
    def ops(self) -> int:
        return self.count if self.kind == "anchors" else 1

    @property
    def commitments(self) -> int:
        return self.count


def _mark(number: int, length: int) -> bytes:
    return (MARK + number.to_bytes(4, "big")).ljust(length, b"\xaa")


class Template:
    """Payloads of one author and content, and where their random bytes are."""

    def __init__(
        self, network: bytes, author: Author, content: Content, *, expires_height: int
    ) -> None:
        self._author = author
        self._content = content
        marks = [_mark(0, 8)]
        if content.kind == "anchors":
            ops = []
            for at in range(content.count):
                marks += [_mark(2 * at + 1, 32), _mark(2 * at + 2, 16)]
                ops.append(Op("record.anchor", [marks[-2], marks[-1], 2, None, None, None]))
        else:
            leaves = bytes(32 * content.count) if content.inline else b""
            marks.append(_mark(1, 32))
            ops = [Op("record.batch", [marks[-1], content.count, leaves])]
        payload = Payload(network, author.org, expires_height, marks[0], tuple(ops))
        self._raw = transaction.encode_payload(payload)
        self._places = [(self._raw.index(mark), len(mark)) for mark in marks]
        self._leaves_at = len(self._raw) - 32 * content.count

    def make(self) -> bytes:
        """Return a signed transaction that nobody has made before."""
        raw = bytearray(self._raw)
        if self._content.kind == "batch" and self._content.inline:
            items = [os.urandom(32) for _ in range(self._content.count)]
            raw[self._leaves_at :] = b"".join(items)
            root = merkle.root([merkle.leaf_hash(item) for item in items])
            fresh = os.urandom(8) + root
        else:
            fresh = os.urandom(sum(length for _, length in self._places))
        at = 0
        for place, length in self._places:
            raw[place : place + length] = fresh[at : at + length]
            at += length
        payload, signer = bytes(raw), self._author.signer
        message = transaction.signed_message(payload, [signer.public_key])
        return transaction.assemble(payload, [signer.public_key], [signer.sign(message)])


def make(
    network: bytes,
    authors: Sequence[Author],
    content: Content,
    count: int,
    *,
    expires_height: int,
) -> Iterator[bytes]:
    """Yield ``count`` transactions, authors in turn."""
    templates = [
        Template(network, author, content, expires_height=expires_height)
        for author in authors[:count]
    ]
    for at in range(count):
        yield templates[at % len(templates)].make()


def framed(raws: Iterator[bytes]) -> bytes:
    return b"".join(len(raw).to_bytes(4, "big") + raw for raw in raws)


def lined(raws: Iterator[bytes]) -> bytes:
    return b"".join(b'{"transaction":"%s"}\n' % base64.b64encode(raw) for raw in raws)


_job: tuple[bytes, Sequence[Author], Content, int, bool]


def _part(count: int) -> bytes:
    network, authors, content, expires_height, lines = _job
    raws = make(network, authors, content, count, expires_height=expires_height)
    return lined(raws) if lines else framed(raws)


def write(
    path: Path,
    network: bytes,
    authors: Sequence[Author],
    content: Content,
    count: int,
    *,
    expires_height: int,
    lines: bool = False,
) -> None:
    """Write ``count`` signed transactions to ``path``, on all cores when there are many."""
    global _job
    _job = (network, authors, content, expires_height, lines)
    if count * content.ops < PARALLEL_FROM:
        path.write_bytes(_part(count))
        return
    workers = max(1, min(8, os.cpu_count() or 1))
    # Many parts, so that no worker is the last for long; each begins with another author.
    parts = [count // (4 * workers)] * (4 * workers)
    parts[-1] += count - sum(parts)
    context = multiprocessing.get_context("fork")  # the job, keys too, is inherited
    with ProcessPoolExecutor(workers, mp_context=context) as pool, path.open("wb") as file:
        for part in pool.map(_part, parts):
            file.write(part)


def split_frames(raw: bytes) -> list[bytes]:
    """Return the transactions of a file, each with its length before it."""
    found, at = [], 0
    while at < len(raw):
        end = at + 4 + int.from_bytes(raw[at : at + 4], "big")
        found.append(raw[at:end])
        at = end
    return found

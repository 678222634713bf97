"""The lineage that this node keeps: one link for each era that began, for ever.

A row of the store for each.  They are written once, with sync, when the barrier's checkpoint is
certified here, or later from a member who has the link; nothing prunes them, and backups hold
them, for without one of them old receipts could not be verified any more.

Owns: these rows, making a link of what is on disk, who is believed in which era.  Refuses: a
link that the links before it do not prove, whoever sent it; asking (``lineage_asking``).
Invariant: the rows are gapless from epoch 1, each proven by the rows before it from genesis on.

Crash before the write: the era has begun without its link, ``heal`` makes it at the next start
from the saved checkpoint, or a member is asked for it.  Crash after: nothing is missing.
"""

import threading
from collections.abc import Sequence
from typing import Final

from consensus import wire
from consensus.codec import Malformed
from node.ledger import block as blocks
from node.ledger import checkpoint as checkpoints
from node.ledger import lineage
from node.ledger.checkpoint import CheckpointMalformed
from node.ledger.eras import Era, era_of
from node.ledger.genesis import Genesis
from node.ledger.lineage import LINKS_MAX, Lineage, LineageInvalid, Link, Trust
from node.ledger.sealed import LINEAGE_BYTES_MAX
from node.ledger.state import EPOCH_KEY, Read, epoch_from
from node.ledger.tiles import TileLog, TileMissing
from node.trust import trust_in
from storage.errors import Corrupt
from storage.reader import Reader
from storage.store import Store

LINK_BYTES_MAX: Final = 64 * 1024  # a note of 16 KiB, an era of 64 members, a path


def link_from(view: Reader, epoch: int) -> Link | None:
    """Return the link to ``epoch``, or None; raises ``Corrupt`` when the row cannot be read."""
    raw = view.link(epoch)
    if raw is None:
        return None
    try:
        return wire.decode(Link, raw, size_max=LINK_BYTES_MAX)
    except Malformed as error:
        raise Corrupt(f"not a link: {error}", where=f"lineage of epoch {epoch}") from error


def lineage_of(view: Reader) -> Lineage | None:
    """Return the links to every era that is proven at the newest block; None when one of them
    is not kept here yet."""
    applied = view.applied()
    newest = 0 if applied is None else epoch_from(view.state_get)
    found: list[Link] = []
    for epoch in range(1, newest + 1):
        era = era_of(view.state_get, epoch)
        assert era is not None, "every epoch up to the newest has its row"
        if applied is not None and era.from_height > applied.height:
            break  # begun by the newest block, which the era before it ordered
        link = link_from(view, epoch)
        if link is None:
            return None
        found.append(link)
    return Lineage(tuple(found))


def links_for(view: Reader, note: bytes) -> tuple[Link, ...]:
    """Return what leads from the founders to who certified ``note``, to travel with a proof.

    Empty while the founders certify, and when it would be too long: then it travels apart.
    """
    head, _ = checkpoints.parse_note(note)
    found: list[Link] = []
    size = 0
    for epoch in range(1, LINKS_MAX + 1):
        link = link_from(view, epoch)
        if link is None or checkpoints.parse_note(link.note)[0].size >= head.size:
            break
        size += len(wire.encode(link))
        if size > LINEAGE_BYTES_MAX - 64:
            return ()
        found.append(link)
    return tuple(found)


class LineageKeeper:
    """``read`` reads the state of the applied ledger.  Safe to call from any thread."""

    def __init__(self, store: Store, genesis: Genesis, read: Read) -> None:
        """Take up the rows on disk; raises ``Corrupt`` when they do not hold together."""
        self._store = store
        self._read = read
        self._turn = threading.Lock()
        self._links: list[Link] = []
        self._text = 0, ""
        while (link := link_from(store, len(self._links) + 1)) is not None:
            self._links.append(link)
        try:
            self._trust = trust_in(genesis).extended(self._links)
        except LineageInvalid as error:
            raise Corrupt(str(error), where=f"lineage of epoch {error.epoch}") from error

    @property
    def trust(self) -> Trust:
        """Whom this node believes at which log size, from genesis on."""
        return self._trust

    @property
    def epoch(self) -> int:
        """The newest era that is proven here."""
        return len(self._links)

    def links(self, after: int = 0) -> tuple[Link, ...]:
        """Return the links to the epochs above ``after``."""
        return tuple(self._links[after:])

    def text(self) -> str:
        """Return the lineage as JSON; made once an era, for anybody may ask for it."""
        made, text = self._text
        links = tuple(self._links)
        if made != len(links) or not text:
            text = lineage.to_json(Lineage(links))
            self._text = len(links), text
        return text

    def missing(self) -> int:
        """Return how many eras have begun on this node's ledger whose link it lacks."""
        return max(0, self._begun() - self.epoch)

    def _begun(self) -> int:
        return 0 if self._read(EPOCH_KEY) is None else epoch_from(self._read)

    def certified(self) -> bool:
        """A checkpoint was certified and saved: keep the link if it is a barrier's.

        Returns whether an era became proven.
        """
        return self.heal() > 0

    def heal(self) -> int:
        """Make links that are missing from what is on disk; returns how many.

        For a node that was stopped between a certificate and its link, or came back by blocks.
        """
        made = 0
        while self.missing():
            era = era_of(self._read, self.epoch + 1)
            assert era is not None, "every epoch up to the newest has its row"
            note = self._store.checkpoint(era.from_height - 1)
            if note is None or not self._keep_made(era, note):
                break
            made += 1
        return made

    def _keep_made(self, era: Era, note: bytes) -> bool:
        """Make the link to ``era`` from this node's own log and keep it if it holds."""
        link = self._made(era, note)
        try:
            return link is not None and self.adopt((link,), after=self.epoch) == 1
        except LineageInvalid:
            return False  # another's note, or too few names on it: a member will have a better

    def _made(self, era: Era, note: bytes) -> Link | None:
        seal = self._store.seal(era.from_height - 1)
        if seal is None:
            return None  # this ledger begins later, from a snapshot
        try:
            head, _ = checkpoints.parse_note(note)
            log = TileLog(head.size, self._store.tile)
            path = tuple(log.inclusion_path(head.size - 1, head.size))
            blocks.decode_seal(seal)
        except (CheckpointMalformed, TileMissing, blocks.BlockMalformed):
            return None
        return Link(note, seal, path, era)

    def adopt(self, links: Sequence[Link], *, after: int) -> int:
        """Keep what is new among the links to the epochs above ``after``; returns how many.

        Durable on return.  Raises ``LineageInvalid`` when they do not hold, contradict what is
        kept, or name another era than the one that this ledger has.
        """
        with self._turn:
            held = self._links[:after]
            if len(held) < after:
                return 0  # beyond a gap: nothing to judge them by
            trust = self._trust.extended((*held, *links))
            fresh = links[self.epoch - after :] if self.epoch >= after else ()
            for link in fresh:
                own = era_of(self._read, link.era.epoch) if self._begun() else None
                if own is not None and own != link.era:
                    raise LineageInvalid(
                        lineage.Reason.CONFLICT, link.era.epoch, "this ledger has another era"
                    )
            if fresh:
                rows = [(item.era.epoch, wire.encode(item)) for item in fresh]
                self._store.save_links(rows)
                self._links += fresh
                self._trust = trust
            return len(fresh)

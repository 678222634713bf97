"""Checking the links that a stopped node keeps of its eras.

Owns: the findings about them.  Read-only.
"""

from collections.abc import Iterator

from node.ledger.eras import era_of
from node.ledger.genesis import Genesis
from node.ledger.lineage import LineageInvalid, Link
from node.ledger.state import EPOCH_KEY, epoch_from
from node.lineage_keeping import link_from
from node.trust import trust_in
from storage.check import Code, Finding
from storage.errors import Corrupt
from storage.reader import Reader


def check_links(view: Reader, genesis: Genesis) -> Iterator[Finding]:
    """Yield what is wrong with the kept links; one that is not there yet is no fault."""
    links: list[Link] = []
    begun = 0 if view.state_get(EPOCH_KEY) is None else epoch_from(view.state_get)
    try:
        while (link := link_from(view, len(links) + 1)) is not None:
            links.append(link)
            epoch = link.era.epoch
            if epoch <= begun and era_of(view.state_get, epoch) != link.era:
                yield _wrong(epoch, "the ledger has another era")
        trust_in(genesis).extended(links)
    except Corrupt as error:
        yield _wrong(len(links) + 1, str(error))
    except LineageInvalid as error:
        yield _wrong(error.epoch, str(error))


def _wrong(epoch: int, detail: str) -> Finding:
    return Finding(Code.LEDGER_WRONG, f"lineage of epoch {epoch}", detail)

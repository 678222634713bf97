"""What a node does by itself for its future: backups when due, room when copies allow it."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from node import backups, upkeep
from node.archive import layout
from node.errors import ChartsealError
from node.settings import Archive, Backup, Storage
from node.upkeep import Upkeep
from storage import manifest
from storage.backup import Origin
from storage.check import check
from storage.store import Store
from tests.support.ledger import Chain, genesis, key


def chain_in(directory: Path) -> Chain:
    founded = genesis()
    store = Store.open(
        directory, network=founded.network, create=True, segment_bytes_max=1 << 14
    )
    return Chain(directory, founded, store=store)


def upkeep_of(
    chain: Chain, *, backup: Backup | None = None, archive: Path | None = None, keep: int = 0
) -> Upkeep:
    signer = key("alder identity")
    origin = Origin(
        node="alder",
        software="1",
        key=signer.public_key,
        sign=signer.sign,
        documents={backups.GENESIS_NAME: chain.genesis.encode()},
    )
    return Upkeep(
        chain.store,
        chain.genesis,
        origin=lambda: origin,
        backup_=backup or Backup(),
        archive=Archive(path=archive),
        storage=Storage(keep_blocks=keep),
    )


def grow(chain: Chain, blocks: int) -> None:
    for _ in range(blocks):
        chain.commit(*[chain.tx() for _ in range(4)])
    chain.certify()


async def test_old_bodies_leave_once_the_archive_has_them(tmp_path: Path) -> None:
    with chain_in(tmp_path / "data") as chain:
        kept = upkeep_of(chain, archive=tmp_path / "archive", keep=10)
        grow(chain, 9)
        await kept.keep_blocks()
        assert not (tmp_path / "archive").exists()  # there is nothing to keep back yet
        grow(chain, 60)
        await kept.keep_blocks()
        lowest = chain.store.lowest_body()
        assert 40 < lowest <= 60
        assert layout.need_head(tmp_path / "archive").height >= lowest - 1
        assert check(chain.store).clean
        done = dict(kept.done)
        await kept.keep_blocks()
        assert dict(kept.done) == done  # nothing can go: nothing is archived or verified


async def test_without_a_copy_nothing_leaves(tmp_path: Path) -> None:
    with chain_in(tmp_path / "data") as chain:
        grow(chain, 60)
        alone = upkeep_of(chain, keep=10)
        with pytest.raises(ChartsealError, match="not-covered"):
            await alone.keep_blocks()
        assert chain.store.lowest_body() == 1
        assert alone.failed["prune"] == 1
        saved = upkeep_of(chain, backup=Backup(path=tmp_path / "b"), keep=10)
        await saved.backup()
        await saved.keep_blocks()
        assert chain.store.lowest_body() > 40


async def test_keeping_everything_is_the_default(tmp_path: Path) -> None:
    with chain_in(tmp_path / "data") as chain:
        grow(chain, 60)
        await upkeep_of(chain, archive=tmp_path / "archive").keep_blocks()
        assert chain.store.lowest_body() == 1


async def test_a_backup_is_made_when_due_also_after_a_restart_and_a_failure_is_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = time.time()
    looks: list[int] = []
    monkeypatch.setattr(time, "time", lambda: moment)
    monkeypatch.setattr(time, "time_ns", lambda: int(moment * 1e9))
    monkeypatch.setattr(upkeep, "LOOK_S", 0)
    hours = Backup(path=tmp_path / "b", every_hours=2, keep=2)

    async def until(node: Upkeep, condition: Any) -> None:
        task = asyncio.create_task(node.run())
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0)
                looks.append(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with chain_in(tmp_path / "data") as chain:
        grow(chain, 2)
        first = upkeep_of(chain, backup=hours)
        await until(first, lambda: first.done["backup"] == 1)
        again = upkeep_of(chain, backup=hours)  # after a restart: it looks at what is there
        assert not again._backup_due()
        assert again.backup_height == 2
        moment += 3 * 3600
        assert again._backup_due()
        (tmp_path / "b" / "manifests" / "20200101T000000Z-1.manifest").write_bytes(b"?")
        await until(again, lambda: again.done["backup"] == 1 and again.backup_ms > 0)
        assert again.failed["old-backups"] == 1
        assert not again._backup_due()
        assert len(manifest.paths(tmp_path / "b")) >= 2
        off = upkeep_of(chain, backup=Backup(path=tmp_path / "b", every_hours=0))
        assert not off._backup_due()
        assert not upkeep_of(chain)._backup_due()

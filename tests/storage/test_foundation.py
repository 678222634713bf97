"""A new store takes the place of the old one: wherever it is killed, one of them is whole."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from consensus.types import Delete, DeleteRange, Put
from storage import foundation, keys
from storage.foundation import Foundation, adopt, complete
from storage.store import Store
from tests.storage.chain import NETWORK, Chain, extend

HEIGHT = 9


def old_store(data_dir: Path) -> None:
    """A member with three blocks, what it voted, a local fact and a body that waits."""
    with Store.open(data_dir, network=NETWORK, create=True) as store:
        extend(store, Chain(), 3)
        store.save(
            [Put(b"guard/1", b"signed"), Put(b"log/1", b"a"), Put(b"log/2", b"b")],
            bodies=[(b"w" * 32, b"waits")],
            sync=True,
        )
        store.meta_put(b"local", b"fact")


def new_store(data_dir: Path) -> None:
    """Build a store beside it that begins at ``HEIGHT``."""
    chain = Chain()
    for _ in range(HEIGHT):
        body, commit = chain.next()
    made = Foundation(data_dir, NETWORK, segment_bytes_max=1 << 20)
    made.put((keys.STATE + b"%d" % at, b"x" * 500) for at in range(200))
    made.put(
        [
            (keys.block(HEIGHT), b""),
            (keys.seal(HEIGHT), commit.seal),
            (keys.certificate(HEIGHT), commit.certificate),
        ]
    )
    made.finish(commit.applied(), body)
    made.close()


RECORDS = [Put(b"base", b"9"), Delete(b"log/2"), DeleteRange(b"log/0", b"log/2")]


def switch(data_dir: Path) -> None:
    """What a node does when its rooms are closed, and at the next opening."""
    with Store.open(data_dir, network=NETWORK) as old:
        adopt(data_dir, old, RECORDS)
    Store.open(data_dir, network=NETWORK).close()


def is_new(data_dir: Path) -> bool:
    """Open what is there; it is the old store or the new one, and whole."""
    with Store.open(data_dir, network=NETWORK) as store:
        applied = store.applied()
        assert applied is not None
        records = dict(store.consensus_pairs())
        assert records[b"guard/1"] == b"signed"
        assert store.meta_get(b"local") == b"fact"
        assert store.body(b"w" * 32) == b"waits"
        assert store.body(applied.digest) is not None
        if applied.height == 3:
            assert store.lowest() == 1
            assert records.keys() == {b"guard/1", b"log/1", b"log/2"}
            assert len(list(store.iter_blocks(1, 4))) == 3
            return False
        assert (applied.height, store.lowest()) == (HEIGHT, HEIGHT)
        assert records.keys() == {b"guard/1", b"base"}
        assert len(list(store.iter_state())) == 200
        return True


def test_the_new_store_takes_over_with_what_is_the_members_own(tmp_path: Path) -> None:
    old_store(tmp_path)
    new_store(tmp_path)
    switch(tmp_path)
    assert is_new(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"LOCK", "kv", "segments"}


def test_what_was_built_and_not_decided_changes_nothing(tmp_path: Path) -> None:
    old_store(tmp_path)
    new_store(tmp_path)
    assert not is_new(tmp_path)
    new_store(tmp_path)  # the next attempt begins anew
    switch(tmp_path)
    assert is_new(tmp_path)


def killed_at(step: int, work: Callable[[], None]) -> bool:
    """Run ``work`` in a process that dies before its durable step number ``step``.

    False when it came to its end before that.
    """
    pid = os.fork()
    if pid == 0:
        left = [step]

        def dying(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*given: Any, **named: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*given, **named)

            return call

        for owner, name in (
            (Path, "rename"),
            (Path, "unlink"),
            (Path, "mkdir"),
            (os, "fsync"),
            (foundation.shutil, "rmtree"),
            (foundation.LevelKV, "write"),
        ):
            setattr(owner, name, dying(getattr(owner, name)))
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


@pytest.mark.timeout(120)
def test_killed_at_any_step_of_the_switch_either_store_is_whole(tmp_path: Path) -> None:
    outcomes: list[bool] = []
    step = 0
    killed = True
    while killed:
        step += 1
        data_dir = tmp_path / str(step)
        data_dir.mkdir()
        old_store(data_dir)
        new_store(data_dir)
        killed = killed_at(step, lambda at=data_dir: switch(at))  # type: ignore[misc]
        outcomes.append(is_new(data_dir))
        assert is_new(data_dir) == outcomes[-1], "and it stays with that"
        if not outcomes[-1]:
            new_store(data_dir)
            switch(data_dir)
            assert is_new(data_dir)
    assert outcomes == sorted(outcomes), "old before the decision, new after it"
    assert outcomes.count(False) > 5
    assert outcomes.count(True) > 5


@pytest.mark.timeout(60)
def test_killed_at_any_step_of_the_building_the_old_store_stands(tmp_path: Path) -> None:
    old_store(tmp_path)
    step = 1
    while killed_at(step, lambda: new_store(tmp_path)):
        assert not is_new(tmp_path)
        step += 1
    assert step > 4
    switch(tmp_path)
    assert is_new(tmp_path)


def test_nothing_takes_over_without_a_decision(tmp_path: Path) -> None:
    old_store(tmp_path)
    with pytest.raises(AssertionError, match="no new store"):
        complete(tmp_path)

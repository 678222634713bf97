"""A process that is killed while it writes loses nothing that it acknowledged."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage.check import check
from storage.store import Store
from tests.storage.chain import NETWORK, Chain

WRITER = """
import sys
from pathlib import Path
from consensus.types import Put
from storage.store import Store
from tests.storage.chain import NETWORK, Chain

chain = Chain(transactions=40)
with Store.open(Path(sys.argv[1]), network=NETWORK, create=True) as store:
    while True:
        body, commit = chain.next()
        vote = Put(b"vote/%08d" % commit.height, commit.digest)
        store.save([vote], bodies=[(commit.digest, body + bytes(20_000))], sync=True)
        print("saved", commit.height, flush=True)
        store.commit(commit)
        print("applied", commit.height, flush=True)
"""


@pytest.mark.parametrize("lines", [20, 41, 90])
def test_everything_acknowledged_survives_a_kill(tmp_path: Path, lines: int) -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline().split() for _ in range(lines)]
        writer.send_signal(signal.SIGKILL)
        said += [line.split() for line in writer.stdout.read().splitlines(keepends=False)]
    acknowledged = {word: int(height) for word, height in said}

    chain = Chain(transactions=40)
    with Store.open(tmp_path, network=NETWORK) as store:
        applied = store.applied()
        assert applied is not None
        assert applied.height in (acknowledged["applied"], acknowledged["applied"] + 1)
        votes = dict(store.consensus_pairs())
        for height in range(1, acknowledged["saved"] + 1):
            body, commit = chain.next()
            assert votes[b"vote/%08d" % height] == commit.digest
            assert store.body(commit.digest) == body + bytes(20_000)
            if height <= acknowledged["applied"]:
                assert store.block(height) == commit.row()
        history = store.history()
        assert history is not None
        assert history.last == applied.height
        for height in range(history.floor, applied.height):
            assert store.state_after(b"height", height) == b"%d" % height
        report = check(store)
        assert report.clean, report.findings
        assert report.blocks == applied.height

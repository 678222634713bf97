"""What applying a record costs while the ledger grows, and what it writes, by kind of row.

    python tests/bench/growth.py [--records 200000] [--step 25000] [--block 100]

One member's book on a real LevelDB, blocks of some hundred anchors, no network and no
signatures.  CPU of the thread that applies, and of LevelDB's own meanwhile; bytes are keys and
values of the batch, before compaction writes them again.
"""

import argparse
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from storage import keys  # noqa: E402
from storage.level import LevelKV  # noqa: E402
from tests.bench import hopclock, keyspace  # noqa: E402
from tests.support.ledger import Chain, proposal_of  # noqa: E402

KINDS: Final = {
    keys.STATE: "state",
    keys.NODE: "pages of the state tree",
    keys.PAGE_LOG: "patches of pages",
    keys.PAGES_WERE: "what pages were",
    keys.INDEX: "index",
    keys.TRANSACTION: "transactions",
}


class Weighed:
    """Bytes written, by kind, since the last look."""

    def __init__(self) -> None:
        self.bytes: Counter[str] = Counter()
        self._write = LevelKV.write

    def install(self) -> None:
        def write(
            kv: LevelKV, puts: Iterable[tuple[bytes, bytes | None]], *, sync: bool
        ) -> None:
            rows = list(puts)
            for key, value in rows:
                kind = KINDS.get(key[:1], "others")
                self.bytes[kind] += len(key) + len(value or b"")
            self._write(kv, rows, sync=sync)

        LevelKV.write = write  # type: ignore[method-assign]

    def taken(self, records: int) -> str:
        found = ", ".join(f"{kind} {n / records:,.0f}" for kind, n in self.bytes.most_common())
        self.bytes.clear()
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--step", type=int, default=25_000)
    parser.add_argument("--block", type=int, default=100, help="records in a block")
    options = parser.parse_args()
    work = ROOT / "bench-results" / "work"
    work.mkdir(parents=True, exist_ok=True)
    weighed = Weighed()
    with tempfile.TemporaryDirectory(dir=work) as name, Chain(Path(name)) as chain:
        weighed.install()
        own = others = 0
        for done in range(options.block, options.records + 1, options.block):
            body = chain.body(*keyspace.anchors(chain.genesis, options.block))
            digest = proposal_of(body).digest
            chain.store.save([], bodies=[(digest, body.raw)], sync=False)
            before = hopclock.threads()
            certificate = chain.certificate(body.header.height, digest)
            result = chain.book.apply(
                body, digest=digest, certificate=certificate, position=body.header.height
            )
            assert not any(result.codes), "every anchor is taken"
            spent = {tid: ns - before.get(tid, 0) for tid, ns in hopclock.threads().items()}
            own += spent.pop(threading.get_native_id())
            others += sum(spent.values())
            if done % options.step == 0:
                per = options.step * 1000
                cost = f"apply {own / per:5.1f} us, LevelDB's thread {others / per:5.1f} us"
                print(f"{done:9,} {cost}; bytes: {weighed.taken(options.step)}", flush=True)
                own = others = 0
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The client process of a peer: so many requests in flight for so long, answers waited for.

    python tests/bench/drive.py etcd|etcd-txn|postgres '{"in_flight": 64, "seconds": 5, ...}'

Prints count, seconds, latencies in milliseconds and its own CPU seconds as JSON.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.stats import summary

VALUE_BYTES: Final = 250  # about one of our transactions
Ask = Callable[[], Awaitable[None]]
Options = dict[str, Any]


def _field(number: int, raw: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    return bytes([number << 3 | 2]) + _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def put(key: bytes, value: bytes) -> bytes:
    """Return etcd's PutRequest: key is field 1, value field 2."""
    return _field(1, key) + _field(2, value)


def txn(puts: list[bytes]) -> bytes:
    """Return etcd's TxnRequest: a RequestOp (2) with ``request_put`` (2) for each."""
    return b"".join(_field(2, _field(2, item)) for item in puts)


async def etcd(options: Options) -> list[Ask]:
    import grpc.aio

    size = int(options.get("puts", 1))
    asks: list[Ask] = []
    for number in range(options["in_flight"]):
        port = options["ports"][number % len(options["ports"])]
        # A channel of its own for each few: one HTTP/2 connection would be the limit.
        if number < 3 * len(options["ports"]):
            channels = options.setdefault("channels", [])
            channels.append(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        channel = options["channels"][number % len(options["channels"])]
        call = channel.unary_unary("/etcdserverpb.KV/" + ("Put" if size == 1 else "Txn"))

        async def ask(call: Any = call) -> None:
            noise = os.urandom(32 * size)
            puts = [
                put(noise[at : at + 32], noise[at : at + 32] * 7 + bytes(VALUE_BYTES - 224))
                for at in range(0, len(noise), 32)
            ]
            await call(puts[0] if size == 1 else txn(puts))

        asks.append(ask)
    return asks


async def postgres(options: Options) -> list[Ask]:
    import asyncpg

    size, asks = int(options.get("records", 0)), []
    for _ in range(options["in_flight"]):
        connection = await asyncpg.connect(
            host="127.0.0.1", port=options["port"], user="bench", database="postgres"
        )
        statement = await connection.prepare(options["sql"])

        async def ask(statement: Any = statement) -> None:
            if size:
                await statement.fetchval([os.urandom(VALUE_BYTES) for _ in range(size)])
            else:
                await statement.fetchval(os.urandom(VALUE_BYTES))

        asks.append(ask)
    return asks


async def drive(asks: list[Ask], seconds: float) -> dict[str, Any]:
    """Let each of ``asks`` go on for ``seconds``, one request after the other."""
    took: list[float] = []
    cpu, start = time.process_time(), time.perf_counter()
    end = start + seconds

    async def client(ask: Ask) -> None:
        while (before := time.perf_counter()) < end:
            await ask()
            took.append((time.perf_counter() - before) * 1000)

    await asyncio.gather(*map(client, asks))
    figures: dict[str, Any] = dict(summary(took))
    figures |= {"seconds": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
    return figures


async def run(kind: str, options: Options) -> dict[str, Any]:
    asks = await {"etcd": etcd, "postgres": postgres}[kind](options)
    await asks[0]()  # connections are up
    return await drive(asks, options["seconds"])


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        runner = asyncio.Runner()
    else:
        plain = sys.argv[1] == "etcd"  # its client brings a loop of its own below asyncio's
        runner = asyncio.Runner(loop_factory=None if plain else uvloop.new_event_loop)
    with runner:
        print(json.dumps(runner.run(run(sys.argv[1], json.loads(sys.argv[2])))))
